"""From the newest configuration text to the one that serves: read, load everything, ask new predictors, swap in one assignment."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from typing import Final

from pydantic import ValidationError

from lore_core.artifacts.store import ArtifactError
from lore_core.jobs.errors import JobError
from lore_core.router.app import RouterApp
from lore_core.router.config import PendingConfig, RouterConfig
from lore_core.router.loaded import Library, Serving

_RETRY_SECONDS: Final = 0.5


def read_config(text: str) -> RouterConfig:
    """A configuration from its text. Raises ValueError naming the field."""
    try:
        return RouterConfig.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise ValueError(f"router.json: {where}: {first['msg']}") from error


class Swapper:
    """Keeps trying the newest configuration until everything it names is there; the old one serves meanwhile.

    What a configuration names includes predictors: one that is new here has to answer a first question. A router that serves
    nothing yet asks them as well, and begins whatever came of it: heads and fallbacks answer beside a predictor that is gone.
    It also begins with the part that carries weight, so that a broken candidate cannot keep it from starting; that part has
    another hash, so it acknowledges nothing.
    """

    def __init__(
        self,
        app: RouterApp,
        library: Library,
        *,
        retry_seconds: float = _RETRY_SECONDS,
        swapped: Callable[[], None] = lambda: None,
    ) -> None:
        """`swapped` is called whenever a configuration begins to serve."""
        self._app, self._library, self._retry_seconds, self._swapped = app, library, retry_seconds, swapped
        self._wanted: RouterConfig | None = None
        self._changed = asyncio.Event()

    async def follow(self, texts: AsyncIterator[str]) -> None:
        """Serve each configuration as it comes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work())
            async for text in texts:
                try:
                    self._wanted = read_config(text)
                except ValueError as error:
                    self._waits(None, str(error))
                else:
                    self._changed.set()

    async def _work(self) -> None:
        """One load at a time; a newer configuration is taken up as soon as the current attempt ends."""
        while True:
            self._changed.clear()
            served = self._wanted is None or await self._serve(self._wanted)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if served else self._retry_seconds):
                    await self._changed.wait()

    async def _serve(self, config: RouterConfig) -> bool:
        reason = await self._try(config)
        if reason is None:
            self._app.pending = None
            return True
        self._waits(config.content_digest(), reason)
        if self._app.serving is None:
            await self._try(config.serving_part())
        return False

    async def _try(self, config: RouterConfig) -> str | None:
        """Load and swap in; the reason why not, otherwise."""
        try:
            serving = await asyncio.to_thread(self._library.load, config)
        except (ArtifactError, JobError, ValueError, OSError, KeyError) as error:
            return f"{type(error).__name__}: {error}"
        unanswered = await self._first_questions(serving)
        if unanswered is not None and self._app.serving is not None:
            return unanswered
        self._swap_in(serving)
        return None

    async def _first_questions(self, serving: Serving) -> str | None:
        """Ask every predictor whose backend no composition here had before; which one does not answer, and why."""
        served = self._app.serving.compositions.values() if self._app.serving is not None else ()
        known = {one.backend for loaded in served for one in loaded.predictors.values() if not one.rests}
        cold = {
            f"composition {revision}: {stratum}": predictor
            for revision, loaded in serving.compositions.items()
            for stratum, predictor in loaded.predictors.items()
            if predictor.cold and predictor.backend not in known
        }
        found = await asyncio.gather(*(one.warm_up() for one in cold.values()), return_exceptions=True)
        failed = [(name, error) for name, error in zip(cold, found, strict=True) if error is not None]
        return (
            "; ".join(f"{name}: no answer to a first question: {type(e).__name__}: {e}" for name, e in failed) or None
        )

    def _swap_in(self, serving: Serving) -> None:
        self._app.serving = serving
        self._app.statistics.keep(set(serving.compositions))
        stable = serving.compositions[serving.config.stable]
        self._app.traffic.serves(stable.composition.strata.digest, stable.shares)
        self._app.metrics.serves_snapshot(stable.shares)
        self._app.metrics.swaps.inc()
        self._library.forget_unused()
        self._swapped()
        print(f"router: serves {serving.config_hash}: {', '.join(serving.compositions)}", file=sys.stderr)

    def _waits(self, config_hash: str | None, reason: str) -> None:
        pending = PendingConfig(config_hash=config_hash, reason=reason)
        if pending != self._app.pending:
            self._app.pending = pending
            self._app.metrics.load_failures.inc()
            print(f"router: configuration waits: {reason}", file=sys.stderr)
