"""Minimal routers, one per runtime, that do the least a router can do; `python -m benchmarks.router.contenders NAME PORT BACKEND`.

`/pass` sends the body on to the backend and returns its answer. `/head` decodes `{"query", "items": [{"id", "text"}]}`, hashes
each item, finds its four probabilities in a sorted array and encodes labels and probabilities.
"""

import asyncio
import hashlib
import sys
from typing import Any

import msgspec
import numpy as np
import uvloop

from benchmarks.router.wire import message_length

LABELS = ("L1", "L2", "L3", "L4")


class Item(msgspec.Struct):
    """One item asked."""

    id: str
    text: str


class Request(msgspec.Struct):
    """A query with its items."""

    query: str
    items: list[Item]


class Answer(msgspec.Struct):
    """One item answered."""

    id: str
    label: str
    probabilities: list[float]


def key(query: str, item: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{query}\n{item}".encode(), digest_size=8).digest(), "little")


class Head:
    """10,000 entries in memory, looked up as the real generation is: sorted keys, content hashes, four float32."""

    def __init__(self) -> None:
        entries = sorted((key(f"query {q}", str(i)), key("", item_text(i))) for q in range(100) for i in range(100))
        self._keys = np.array([k for k, _ in entries], dtype=np.uint64)
        self._content = np.array([c for _, c in entries], dtype=np.uint64)
        self._scores = np.random.default_rng(1).dirichlet(np.ones(4), len(entries)).astype(np.float32)
        self._decode, self._encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode

    def answer(self, body: bytes) -> bytes:
        """Decode, hash, look up, encode."""
        request = self._decode(body)
        keys = np.array([key(request.query, item.id) for item in request.items], dtype=np.uint64)
        content = np.array([key("", item.text) for item in request.items], dtype=np.uint64)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        if not ((self._keys[at] == keys) & (self._content[at] == content)).all():
            raise ValueError("the benchmark asks for entries that exist")
        scores = self._scores[at]
        labels = scores.argmax(axis=1).tolist()
        pairs = zip(request.items, labels, scores.tolist(), strict=True)
        return self._encode([Answer(item.id, LABELS[best], p) for item, best, p in pairs])


def item_text(number: int) -> str:
    return f"item {number} ".ljust(120, "x")


class RawClient:
    """Keep-alive connections to the backend, written on asyncio protocols."""

    def __init__(self, port: int) -> None:
        self._port, self._idle = port, list[_Upstream]()

    async def post(self, body: bytes) -> bytes:
        """Send and wait."""
        if self._idle:
            connection = self._idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(_Upstream, "127.0.0.1", self._port)
        answer = await connection.send(body)
        self._idle.append(connection)
        return answer


class _Upstream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()

    def send(self, body: bytes) -> asyncio.Future[bytes]:
        self._answer = self._loop.create_future()
        self._transport.write(
            b"POST /classify HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(body)
            + body
        )
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if (length := message_length(self._buffer)) is not None:
            at = self._buffer.find(b"\r\n\r\n") + 4
            self._answer.set_result(bytes(self._buffer[at:length]))
            self._buffer.clear()


class LibraryClient:
    """Keep-alive connections to the backend through aiohttp."""

    def __init__(self, port: int) -> None:
        self._url, self._session = f"http://127.0.0.1:{port}/classify", None

    async def post(self, body: bytes) -> bytes:
        """Send and wait."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.post(self._url, data=body) as response:
            return await response.read()


class RawServer(asyncio.Protocol):
    """A server on asyncio protocols with the httptools parser."""

    def __init__(self, head: Head, client: Any) -> None:
        import httptools

        self._head, self._client, self._parser = head, client, httptools.HttpRequestParser(self)
        self._url, self._body = b"", bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Part of the path."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer."""
        url, body = self._url, bytes(self._body)
        self._url, self._body = b"", bytearray()
        if url == b"/head":
            self._write(self._head.answer(body))
        else:
            self._task = asyncio.ensure_future(self._pass(body))

    async def _pass(self, body: bytes) -> None:
        self._write(await self._client.post(body))

    def _write(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )


async def serve_raw(port: int, client: Any) -> None:
    head = Head()
    server = await asyncio.get_running_loop().create_server(lambda: RawServer(head, client), "127.0.0.1", port)
    await server.serve_forever()


async def serve_aiohttp(port: int, client: Any) -> None:
    from aiohttp import web

    head = Head()

    async def pass_through(request: web.Request) -> web.Response:
        return web.Response(body=await client.post(await request.read()), content_type="application/json")

    async def lookup(request: web.Request) -> web.Response:
        return web.Response(body=head.answer(await request.read()), content_type="application/json")

    app = web.Application(client_max_size=4 << 20)
    app.add_routes([web.post("/pass", pass_through), web.post("/head", lookup)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def serve_granian(port: int, client: Any) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    head = Head()

    async def app(scope: Any, proto: Any) -> None:
        body = await proto()
        answer = head.answer(body) if scope.path == "/head" else await client.post(body)
        proto.response_bytes(200, [("content-type", "application/json")], answer)

    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.RSGI, log_enabled=False)
    uvloop.run(server.serve())


def main() -> None:
    name, port, backend = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    runtime, _, client_name = name.partition("+")
    client = RawClient(backend) if client_name == "raw" else LibraryClient(backend)
    if runtime == "granian":
        serve_granian(port, client)
    else:
        uvloop.run({"raw": serve_raw, "aiohttp": serve_aiohttp}[runtime](port, client))


if __name__ == "__main__":
    main()
