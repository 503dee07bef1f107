"""The loader: keeps the shelf holding what the configuration names, and nothing else. The only holder of credentials."""

import asyncio
import errno
import sys
from collections.abc import AsyncIterator
from typing import Final

from lore_core.artifacts.store import ArtifactError, DigestMismatch, NotFound, WorkspaceFull
from lore_core.router.config import PinnedRef, RouterConfig
from lore_core.router.shelf import Shelf, needed
from lore_core.router.swap import read_config

_FIRST_RETRY_SECONDS: Final = 1.0
_LAST_RETRY_SECONDS: Final = 30.0

_ROOM: Final = (
    "the router's volume is full; it must hold two of each artifact: raise spec.router.cacheSize or free the disk"
)


class Loader:
    """Fetches and verifies into the shelf. What is no longer named goes first, so that a volume for two suffices."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._verified: set[str] = set()

    def reconcile(self, config: RouterConfig) -> dict[str, str]:
        """One pass; returns the reason for each digest that could not be fetched. Blocks on storage."""
        wanted = needed(config)
        for digest in self._shelf.keep_only(ref.digest for ref in wanted):
            self._verified.discard(digest)
            print(f"loader: removed {digest}", file=sys.stderr)
        failures = {ref.digest: problem for ref, only in wanted.items() if (problem := self._get(ref, only))}
        try:
            self._shelf.note_failures(failures)
        except OSError as error:  # where nothing fits any more, this does not either; what serves goes on
            print(f"loader: failures not noted: {error}", file=sys.stderr)
        return failures

    def _get(self, ref: PinnedRef, only: tuple[str, ...] | None) -> str | None:
        """Have one artifact; the reason where that is impossible."""
        if ref.digest in self._verified:
            return None
        try:
            if not self._stands(ref, only):
                self._shelf.put(ref, only)
                print(f"loader: fetched {ref.uri} {ref.digest}", file=sys.stderr)
        except (ArtifactError, OSError, ValueError) as error:
            problem = f"{type(error).__name__}: {f'{ref.uri}: {_ROOM}' if _is_full(error) else error}"
            print(f"loader: {problem}", file=sys.stderr)
            return problem
        self._verified.add(ref.digest)
        return None

    def _stands(self, ref: PinnedRef, only: tuple[str, ...] | None) -> bool:
        """Whether an earlier loader left it whole; what it left damaged is removed."""
        try:
            self._shelf.checked(ref, only)
        except NotFound:
            return False
        except DigestMismatch:
            self._shelf.remove(ref.digest)
            return False
        return True

    async def follow(self, texts: AsyncIterator[str]) -> None:
        """Reconcile at every new configuration, and again with growing pauses while something is missing."""
        wanted: asyncio.Queue[RouterConfig] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work(wanted))
            async for text in texts:
                try:
                    wanted.put_nowait(read_config(text))
                except ValueError as error:
                    print(f"loader: {error}", file=sys.stderr)

    async def _work(self, wanted: "asyncio.Queue[RouterConfig]") -> None:
        config, pause = await wanted.get(), _FIRST_RETRY_SECONDS
        while True:
            while not wanted.empty():
                config, pause = wanted.get_nowait(), _FIRST_RETRY_SECONDS
            failures = await asyncio.to_thread(self.reconcile, config)
            try:
                async with asyncio.timeout(pause if failures else None):
                    config, pause = await wanted.get(), _FIRST_RETRY_SECONDS
            except TimeoutError:
                pause = min(2 * pause, _LAST_RETRY_SECONDS)


def _is_full(error: Exception) -> bool:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or isinstance(error, WorkspaceFull)
