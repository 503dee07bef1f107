"""The API client: a dozen verbs over HTTP, typed errors, every call counted.

Objects are plain dicts, as the API serves them. Writes carry a field manager, `lore-operator`, so that
`managedFields` tells which fields are ours (server-side apply, Kubernetes API concepts).
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
from pydantic_core import from_json, to_json
from yarl import URL

from lore_operator.children.labels import FIELD_MANAGER
from lore_operator.engine.errors import NotFound, Unauthorized, Unreachable, from_status
from lore_operator.engine.framework import kopf
from lore_operator.engine.resources import Resource

Manifest = dict[str, Any]
CallObserver = Callable[[str, str, int, float], None]
Fence = Callable[[str, str], None]
"""Called with verb and path before each write; what it raises ends the call before anything is sent."""

_PAGE: Final = 500
_REQUEST_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = 280
_SILENCE_SECONDS: Final = 90.0  # the apiserver sends a bookmark about once a minute
_JSON: Final = "application/json"
_MERGE: Final = "application/merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Listing(NamedTuple):
    """All objects of a collection and the version to watch from."""

    items: list[Manifest]
    resource_version: str


class WatchEvent(NamedTuple):
    """ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    object: Manifest


class _Request(NamedTuple):
    verb: str
    kind: str
    method: str
    path: str
    query: Mapping[str, str]
    payload: bytes | None
    headers: dict[str, str]


def _whole(item: Manifest) -> Manifest:
    return item


class KubeClient:
    """One HTTP session to one apiserver; an async context manager.

    Every method raises a subclass of `ApiError` where the answer is not the object asked for.
    """

    def __init__(
        self,
        connect: Callable[[], kopf.ConnectionInfo],
        observe: CallObserver | None = None,
        manager: str = FIELD_MANAGER,
        fence: Fence | None = None,
    ) -> None:
        self._connect, self._manager = connect, manager
        self._fence: Fence = fence or (lambda verb, path: None)
        self._observe: CallObserver = observe or (lambda verb, kind, code, seconds: None)
        self._server = ""
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "KubeClient":
        await self._login()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """One object. NotFound where there is none."""
        return await self._call("get", resource, "GET", resource.path(namespace, name))

    async def list_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        keep: Callable[[Manifest], Manifest] = _whole,
    ) -> Listing:
        """A whole collection, page by page, of one namespace or of all. Items get their kind and apiVersion back.

        `keep` is what is kept of an item; the rest goes with its page, so that thousands never lie in memory whole.
        """

        def kept(item: Manifest) -> Manifest:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
            return keep(item)

        query = {"labelSelector": labels, "fieldSelector": fields}
        return Listing(*await self._pages(resource, namespace, query, _JSON, kept))

    async def list_metadata(self, resource: Resource, namespace: str | None = None) -> list[Manifest]:
        """The metadata of a whole collection: a small answer even where specs are large."""
        found, _ = await self._pages(resource, namespace, {}, _METADATA_LIST, lambda item: dict(item["metadata"]))
        return found

    async def _pages(
        self,
        resource: Resource,
        namespace: str | None,
        query: dict[str, str],
        accept: str,
        keep: Callable[[Manifest], Manifest],
    ) -> tuple[list[Manifest], str]:
        items: list[Manifest] = []
        query = {**query, "limit": str(_PAGE)}
        while True:
            page = await self._call("list", resource, "GET", resource.path(namespace), query=query, accept=accept)
            items += map(keep, page.get("items") or ())
            token = page["metadata"].get("continue")
            if not token:
                return items, page["metadata"]["resourceVersion"]
            query["continue"] = token

    async def version(self) -> Manifest:
        """What the API server says of itself."""
        return await self._send(_Request("get", "Version", "GET", "/version", {}, None, {"Accept": _JSON}))

    async def groups(self) -> frozenset[str]:
        """All API groups that are served now."""
        answer = await self._send(_Request("list", "APIGroup", "GET", "/apis", {}, None, {"Accept": _JSON}))
        return frozenset(group["name"] for group in answer["groups"])

    async def serves(self, group: str) -> bool:
        """Whether an API group is served now."""
        try:
            await self._send(_Request("get", "APIGroup", "GET", f"/apis/{group}", {}, None, {"Accept": _JSON}))
        except NotFound:
            return False
        return True

    async def create(self, manifest: Manifest, resource: Resource, *, strict: bool = False) -> Manifest:
        """Create an object; it is answered as it was given, with the metadata that it got. AlreadyExists where the name is taken.

        Only metadata is sent back: of what we have just written the rest is known, and defaults are of no interest.
        `strict`: BadRequest that names a field which the cluster's version of the kind does not know; else such a field is
        dropped in silence.
        """
        path = resource.path(manifest["metadata"]["namespace"])
        query = {"fieldManager": self._manager, "fieldValidation": "Strict" if strict else ""}
        answer = await self._call("create", resource, "POST", path, query, manifest, _JSON, _METADATA)
        return {**manifest, "metadata": {**manifest["metadata"], **answer["metadata"]}}

    async def review(self, manifest: Manifest, resource: Resource) -> Manifest:
        """Ask what a cluster-wide kind of review answers; nothing is stored."""
        return await self._call("create", resource, "POST", resource.path(), body=manifest, content_type=_JSON)

    async def apply(self, manifest: Manifest, resource: Resource) -> Manifest:
        """Server-side apply of the fields in the manifest; ours win over another manager's."""
        metadata = manifest["metadata"]
        path = resource.path(metadata["namespace"], metadata["name"])
        query = {"fieldManager": self._manager, "force": "true"}
        return await self._call("apply", resource, "PATCH", path, query, manifest, _APPLY)

    async def merge(
        self, resource: Resource, namespace: str, name: str, patch: Manifest, subresource: str | None = None
    ) -> Manifest:
        """Merge-patch an object or its subresource. With `metadata.resourceVersion` in the patch: Conflict if it moved.

        The patch of a subresource is answered with the object's metadata alone.
        """
        path, query = resource.path(namespace, name, subresource), {"fieldManager": self._manager}
        verb, accept = (f"patch_{subresource}", _METADATA) if subresource else ("patch", _JSON)
        return await self._call(verb, resource, "PATCH", path, query, patch, _MERGE, accept)

    async def json_patch(
        self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Manifest:
        """JSON-patch an object; Invalid where a `test` operation fails."""
        path = resource.path(namespace, name)
        return await self._call(
            "patch", resource, "PATCH", path, {"fieldManager": self._manager}, operations, _JSON_PATCH
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> None:
        """Delete exactly the object that was seen. Conflict where it is another, or has moved since."""
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        options = {"propagationPolicy": propagation, "preconditions": preconditions}
        await self._call("delete", resource, "DELETE", resource.path(namespace, name), {}, options, _JSON)

    async def watch(
        self, resource: Resource, resource_version: str, namespace: str | None = None, labels: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Events from a version on, until the server ends the stream. Gone where the version is too old."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_SECONDS),
            "labelSelector": labels,
        }
        path, session = resource.path(namespace), await self._session()
        url = self._url(path, _given(query))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_SECONDS, sock_read=_SILENCE_SECONDS)
        try:
            async with session.get(url, headers={"Accept": _JSON}, timeout=timeout) as answer:
                self._observe("watch", resource.kind, answer.status, 0.0)
                if answer.status != 200:
                    raise from_status("watch", path, answer.status, await _body(answer))
                try:
                    async for line in _lines(answer.content):
                        event = from_json(line)
                        if event["type"] == "ERROR":
                            raise from_status("watch", path, int(event["object"].get("code") or 0), event["object"])
                        yield WatchEvent(event["type"], event["object"])
                finally:
                    _hang_up(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable("watch", path, 0, type(error).__name__, str(error)) from error

    async def _call(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str | None = None,
        accept: str = _JSON,
    ) -> Manifest:
        payload = None if body is None else to_json(body)
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {})
        request = _Request(verb, resource.kind, method, path, _given(query or {}), payload, headers)
        try:
            return await self._send(request)
        except Unauthorized:
            await self._login()  # the token was replaced; ask once more with the new one
            return await self._send(request)

    async def _send(self, request: "_Request") -> Manifest:
        session, started, code = await self._session(), time.monotonic(), 0
        verb, kind, method, path, query, payload, headers = request
        if method != "GET":
            self._fence(verb, path)
        try:
            async with session.request(method, self._url(path, query), data=payload, headers=headers) as answer:
                code = answer.status
                content = await _body(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(verb, path, 0, type(error).__name__, str(error)) from error
        finally:
            self._observe(verb, kind, code, time.monotonic() - started)
        if code >= 300:
            raise from_status(verb, path, code, content)
        return content

    async def _login(self) -> None:
        old, info = self._http, self._connect()
        self._server = str(info.server).rstrip("/")
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=info.as_ssl_context(), limit=64),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
            headers={"User-Agent": "lore-operator", **info.as_http_headers()},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        if old is not None:
            await old.close()

    async def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            await self._login()
        assert self._http is not None
        return self._http

    def _url(self, path: str, query: Mapping[str, str]) -> URL:
        # Names of Kubernetes need no escapes; a selector in the query does.
        return URL(f"{self._server}{path}?{_encoded(*query.items())}" if query else self._server + path, encoded=True)


def _hang_up(answer: aiohttp.ClientResponse) -> None:
    """Close a stream at once: to wait for the server's part of the TLS farewell could outlive the event loop."""
    if answer.connection is not None and answer.connection.transport is not None:
        answer.connection.transport.abort()


@lru_cache(maxsize=64)
def _encoded(*query: tuple[str, str]) -> str:
    return urlencode(query)


def _given(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}


async def _body(answer: aiohttp.ClientResponse) -> Manifest:
    content = await answer.read()
    try:
        body = from_json(content)
    except ValueError:  # a proxy's page, or nothing
        return {"message": content[:512].decode("utf-8", "replace")}
    return body if isinstance(body, dict) else {"message": str(body)[:512]}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: one watch event may be larger than the reader's own limit."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
