"""How far long work of a command is: one line of a terminal that is written over, and nothing where nobody looks."""

import sys
import time
from collections.abc import Callable, Generator, Iterable
from typing import Final, TextIO, TypeVar

Item = TypeVar("Item")
_EVERY_SECONDS: Final = 0.5
_ERASE: Final = "\r\x1b[K"


def counted(
    items: Iterable[Item],
    what: str,
    total: int | None = None,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Item, None, None]:
    """The items as they are. Where standard error is a terminal it shows how many have been taken, and how long the rest takes."""
    out = sys.stderr if stream is None else stream
    if not out.isatty():
        yield from items
        return
    started = shown = clock()
    try:
        for done, item in enumerate(items, 1):
            yield item
            now = clock()
            if now - shown >= _EVERY_SECONDS and done != total:
                shown = now
                out.write(_ERASE + _line(what, done, total, now - started))
                out.flush()
    finally:
        out.write(_ERASE)
        out.flush()


def _line(what: str, done: int, total: int | None, spent: float) -> str:
    if total is None:
        return f"{done:,} {what}"
    left = spent / done * (total - done)
    return f"{done:,} of {total:,} {what} ({done / total:.0%}), about {left:,.0f} s left"
