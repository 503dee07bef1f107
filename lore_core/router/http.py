"""HTTP/1.1 for the router: httptools parses, this keeps connections, limits and order (docs/adr/0009-router-runtime.md).

A handler may answer at once, without a task, or return an awaitable. Requests of one connection are answered in order.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import httptools
import msgspec

MAX_HEADER_BYTES: Final = 32 << 10
KEPT_HEADERS: Final = frozenset({b"authorization", b"traceparent", b"tracestate", b"x-lore-bucket"})
_LINGER_SECONDS: Final = 2.0
_JSON: Final = "application/json"
_FIRST_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Request(msgspec.Struct, frozen=True):
    """One whole request; `path` without its query string, `headers` only those of `KEPT_HEADERS`, names in lower case."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = {}


class Response(msgspec.Struct, frozen=True):
    """One whole answer."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: dict[str, str] = {}


Handler = Callable[[Request], Response | Awaitable[Response]]
Refusal = Callable[[int, str], Response]
"""Makes the answer to a request that is refused before it is whole: status and problem."""


class HttpServer:
    """Listens, hands whole requests to one handler, and closes without dropping an answer."""

    def __init__(
        self, handler: Handler, refusal: Refusal, max_body: Callable[[], int], *, read_seconds: float = 30.0
    ) -> None:
        """`max_body` gives the limit in bytes, asked for each request; `read_seconds` bounds how long one may take to arrive."""
        self.handler, self.refusal, self.max_body, self.read_seconds = handler, refusal, max_body, read_seconds
        self.draining = False
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._empty: asyncio.Event | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen, over TLS where a context is given; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=1024, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    def drain(self) -> None:
        """From now on every answer is the last of its connection: who keeps connections open goes elsewhere before `close`."""
        self.draining = True

    async def close(self, seconds: float) -> None:
        """Stop listening, let requests in flight finish for at most `seconds`, then close what is left."""
        self.drain()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        if self._connections:
            self._empty = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)
        for connection in list(self._connections):
            connection.abort()

    def opened(self, connection: "_Connection") -> None:
        """A connection came."""
        self._connections.add(connection)

    def closed(self, connection: "_Connection") -> None:
        """A connection went."""
        self._connections.discard(connection)
        if self._empty is not None and not self._connections:
            self._empty.set()


class _Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last, self._writable, self._receiving = False, True, False
        self._reset()

    def _reset(self) -> None:
        self._url, self._body, self._header_bytes = b"", bytearray(), 0
        self._headers: dict[str, str] = {}
        self._limit = self._server.max_body()
        self._expects_continue = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._server.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.closed(self)
        self._stop_timer()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable = True
        self._read_on()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(HTTPStatus.BAD_REQUEST, "protocol upgrades are not supported")
        except httptools.HttpParserCallbackError:
            pass  # refused from inside a callback, which has answered already
        except httptools.HttpParserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"not HTTP/1.1: {error}")
        if self._receiving and self._timer is None:  # most requests arrive whole and need no timer
            seconds = self._server.read_seconds
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._refuse, HTTPStatus.REQUEST_TIMEOUT, "too slow")

    # httptools' side

    def on_message_begin(self) -> None:
        self._reset()
        self._receiving = True

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._header_bytes += len(url)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._too_much_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._too_much_head()
        lowered = name.lower()
        if lowered == b"content-length" and value.isdigit() and int(value) > self._limit:
            self._too_large()
        elif lowered in KEPT_HEADERS:
            self._headers[lowered.decode()] = value.decode("latin-1")
        elif lowered == b"expect" and value.lower() == b"100-continue":
            self._expects_continue = True

    def on_headers_complete(self) -> None:
        if self._expects_continue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > self._limit:
            self._too_large()
        self._body += body

    def on_message_complete(self) -> None:
        self._receiving = False
        self._stop_timer()
        keep_alive = self._parser.should_keep_alive()
        path = self._url.split(b"?", 1)[0].decode("latin-1")
        request = Request(self._parser.get_method().decode(), path, bytes(self._body), self._headers)
        if self._task is not None:
            self._waiting.append((request, keep_alive))
            self._transport.pause_reading()
        else:
            self._handle(request, keep_alive)

    # ours

    def _handle(self, request: Request, keep_alive: bool) -> None:
        found = self._server.handler(request)
        if isinstance(found, Response):
            self._write(found, keep_alive)
            return
        self._task = asyncio.get_running_loop().create_task(self._finish(found, keep_alive))

    async def _finish(self, answer: Awaitable[Response], keep_alive: bool) -> None:
        self._write(await answer, keep_alive)
        self._task = None
        if not self._waiting:
            return
        while self._waiting and self._task is None and not self._last:
            self._handle(*self._waiting.popleft())
        self._read_on()

    def _read_on(self) -> None:
        """Read again once nobody waits and the client takes its answers: neither haste nor slowness fills our memory."""
        if not self._waiting and self._writable and not self._transport.is_closing():
            self._transport.resume_reading()

    def _too_much_head(self) -> None:
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers exceed {MAX_HEADER_BYTES} bytes")
        raise ValueError("headers too large")

    def _too_large(self) -> None:
        self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: larger than {self._limit} bytes")
        raise ValueError("body too large")

    def _refuse(self, status: int, problem: str) -> None:
        """Answer and stop listening. What the client still sends is read for a moment: a reset would cost it the answer."""
        self._stop_timer()
        self._receiving = False
        if self._last or self._transport.is_closing():
            return
        self._last = True
        self._transport.write(_head(response := self._server.refusal(status, problem), False) + response.body)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)

    def _write(self, response: Response, keep_alive: bool) -> None:
        if self._transport.is_closing():
            return
        keep_alive = keep_alive and not self._server.draining
        self._transport.write(_head(response, keep_alive) + response.body)
        if not keep_alive:
            self._last = True
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close_if_idle(self) -> None:
        """Close a connection that has no request in flight."""
        if self._task is None and not self._receiving and not self._last:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def _head(response: Response, keep_alive: bool) -> bytes:
    more = "".join([f"{name}: {value}\r\n" for name, value in response.headers.items()])
    end = "\r\n" if keep_alive else "connection: close\r\n\r\n"
    kind, length = response.content_type, len(response.body)
    head = f"{_FIRST_LINES[response.status]}content-type: {kind}\r\ncontent-length: {length}\r\n{more}{end}"
    return head.encode("latin-1")
