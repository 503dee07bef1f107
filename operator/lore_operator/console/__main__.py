"""The console's process: `python -m lore_operator.console`, with LORE_HTTP_PORT and LORE_LOG_LEVEL."""

import asyncio
import logging
import signal
import sys

from lore_operator.console.server import Console
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.listen import listen
from lore_operator.logs import log_as_json
from lore_operator.settings import ConsoleSettings, SettingsError

_log = logging.getLogger("lore_operator.console")


def main() -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean stop, 2 for wrong settings."""
    try:
        settings = ConsoleSettings.from_environment()
    except SettingsError as error:
        print(f"lore console: {error}", file=sys.stderr)
        return 2
    log_as_json(settings.log_level)
    asyncio.run(_run(settings))
    return 0


async def _run(settings: ConsoleSettings) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with KubeClient(connect) as client:
        runner, port = await listen(Console(client).app(), settings.http_port)
        _log.info("listens on port %d", port)
        try:
            await stop.wait()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
