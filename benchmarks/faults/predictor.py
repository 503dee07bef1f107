"""`python -m benchmarks.faults.predictor PORT P1,P2,P3,P4`: a stub of vLLM's `/classify` that misbehaves on demand.

`POST /behave` with one of `MODES` as its body changes what every later question gets. `GET`, a kubelet's probe, is always
answered: what misbehaves stays Ready.
"""

import asyncio
import itertools
import json
import sys
from typing import Final

import uvloop

from benchmarks.router.wire import message_length

MISBEHAVIOUR: Final = ("hang", "fail", "garbage", "cut")
MODES: Final = ("well", "slow", *MISBEHAVIOUR)
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

    def __init__(self, scores: list[float], mode: str) -> None:
        self.mode, self.garbage = mode, itertools.cycle(GARBAGE)
        self._scores = scores

    def answer(self, question: bytes) -> bytes:
        """Equal scores for each prompt of a question."""
        asked = json.loads(question)["input"]
        rows = range(len(asked) if isinstance(asked[0], list) else 1)
        return json.dumps({"data": [{"index": row, "probs": self._scores} for row in rows]}).encode()


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
        while (length := self._whole()) is not None:
            message = bytes(self._buffer[:length])
            del self._buffer[:length]
            body = message.partition(b"\r\n\r\n")[2]
            if message.startswith(b"POST /behave "):
                self._server.mode = body.decode()
                self._write(200, b"{}")
            elif message.startswith(b"GET "):
                self._write(200, b"{}")
            else:
                self._answer(self._server.mode, body)

    def _whole(self) -> int | None:
        """Bytes of the first whole message; a GET has no body and says no length."""
        if not self._buffer.startswith(b"GET "):
            return message_length(self._buffer)
        end = self._buffer.find(b"\r\n\r\n")
        return end + 4 if end >= 0 else None

    def _answer(self, mode: str, question: bytes) -> None:
        if mode in SECONDS:
            answer = self._server.answer(question)
            asyncio.get_running_loop().call_later(SECONDS[mode], self._write, 200, answer)
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


async def serve(port: int, scores: list[float], mode: str = "well", host: str = "127.0.0.1") -> None:
    shared = Server(scores, mode)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shared), host, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), [float(p) for p in sys.argv[2].split(",")]))
