"""The operator's process: the engine in the main thread's loop, kopf's watches in a thread of their own.

kopf cancels tasks that it does not know when it ends, so the two share no loop.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

from lore_operator import handlers
from lore_operator.engine.client import Manifest
from lore_operator.engine.credentials import connect
from lore_operator.engine.framework import kopf
from lore_operator.engine.keys import Key
from lore_operator.engine.operator import Engine
from lore_operator.engine.reconcile import Planner
from lore_operator.engine.remedies import ClusterTooOld
from lore_operator.logs import log_as_json
from lore_operator.plan import deployment, evaluation, model, trainjob
from lore_operator.settings import Settings, SettingsError

PLANNERS: Mapping[str, Planner] = {
    "RelevanceTrainJob": trainjob,
    "RelevanceModel": model,
    "RelevanceEval": evaluation,
    "RelevanceDeployment": deployment,
}
_log = logging.getLogger("lore_operator")


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop, 1 where a part of the operator died, 2 for wrong settings."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        print(f"lore-operator: {error}", file=sys.stderr)
        return 2
    log_as_json(settings.log_level)
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    engine = Engine(settings, PLANNERS, connect, os.environ.get("HOSTNAME") or "lore-operator")
    loop, stop = asyncio.get_running_loop(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, engine.stop)

    def changed(key: Key, resource: Manifest, deleted: bool) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(lambda: engine.changed(key, resource, deleted=deleted))

    async def watch() -> None:
        await engine.ready.wait()
        gc.freeze()  # modules and their like stay for good: a full collection need not look at them, for 0.1 s each time
        await asyncio.to_thread(_watch, settings, changed, stop)

    working, watching = asyncio.create_task(engine.run()), asyncio.create_task(watch())
    await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
    died = watching.done()
    engine.stop()
    stop.set()
    if not engine.ready.is_set():
        watching.cancel()
    ends = await asyncio.gather(working, watching, return_exceptions=True)
    failures = [end for end in ends if isinstance(end, Exception)]
    for failure in failures:
        if isinstance(failure, ClusterTooOld):
            _log.error("%s", failure)
        else:
            _log.error("a part of the operator died", exc_info=failure)
    return 1 if failures or died else 0


def _watch(settings: Settings, changed: handlers.Changed, stop: threading.Event) -> None:
    asyncio.run(
        kopf.operator(
            registry=handlers.registry_of(changed, connect),
            settings=handlers.settings(),
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            standalone=True,
            stop_flag=stop,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
