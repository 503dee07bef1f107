"""Routes of the console. A page is read anew for every request, after the API server has said who asks and what they may."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from lore_operator.cli.chain import Chain
from lore_operator.cli.kubectl import Object, names
from lore_operator.console import deployment, evaluation, frame, pipeline
from lore_operator.console.access import READ, NotAllowed, NoUser, User, require_reader, user_of
from lore_operator.console.markup import STYLE, Element
from lore_operator.engine.client import KubeClient
from lore_operator.engine.errors import ApiError, Forbidden

COOKIE: Final = "lore-token"
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LONGEST_COOKIE: Final = 3800  # browsers keep 4096 bytes with its name and attributes
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OWN_PAGE: Final = re.compile(r"/namespaces(/[-a-z0-9.]+)+")
_log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """A page that says no: its HTTP status and body."""

    def __init__(self, status: int, body: list[Element], user: str = "") -> None:
        super().__init__(str(status))
        self.status, self.body, self.user = status, body, user


class Console:
    """The application; the client logs in with the console's own account."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    def app(self) -> web.Application:
        """For aiohttp to serve."""
        app = web.Application(middlewares=[_guarded], client_max_size=64 * 1024)
        one = "/namespaces/{namespace}"
        app.add_routes([
            web.get("/", self._index),
            web.post("/login", self._login),
            web.post("/logout", _logout),
            web.get(one, self._pipeline),
            web.get(one + "/evals/{name}", self._evaluation),
            web.get(one + "/deployments/{name}", self._deployment),
            web.get("/style.css", _style),
            web.get("/healthz", _alive),
        ])  # fmt: skip
        return app

    async def _index(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        if (namespace := request.query.get("namespace", "").strip()) and _LABEL.fullmatch(namespace):
            raise web.HTTPSeeOther(f"/namespaces/{namespace}")
        return _page(request, "Namespace", frame.choose(), user)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refusal(403, frame.message("Refused", "This form was sent by another site."))
        given = await request.post()
        token, to = str(given.get("token", "")).strip(), str(given.get("to", ""))
        if len(token) > _LONGEST_COOKIE:
            words = "This token is too long for a cookie; put a proxy that authenticates before the console."
            raise Refusal(413, frame.message("Refused", words))
        await self._known(token, to)
        entered = web.HTTPSeeOther(to if _OWN_PAGE.fullmatch(to) else "/")
        # Lax: a link in somebody's message finds its reader signed in; nothing here can be changed by one.
        entered.set_cookie(COOKIE, token, httponly=True, secure=True, samesite="Lax")
        raise entered

    async def _pipeline(self, request: web.Request) -> web.Response:
        user, namespace, objects = await self._read(request)
        return _page(request, namespace, pipeline.page(namespace, Chain(objects)), user)

    async def _evaluation(self, request: web.Request) -> web.Response:
        user, namespace, objects = await self._read(request)
        item = _named(request, objects, "RelevanceEval")
        return _page(request, item["metadata"]["name"], evaluation.page(namespace, item, objects), user)

    async def _deployment(self, request: web.Request) -> web.Response:
        user, namespace, objects = await self._read(request)
        item = _named(request, objects, "RelevanceDeployment")
        return _page(request, item["metadata"]["name"], deployment.page(namespace, item, objects), user)

    async def _read(self, request: web.Request) -> tuple[User, str, list[Object]]:
        """Everything of the namespace that the path names, for who may read it."""
        user, namespace = await self._user(request), request.match_info["namespace"]
        if not _LABEL.fullmatch(namespace):
            raise Refusal(400, frame.message("Not found", "This is no name of a namespace."), user["username"])
        try:
            await require_reader(self._client, user, namespace)
        except NotAllowed as refused:
            raise Refusal(403, frame.message("Not allowed", str(refused)), user["username"]) from None
        try:
            listings = await asyncio.gather(*(self._client.list_all(kind, namespace) for kind in READ))
        except Forbidden:
            words = (
                "The console's own account may not read this namespace: it is none of those that it was installed for."
            )
            raise Refusal(403, frame.message("Not served here", words), user["username"]) from None
        return user, namespace, [item for listing in listings for item in listing.items]

    async def _user(self, request: web.Request) -> User:
        return await self._known(_token(request), request.path)

    async def _known(self, token: str, to: str) -> User:
        """Whose token it is; a form for another one, which leads to the page `to`, where it is nobody's."""
        try:
            return await user_of(self._client, token)
        except NoUser as problem:
            raise Refusal(401, frame.sign_in(str(problem) if token else "", to)) from None


def _token(request: web.Request) -> str:
    """The token of an authenticating proxy, else of the cookie."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _named(request: web.Request, objects: list[Object], kind: str) -> Object:
    found = names(objects, kind).get(request.match_info["name"])
    if found is None:
        raise Refusal(404, frame.message("Not found", f"There is no {kind} of this name in this namespace."))
    return found


def _page(request: web.Request, title: str, body: list[Element], user: User) -> web.Response:
    leave = "Authorization" not in request.headers
    return _html(frame.framed(title, body, str(user["username"]), leave=leave))


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


async def _logout(_: web.Request) -> web.Response:
    left = web.HTTPSeeOther("/")
    left.del_cookie(COOKIE, httponly=True, secure=True, samesite="Lax")
    raise left


async def _style(_: web.Request) -> web.Response:
    return web.Response(text=STYLE, content_type="text/css")


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The same headers on every answer, and errors as pages. Neither a token nor what the cluster said of it is shown or logged."""
    try:
        answer = await handler(request)
    except Refusal as refusal:
        answer = _html(frame.framed("Refused", refusal.body, refusal.user), refusal.status)
        if refusal.status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
    except web.HTTPException as plain:
        plain.headers.update(HEADERS)
        raise
    except ApiError as error:
        _log.error("the API server did not answer: %s", error)
        words = "The API server could not be asked, or the console's account lacks a right; its log says which."
        answer = _html(frame.framed("Unavailable", frame.message("Unavailable", words)), 503)
    except Exception:
        _log.exception("a page could not be made")
        words = "This page could not be made; the console's log says why."
        answer = _html(frame.framed("Error", frame.message("Error", words)), 500)
    answer.headers.update(HEADERS)
    return answer
