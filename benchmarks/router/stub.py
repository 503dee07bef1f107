"""`python -m benchmarks.router.stub PORT`: the stub backend in a process of its own."""

import asyncio
import sys

import uvloop

from benchmarks.router.wire import StubBackend

BODY = b'{"data":[{"index":0,"label":"L1","probs":[0.7,0.1,0.1,0.1],"num_classes":4}]}'


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: StubBackend(BODY), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
