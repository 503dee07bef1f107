"""The smallest HTTP/1.1 that both ends of a benchmark need, so that neither end is what is measured.

Both sides keep connections open, send a Content-Length and never pipeline.
"""

import asyncio
import time
from collections.abc import Sequence

_END = b"\r\n\r\n"


def message_length(buffer: bytes | bytearray) -> int | None:
    """Bytes of the first whole message in `buffer`, or None while it is incomplete. ValueError without Content-Length."""
    end = buffer.find(_END)
    if end < 0:
        return None
    at = buffer[: end + 2].lower().find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"a message without Content-Length: {bytes(buffer[:200])!r}")
    length = end + len(_END) + int(buffer[at + 17 : buffer.find(b"\r\n", at + 17)])
    return length if len(buffer) >= length else None


class StubBackend(asyncio.Protocol):
    """A server that answers every request of n prompts with the same nth JSON body: the cheapest predictor there is."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._answers, self._buffer = [(head % len(body)).encode() + body for body in bodies], bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (length := message_length(self._buffer)) is not None:
            more = self._buffer.count(b"],[", 0, length)
            del self._buffer[:length]
            self._transport.write(self._answers[more])


class _Caller(asyncio.Protocol):
    """One connection that sends the next request as soon as it has the last answer (closed loop), or at given times."""

    def __init__(self, requests: Sequence[bytes], offset: int, latencies: list[float], until: float) -> None:
        self._requests, self._next, self._latencies, self._until = requests, offset, latencies, until
        self._buffer, self._sent = bytearray(), 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        """Note the latency of a whole answer; anything but 200 is an error of the benchmark."""
        self._buffer += data
        length = message_length(self._buffer)
        if length is None:
            return
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._finish(ValueError(bytes(self._buffer[:500]).decode(errors="replace")))
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        self._buffer.clear()
        self._finish(None) if now >= self._until else self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """A connection closed before the end is an error."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent = time.perf_counter()
        self._transport.write(request)

    def _finish(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)
        self._transport.close()


def post(path: str, body: bytes) -> bytes:
    """The bytes of one POST request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def closed_loop(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies in seconds and requests per second of `clients` connections that never wait between requests."""
    latencies: list[float] = []
    loop, start = asyncio.get_running_loop(), time.perf_counter()
    callers = []
    for number in range(clients):
        offset = number * len(requests) // clients
        _, caller = await loop.create_connection(
            lambda offset=offset: _Caller(requests, offset, latencies, start + seconds), "127.0.0.1", port
        )
        callers.append(caller.done)
    await asyncio.gather(*callers)
    return latencies, len(latencies) / (time.perf_counter() - start)


async def open_loop(port: int, requests: Sequence[bytes], rate: float, clients: int, seconds: float) -> list[float]:
    """Latencies in seconds at a fixed arrival rate; an arrival that finds no free connection waits, and the wait counts."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes] | None]()
    latencies: list[float] = []

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (job := await queue.get()) is not None:
            due, request = job
            writer.write(request)
            buffer = bytearray()
            while message_length(buffer) is None:
                buffer += await reader.read(1 << 18)
            latencies.append(loop.time() - due)
        writer.close()

    tasks = [asyncio.create_task(caller()) for _ in range(clients)]
    start, count = loop.time(), int(rate * seconds)
    for number in range(count):
        due = start + number / rate
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        queue.put_nowait((due, requests[number % len(requests)]))
    for _ in tasks:
        queue.put_nowait(None)
    await asyncio.gather(*tasks)
    return latencies
