"""`python -m lore_operator.verdicts`: a process of its own, whose account may review tokens and read evaluations and no more."""

import asyncio
import os
import signal
import ssl
import sys
from pathlib import Path

from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.listen import listen
from lore_operator.verdicts.server import application

_PORT = 8080


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 for wrong settings."""
    port, folder = os.environ.get("LORE_VERDICTS_PORT", str(_PORT)), os.environ.get("LORE_VERDICTS_TLS", "")
    if not port.isdecimal() or int(port) > 65_535:
        print(f"LORE_VERDICTS_PORT is {port!r}; give a port", file=sys.stderr)
        return 2
    try:
        tls = _tls(Path(folder)) if folder else None
    except (OSError, ssl.SSLError) as error:
        print(f"LORE_VERDICTS_TLS is {folder!r}: {error}; give a folder with tls.crt and tls.key", file=sys.stderr)
        return 2
    audiences = [one.strip() for one in os.environ.get("LORE_VERDICTS_AUDIENCES", "").split(",") if one.strip()]
    asyncio.run(_serve(int(port), tls, audiences))
    return 0


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


async def _serve(port: int, tls: ssl.SSLContext | None, audiences: list[str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with KubeClient(connect) as client:
        runner, taken = await listen(application(client, audiences), port, tls=tls)
        try:
            print(f"listening on port {taken}", flush=True)
            await stop.wait()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
