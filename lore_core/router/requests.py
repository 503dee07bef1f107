"""What callers may ask: `POST /v1/relevance` and `POST /v1/rerank`, decoded, checked, and refused by field."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from lore_core.records.picture import BadPicture, from_data_url
from lore_core.router.config import Limits

MAX_MARKET: Final = 128
_NAMED_FIELD: Final = re.compile(r"field `([^`]*)`")

T = TypeVar("T")


class BadRequest(Exception):
    """A request that cannot be answered; `field` is the path of what is wrong."""

    def __init__(self, field: str, problem: str, status: int = 400) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem, self.status = field, problem, status


class AskedItem(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """One item. What is given replaces that part of the items snapshot; what is absent comes from it."""

    id: str | None = None
    title: str | None = None
    shop_name: str | None = None
    attributes: dict[str, str] | None = None
    vqa_result: str | None = None
    image: str | None = None
    """A data: URL; replaced by its base64 once it is checked."""


class RelevanceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`POST /v1/relevance`."""

    query: str
    items: list[AskedItem]
    market: str = ""


class ExplainBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`POST /v1/explain`."""

    query: str
    market: str = ""


class Document(msgspec.Struct, frozen=True):
    """A document that is not only a text."""

    text: str | None = None
    id: str | None = None
    title: str | None = None


class RerankBody(msgspec.Struct, frozen=True):
    """Cohere v2 and Jina name more fields; those that do not change the order of documents are ignored."""

    query: str
    documents: list[str | Document]
    model: str = ""
    top_n: int | None = None
    return_documents: bool = False
    market: str = ""


class Asked(msgspec.Struct, frozen=True):
    """A checked question: a query of one market with 1 to `max_items` items."""

    query: str
    market: str
    items: list[AskedItem]


class AskedRerank(msgspec.Struct, frozen=True):
    """A checked rerank request; `texts` are the documents as given, `top_n` at most their number."""

    asked: Asked
    texts: list[str]
    model: str
    top_n: int
    return_documents: bool


_relevance: Final = msgspec.json.Decoder(RelevanceBody).decode
_explain: Final = msgspec.json.Decoder(ExplainBody).decode
_rerank: Final = msgspec.json.Decoder(RerankBody).decode


def relevance(body: bytes, limits: Limits) -> Asked:
    """A `/v1/relevance` body. Raises BadRequest."""
    found = _decoded(_relevance, body)
    _check_query(found.query, found.market, limits)
    _check_count("items", len(found.items), limits)
    seen: dict[str, int] = {}
    for number, item in enumerate(found.items):
        if item.id is None:
            raise BadRequest(f"items[{number}].id", "missing")
        first = seen.setdefault(item.id, number)
        if first != number:
            raise BadRequest(f"items[{number}].id", f"repeats items[{first}].id")
        _check_item("items", number, item, limits)
        if item.image is not None:
            found.items[number] = _pictured(number, item, item.image)
    return Asked(found.query, found.market, found.items)


def _pictured(number: int, item: AskedItem, url: str) -> AskedItem:
    try:
        return msgspec.structs.replace(item, image=from_data_url(url))
    except BadPicture as error:
        raise BadRequest(f"items[{number}].image", str(error)) from error


def explain(body: bytes, limits: Limits) -> ExplainBody:
    """A `/v1/explain` body. Raises BadRequest."""
    found = _decoded(_explain, body)
    _check_query(found.query, found.market, limits)
    return found


def rerank(body: bytes, limits: Limits) -> AskedRerank:
    """A `/v1/rerank` body. Documents are texts, or objects with `text` or `title` and optionally `id`. Raises BadRequest."""
    found = _decoded(_rerank, body)
    _check_query(found.query, found.market, limits)
    _check_count("documents", len(found.documents), limits)
    if found.top_n is not None and found.top_n < 1:
        raise BadRequest("top_n", "must be at least 1")
    items = [_document(f"documents[{number}]", document) for number, document in enumerate(found.documents)]
    for number, item in enumerate(items):
        _check_item("documents", number, item, limits)
    top = min(found.top_n or len(items), len(items))
    texts = [item.title or "" for item in items]
    return AskedRerank(Asked(found.query, found.market, items), texts, found.model, top, found.return_documents)


def _document(field: str, document: str | Document) -> AskedItem:
    if isinstance(document, str):
        return AskedItem(title=document)
    text = document.text if document.text is not None else document.title
    if text is None and document.id is None:
        raise BadRequest(field, "needs text, title or id")
    return AskedItem(id=document.id, title=text)


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(_path(str(error)), str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("body", f"not JSON in UTF-8: {error}") from error


def _path(message: str) -> str:
    """The field that a msgspec message speaks of, as `items[3].title`."""
    _, _, path = message.partition(" - at `$")
    named = _NAMED_FIELD.search(message)
    whole = path.rstrip("`") + (f".{named.group(1)}" if named else "")
    return whole.lstrip(".") or "body"


def _check_query(query: str, market: str, limits: Limits) -> None:
    if not query.strip():
        raise BadRequest("query", "must not be empty")
    if len(query) > limits.max_query_length:
        raise BadRequest("query", f"{len(query)} characters, at most {limits.max_query_length} are allowed")
    if len(market) > MAX_MARKET:
        raise BadRequest("market", f"{len(market)} characters, at most {MAX_MARKET} are allowed")


def _check_count(field: str, count: int, limits: Limits) -> None:
    if count < 1:
        raise BadRequest(field, "must not be empty")
    if count > limits.max_items:
        raise BadRequest(field, f"{count} given, at most {limits.max_items} are allowed")


def _check_item(field: str, number: int, item: AskedItem, limits: Limits) -> None:
    if item.id is not None and not 0 < len(item.id) <= limits.max_id_length:
        raise BadRequest(f"{field}[{number}].id", f"must have 1 to {limits.max_id_length} characters")
    length = len(item.title or "")
    if item.attributes is not None or item.shop_name is not None or item.vqa_result is not None:
        attributes = item.attributes or {}
        length += len(item.shop_name or "") + len(item.vqa_result or "")
        length += sum(len(name) + len(value) for name, value in attributes.items())
    if length > limits.max_text_length:
        raise BadRequest(
            f"{field}[{number}]", f"{length} characters of text, at most {limits.max_text_length} are allowed"
        )
