"""One way to serve HTTP, for health, console and verdicts."""

import ssl
from typing import Any, Final

from aiohttp import web

_CLOSE_SECONDS: Final = 10.0


async def listen(
    app: web.Application, port: int, host: str | None = None, tls: ssl.SSLContext | None = None
) -> tuple[web.AppRunner, int]:
    """Serve on a port of all addresses (or of `host`); 0 takes a free one. The caller cleans the runner up."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host=host, port=port, ssl_context=tls).start()
    # With port 0 each family of addresses has a port of its own: IPv4's where there is one (host, port), else IPv6's.
    address: Any = min(runner.addresses, key=len)
    return runner, int(address[1])
