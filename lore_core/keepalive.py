"""Keep-alive HTTP/1.1 connections to one server that is asked often: httptools parses, this pools.

A library client takes several times as long for a request as is needed (docs/adr/0009-router-runtime.md, docs/scoring.md).
"""

import asyncio
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import httptools

MAX_ANSWER_BYTES: Final = 16 << 20
_HTTP_OK: Final = 200
_SERVER_ERROR: Final = 500


class UpstreamError(Exception):
    """The server gave no usable HTTP answer. `passing`: another attempt may find it well. `status` where it gave one."""

    def __init__(self, message: str, *, passing: bool = False, status: int | None = None) -> None:
        super().__init__(message)
        self.passing, self.status = passing, status


class _Stale(UpstreamError):
    """A kept connection was closed by the other side before it answered; another one may be tried."""


class KeepAlive:
    """A pool of at most `limit` connections to one base address. A cancelled request closes its connection."""

    def __init__(self, url: str, limit: int) -> None:
        parts = urlsplit(url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._same = f"host: {parts.netloc}\r\ncontent-type: application/json\r\n"
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []
        self._retired = False

    async def post(self, path: str, request: dict[str, Any], headers: str = "") -> dict[str, Any]:
        """One JSON request, with more header lines, and its JSON answer. Raises UpstreamError or OSError."""
        message = self._message(path, self.encoded(request), headers)
        await self._slots.acquire()
        try:
            while True:
                kept = bool(self._idle)
                connection = self._idle.pop() if kept else await self._connect()
                try:
                    status, body = await connection.send(message)
                except _Stale:
                    if not kept:
                        raise
                except BaseException:
                    connection.close()
                    raise
                else:
                    self._keep(connection)
                    return self._answer(path, status, body)
        finally:
            self._slots.release()

    def encoded(self, request: dict[str, Any]) -> bytes:
        """A request as JSON."""
        return json.dumps(request, separators=(",", ":")).encode()

    def decoded(self, body: bytes) -> Any:
        """An answer from JSON. Raises ValueError."""
        return json.loads(body)

    def _answer(self, path: str, status: int, body: bytes) -> dict[str, Any]:
        if status != _HTTP_OK:
            said = body[:200].decode(errors="replace")
            raise UpstreamError(f"{path}: status {status}: {said}", passing=status >= _SERVER_ERROR, status=status)
        try:
            answer = self.decoded(body)
        except ValueError as error:
            raise UpstreamError(f"{path}: not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise UpstreamError(f"{path}: a JSON {type(answer).__name__}, not an object")
        return answer

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self.host, self.port, ssl=self._tls)
        return connection

    def _keep(self, connection: "_Connection") -> None:
        if connection.reusable and not self._retired:
            self._idle.append(connection)
        else:
            connection.close()

    def retire(self) -> None:
        """Close idle connections now and the others when their request is answered."""
        self._retired = True
        while self._idle:
            self._idle.pop().close()

    def _message(self, path: str, body: bytes, headers: str) -> bytes:
        first = f"POST {self._prefix}{path} HTTP/1.1\r\n{self._same}content-length: {len(body)}\r\n{headers}\r\n"
        return first.encode("latin-1") + body


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.reusable = True

    def send(self, message: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send; the future ends with status and body."""
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._answer.set_exception(_Stale("closed while idle", passing=True))
            return self._answer
        self._body, self._started = bytearray(), False
        self._transport.write(message)
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked for this
            return
        self._started = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(UpstreamError(f"not HTTP/1.1: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if self._answer is not None and not self._answer.done():
            kind = UpstreamError if self._started else _Stale
            said = f"the connection was closed before an answer: {error or 'end of stream'}"
            self._answer.set_exception(kind(said, passing=True))

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > MAX_ANSWER_BYTES:
            self._fail(UpstreamError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes"))

    def on_message_complete(self) -> None:
        if self._answer is None or self._answer.done():
            return
        self.reusable = self._parser.should_keep_alive()
        self._answer.set_result((self._parser.get_status_code(), bytes(self._body)))

    def _fail(self, error: UpstreamError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.close()

    def close(self) -> None:
        """Close at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()
