"""`lore router load`: the sidecar beside `lore router serve`."""

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from lore_core.router.loader import Loader
from lore_core.router.serve_command import CONFIG_FILE, DATA_FOLDER
from lore_core.router.shelf import Shelf
from lore_core.router.source import client_from_environment, config_texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore router load`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_FILE), help="the mounted RouterConfig")
    parser.add_argument("--data", type=Path, default=Path(DATA_FOLDER), help="the folder to fill")


def run(args: argparse.Namespace) -> int:
    """Follow the configuration until SIGTERM or SIGINT; 0."""
    asyncio.run(_follow(args))
    return 0


async def _follow(args: argparse.Namespace) -> None:
    loop, loader = asyncio.get_running_loop(), Loader(Shelf(args.data))
    task = asyncio.create_task(loader.follow(config_texts(args.config, client_from_environment())))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
