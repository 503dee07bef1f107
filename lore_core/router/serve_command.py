"""`lore router serve`."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Final

from lore_core.router.app import RouterApp
from lore_core.router.auth import BearerTokens
from lore_core.router.http import HttpServer
from lore_core.router.loaded import Library
from lore_core.router.metrics import RouterMetrics
from lore_core.router.otlp import Exporter, settings_from
from lore_core.router.served_log import ServedLog
from lore_core.router.shelf import Shelf
from lore_core.router.source import client_from_environment, config_texts
from lore_core.router.spans import Tracer
from lore_core.router.swap import Swapper
from lore_core.router.tls import ServerTls

CONFIG_FILE: Final = "/etc/lore/router/router.json"
DATA_FOLDER: Final = "/var/lib/lore/router"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore router serve`."""
    parser.add_argument("--config", type=Path, default=Path(CONFIG_FILE), help="the mounted RouterConfig")
    parser.add_argument("--data", type=Path, default=Path(DATA_FOLDER), help="the folder the loader fills")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument(
        "--token-file",
        type=Path,
        help="answer /v1 and /v2 only to bearers of a token in this file; a line is TOKEN [CLIENT [REQUESTS_A_SECOND]]",
    )
    parser.add_argument(
        "--tls-folder",
        type=Path,
        help="folder with tls.crt and tls.key: /v1 and /v2 are then answered on --tls-port only, over TLS",
    )
    parser.add_argument("--tls-port", type=int, default=8443)
    parser.add_argument(
        "--served-log-percent",
        type=int,
        choices=range(101),
        default=0,
        metavar="PERCENT",
        help="write this share of the answered rerank requests to standard output, JSONL for `lore goodrate` (default 0)",
    )
    parser.add_argument(
        "--drain-seconds", type=float, default=5.0,
        help="after SIGTERM: how long to answer as not ready before closing, so that endpoints are withdrawn first",
    )  # fmt: skip
    parser.add_argument("--finish-seconds", type=float, default=20.0, help="then: how long requests in flight may take")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; 0."""
    import uvloop

    try:
        uvloop.run(serve(args))
    except (ValueError, OSError) as error:
        print(f"lore router serve: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(args: argparse.Namespace) -> None:
    """Listen at once (`/healthz` answers), serve as soon as a configuration is loaded, drain on a signal."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = RouterApp(RouterMetrics(), BearerTokens(args.token_file) if args.token_file is not None else None)
    tls = ServerTls(args.tls_folder / "tls.crt", args.tls_folder / "tls.key") if args.tls_folder is not None else None
    exporter = _exporter(app)
    if args.served_log_percent:
        app.served = ServedLog(args.served_log_percent, app.metrics.served)
    servers = await _listening(args, app, tls)
    library = Library(Shelf(args.data))
    # A catalogue of millions of items is not to be walked while callers wait; what is dropped of it is freed all the same.
    swapper = Swapper(app, library, swapped=gc.freeze)
    follower = asyncio.create_task(swapper.follow(config_texts(args.config, client_from_environment())))
    tasks = [follower, *([asyncio.create_task(tls.follow())] if tls is not None else [])]
    await asyncio.wait([*tasks, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    app.draining = True
    for server in servers:
        server.drain()
    if follower.done():
        follower.result()
    await asyncio.sleep(args.drain_seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*(server.close(args.finish_seconds) for server in servers))
    await library.close()
    if exporter is not None:
        await exporter.close()


def _exporter(app: RouterApp) -> Exporter | None:
    """Trace questions where the environment names a receiver. Raises ValueError where it is not understood."""
    settings = settings_from(os.environ)
    if settings is None:
        return None
    exporter = Exporter(settings, app.metrics.spans)
    app.trace = Tracer(settings.ratio, exporter.keep).begin
    return exporter


async def _listening(args: argparse.Namespace, app: RouterApp, tls: ServerTls | None) -> list[HttpServer]:
    """One server; with TLS two: probes and scrapes stay on the plain port."""
    plain = HttpServer(app if tls is None else app.operations, app.refuse, app.max_body)
    print(f"router: listens on {args.host}:{await plain.start(args.host, args.port)}", flush=True)
    if tls is None:
        return [plain]
    server = HttpServer(app, app.refuse, app.max_body)
    port = await server.start(args.host, args.tls_port, tls.context)
    print(f"router: answers over TLS on {args.host}:{port}", flush=True)
    return [plain, server]
