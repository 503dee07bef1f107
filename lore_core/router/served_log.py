"""A share of the answered rerank requests as JSONL on standard output: what GoodRate's sample is drawn from.

Each request is taken with the same chance, whatever its query. Lines wait in a bounded queue for a thread that writes them: a pipe
that nobody reads costs lines, which are counted, and never an answer.
"""

import queue
import random
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import BinaryIO, Final

import msgspec

from lore_core.router.answering import Answer
from lore_core.router.requests import Asked

_QUEUE: Final = 1024
_PERCENT: Final = 100
Count = Callable[[str], None]
"""Told of each line that was `written` or `dropped`, and of each request `unnamed`: a document had no id."""


class ServedRow(msgspec.Struct):
    """One line; the fields are those of `lore_core.goodrate.rows.Served`."""

    request: str
    date: str
    stratum: str
    revision: str
    query: str
    market: str
    items: list[str]


class ServedLog:
    """Writes `percent` of what it is offered."""

    def __init__(self, percent: int, count: Count, stream: BinaryIO | None = None) -> None:
        self._share, self._count = percent / _PERCENT, count
        self._stream = stream or sys.stdout.buffer
        self._waiting: queue.Queue[ServedRow] = queue.Queue(_QUEUE)
        threading.Thread(target=self._write, name="served-log", daemon=True).start()

    def offer(self, request: str, asked: Asked, answer: Answer, shown: Sequence[int]) -> None:
        """An answered request, and the rows of its items that were given back, best first; returns at once."""
        if random.random() >= self._share:
            return
        items = [name for row in shown if (name := asked.items[row].id) is not None]
        if len(items) < len(shown):
            self._count("unnamed")
            return
        day = datetime.now(UTC).date().isoformat()
        row = ServedRow(request, day, answer.stratum, answer.revision, asked.query, asked.market, items)
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            self._count("dropped")

    def _write(self) -> None:
        encode = msgspec.json.Encoder().encode
        while True:
            row = self._waiting.get()
            try:
                self._stream.write(encode(row) + b"\n")
                self._stream.flush()
            except (OSError, ValueError):  # a stream that is closed takes nothing
                self._count("dropped")
            else:
                self._count("written")
