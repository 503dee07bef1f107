"""`python -m benchmarks.faults.predictor PORT P1,P2,P3,P4`: a stub of vLLM's `/classify` that misbehaves on demand.

`POST /behave` with one of `MODES` as its body changes what every later request gets.
"""

import asyncio
import itertools
import json
import sys
from typing import Final

import uvloop

from benchmarks.router.wire import message_length

MODES: Final = ("well", "slow", "hang", "fail", "garbage", "cut")
SECONDS: Final = {"well": 0.005, "slow": 0.1}
GARBAGE: Final = (
    b"<html>it works</html>",
    b"null",
    b"[]",
    b"{}",
    b'{"data":[]}',
    b'{"data":[{"probs":"high"}]}',
    b'{"data":[{"probs":[0.5,0.5]}]}',
    b'{"data":[{"probs":[0.5,0.5,0.5,0.5]}]}',
    b'{"data":[{"probs":[NaN,0.5,0.25,0.25]}]}',
    b'{"data":[{"probs":[2.0,-1.0,0.0,0.0]}]}',
    b'{"data":[{"probs":[0.5,0.25,0.125,0.125]',
    b"\xff\xfe\x00",
)


class Server:
    """What all connections share: the mode, and the next piece of garbage."""

    def __init__(self, scores: list[float]) -> None:
        self.mode, self.garbage = "well", itertools.cycle(GARBAGE)
        self.body = json.dumps({"data": [{"index": 0, "probs": scores}]}).encode()


class Connection(asyncio.Protocol):
    """One connection of a router, or of who says how to behave."""

    def __init__(self, server: Server) -> None:
        self._server, self._buffer = server, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer each whole request in the present mode."""
        self._buffer += data
        while (length := message_length(self._buffer)) is not None:
            message = bytes(self._buffer[:length])
            del self._buffer[:length]
            if message.startswith(b"POST /behave "):
                self._server.mode = message.partition(b"\r\n\r\n")[2].decode()
                self._write(200, b"{}")
            else:
                self._answer(self._server.mode)

    def _answer(self, mode: str) -> None:
        if mode in SECONDS:
            asyncio.get_running_loop().call_later(SECONDS[mode], self._write, 200, self._server.body)
        elif mode == "fail":
            self._write(500, b'{"error":"engine dead"}')
        elif mode == "garbage":
            self._write(200, next(self._server.garbage))
        elif mode == "cut":
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            self._transport.close()

    def _write(self, status: int, body: bytes) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


async def serve(port: int, scores: list[float]) -> None:
    shared = Server(scores)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shared), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), [float(p) for p in sys.argv[2].split(",")]))
