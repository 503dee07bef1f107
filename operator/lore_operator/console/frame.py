"""What every page has around its body: who looks, the way out, and the pages that are only a message or a form."""

from typing import Final

from lore_operator.console.markup import Child, Element, document, tag

_TOKEN_HELP: Final = (
    "A token that the API server accepts, such as kubectl create token prints. It stays in a cookie of this session."
)


def framed(title: str, body: list[Element], user: str = "", *, leave: bool = False) -> str:
    """A page with its header; `leave` where the token is in a cookie that signing out takes away."""
    parts: list[Child] = [tag("b", tag("a", "LORE console", href="/"))]
    if user:
        parts.append(tag("span", user, class_="who"))
    if leave:
        parts.append(tag("form", tag("button", "Sign out"), method="post", action="/logout"))
    return document(f"{title} – LORE console", tag("header", *parts), *body)


def sign_in(problem: str = "", to: str = "/") -> list[Element]:
    """The form for a token; it leads to the page `to`."""
    field = tag("input", type="password", name="token", id="token", autocomplete="off", required="required")
    label = tag("label", "Bearer token", **{"for": "token"})
    aim = tag("input", type="hidden", name="to", value=to)
    form = tag("form", aim, label, field, tag("div", tag("button", "Sign in")), method="post", action="/login")
    said = [tag("p", problem, class_="problem")] if problem else []
    return [tag("h1", "Sign in"), *said, form, tag("p", _TOKEN_HELP, class_="note")]


def choose() -> list[Element]:
    """The form for a namespace."""
    field = tag("input", name="namespace", id="namespace", required="required")
    label = tag("label", "Namespace", **{"for": "namespace"})
    form = tag("form", label, field, tag("div", tag("button", "Show")), method="get", action="/")
    return [tag("h1", "Which namespace?"), form]


def message(title: str, words: str) -> list[Element]:
    """A page that only says something."""
    return [tag("h1", title), tag("p", words, class_="problem")]
