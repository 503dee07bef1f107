"""`python -m benchmarks.router.stub PORT`: the stub backend in a process of its own."""

import asyncio
import json
import sys

import uvloop

from benchmarks.router.wire import StubBackend

_MOST = 8
"""Prompts of a request, at most."""


def body(prompts: int) -> bytes:
    """The answer to so many prompts."""
    rows = [{"index": row, "label": "L1", "probs": [0.7, 0.1, 0.1, 0.1], "num_classes": 4} for row in range(prompts)]
    return json.dumps({"data": rows}, separators=(",", ":")).encode()


async def serve(port: int) -> None:
    bodies = [body(prompts) for prompts in range(1, _MOST + 1)]
    server = await asyncio.get_running_loop().create_server(lambda: StubBackend(bodies), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
