"""Answers in parts: what one pod scores, what another finds again, and what the reduce step puts together.

A part is a fixed run of consecutive pairs of the benchmark, an artifact of its own under the evaluation's input key. So a pod
that was stopped goes on at the first part that is missing, another number of shards uses the same parts, and what is put
together is known to be the whole benchmark and nothing else.
"""

import contextlib
import heapq
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from lore_core.artifacts import DigestMismatch, Manifest, open_store, publish, verify
from lore_core.evaluation.answers import AnswerRow
from lore_core.jobs import EvaluateConfig
from lore_core.jobs.errors import JobError
from lore_core.prompts.chat import chat_prompt_digest
from lore_core.records import Pair
from lore_core.records.jsonl import read_records, write_jsonl

KIND: Final = "answers"
_FILE: Final = "answers.jsonl"
_DECODING: Final = "decoding"
_LEAST: Final = 256
_MOST_PARTS: Final = 512
_NAMED: Final = 8


def part_size(pairs: int) -> int:
    """Pairs of a part, by the size of the benchmark alone; there are at most 512 parts, which are merged from open files."""
    return max(_LEAST, -(-pairs // _MOST_PARTS))


def part_count(pairs: int) -> int:
    """Number of parts."""
    return -(-pairs // part_size(pairs))


def in_parts(pairs: Iterable[Pair], size: int) -> Iterator[tuple[int, list[Pair]]]:
    """Number and pairs of each part, streamed."""
    rest, number = iter(pairs), 0
    while part := list(islice(rest, size)):
        yield number, part
        number += 1


class Parts:
    """The parts of one evaluation in its workspace."""

    def __init__(self, config: EvaluateConfig, manifests: dict[str, Manifest]) -> None:
        self._config = config
        self._inputs = {field: manifest.digest for field, manifest in manifests.items() if field != "champion"}
        if config.generation is not None:
            self._inputs["generation"] = config.generation.content_digest()
        if config.endpoint is not None:
            asked = config.endpoint
            self._inputs |= {"endpoint": asked.identity, "prompt": chat_prompt_digest(asked.prompt_language)}

    def there(self, number: int) -> bool:
        """Whether a part was scored."""
        return open_store(self._config.part(number)).exists()

    def put(self, number: int, rows: Iterable[AnswerRow], decoding: dict[str, JsonValue]) -> None:
        """Keep a part's answers, in the order of their ids, with the time each took; one that is there already stays."""
        ordered = sorted(rows, key=lambda row: row.id)
        with tempfile.TemporaryDirectory(prefix="lore-part-") as folder, contextlib.suppress(DigestMismatch):
            write_jsonl(Path(folder) / _FILE, map(_with_time, ordered))
            publish(Path(folder), self._config.part(number), KIND, self._inputs, {_DECODING: decoding})

    def fetch(self, count: int, into: Path) -> dict[str, JsonValue]:
        """Fetch all parts, every byte verified; returns the decoding parameters that they share.

        Raises JobError where a part is missing or was made from other inputs or under other parameters.
        """
        missing = [number for number in range(count) if not self.there(number)]
        if missing:
            raise JobError("ShardsMissing", _missing(missing, count, self._config.shards))
        decoding: JsonValue = None
        for number in range(count):
            manifest = verify(self._config.part(number), into / str(number))
            decoding = decoding or manifest.metadata.get(_DECODING)
            known = (KIND, self._inputs, decoding)
            if (manifest.kind, manifest.inputs, manifest.metadata.get(_DECODING)) != known:
                raise JobError(
                    "InputsChanged",
                    f"{self._config.part(number).uri}: was scored from other inputs or on another engine than the rest; "
                    "give benchmark and rules by digest, or evaluate again under a new runToken",
                )
        return decoding if isinstance(decoding, dict) else {}


def _with_time(row: AnswerRow) -> dict[str, Any]:
    found = row.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found | ({"latencyMs": row.latency_ms} if row.latency_ms is not None else {})


def _missing(parts: Sequence[int], count: int, shards: int) -> str:
    lost = sorted({number % shards for number in parts})
    named = ", ".join(map(str, lost[:_NAMED])) + (", …" if len(lost) > _NAMED else "")
    return (
        f"{len(parts)} of {count} parts have no answers, of shards {named} ({len(lost)} of {shards}); "
        "a part of a benchmark is no verdict: finish these shards, then reduce again"
    )


def check_whole(pairs: Iterable[Pair], size: int, folder: Path) -> None:
    """Refuse parts that do not answer exactly the benchmark's pairs. Raises JobError."""
    for number, part in in_parts(pairs, size):
        answered = [(row.id, row.gold) for row in part_rows(folder, number)]
        if answered != sorted((pair.id, pair.groundtruth.value) for pair in part):
            raise JobError(
                "AnswersMissing",
                f"part {number} does not answer the pairs that the benchmark has there; score it again",
            )


def part_rows(folder: Path, number: int) -> Iterator[AnswerRow]:
    """The answers of a fetched part, in the order of their ids."""
    return (row for _, row in read_records(folder / str(number) / _FILE, AnswerRow))


def merged(folder: Path, count: int) -> Iterator[AnswerRow]:
    """The answers of all fetched parts in the order of their ids, a line of each part in memory."""
    return heapq.merge(*(part_rows(folder, number) for number in range(count)), key=lambda row: row.id)
