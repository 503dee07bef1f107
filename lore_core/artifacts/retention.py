"""What a workspace keeps and what may go: a pure decision over what lies there and what is named anywhere.

Kept is what a resource, a revision, an attempt's record or a kept artifact names, by uri, by digest, or by the input key that
its folder is called after. Checkpoints and answers serve a result, and only until it is there. What is not known by its
place is never touched.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from lore_core.artifacts.ref import URI_PATTERN

KEY_DIGITS: Final = 20
"""Digits of an input key in the name of a folder."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_URI: Final = re.compile(URI_PATTERN)


class Kind(StrEnum):
    """What `lore gc` knows by its place in a workspace."""

    MODEL = "model"
    PAIRS = "pairs"
    HEAD = "head"
    STRATA = "strata"
    EVIDENCE = "evidence"
    CHECKPOINTS = "checkpoints"
    ANSWERS = "answers"


COMPARED: Final = frozenset({Kind.STRATA})
"""Kinds whose inputs nothing reads again: a snapshot names the one that served before it, and so all before that one."""
SERVES: Final = {Kind.CHECKPOINTS: Kind.MODEL, Kind.ANSWERS: Kind.EVIDENCE}
"""Kinds that another one of the same key is made from: once it is whole, nothing reads them again."""


class Item(NamedTuple):
    """One folder that is kept or goes as a whole.

    `path` is its place below the workspace, `key` the beginning of the input key that it is called after, `written` when the
    newest of its files was written (None where the store does not tell). `digest` is None for what has no manifest: it is not
    whole. `inputs` are the digests that the manifest names.
    """

    path: str
    kind: Kind
    key: str
    size: int
    written: datetime | None
    digest: str | None = None
    inputs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Named:
    """Every digest and uri that some document names, wherever in it; input keys are digests too."""

    digests: frozenset[str] = frozenset()
    uris: frozenset[str] = frozenset()

    @classmethod
    def by(cls, documents: Iterable[Any]) -> "Named":
        """What JSON documents name, also in texts that are JSON themselves, as configs and reports are in a ConfigMap."""
        texts = [text for document in documents for text in _texts(document)]
        digests = frozenset(found for text in texts for found in _DIGEST.findall(text))
        return cls(digests, frozenset(text.rstrip("/") for text in texts if _URI.match(text)))

    def keys(self) -> frozenset[str]:
        """Beginnings of all digests, as folders are called after them."""
        return frozenset(digest.removeprefix("sha256:")[:KEY_DIGITS] for digest in self.digests)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        if value[:1] in "{[":
            try:
                yield from _texts(json.loads(value))
            except ValueError:
                return
    elif isinstance(value, dict):
        yield from (text for item in (*value.keys(), *value.values()) for text in _texts(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in _texts(item))


class Judgement(NamedTuple):
    """Whether an item goes, and why or why not."""

    item: Item
    goes: bool
    why: str


def judge(items: Sequence[Item], named: Named, workspace: str, now: datetime, min_age: timedelta) -> list[Judgement]:
    """One judgement an item, in their order. `workspace` is the uri that the items' paths are below."""
    keys, whole = named.keys(), {(item.kind, item.key) for item in items if item.digest}
    kept = _kept(items, named, keys, workspace.rstrip("/"))
    return [_aged(item, _purpose(item, keys, whole, kept), now, min_age) for item in items]


def _kept(items: Sequence[Item], named: Named, keys: frozenset[str], workspace: str) -> dict[str, str]:
    """Path → why, of every whole artifact that is named, or an input of one that is kept."""
    made = defaultdict(list)
    for item in items:
        if item.digest:
            made[item.digest].append(item)
    below = [uri.removeprefix(f"{workspace}/") for uri in named.uris if uri.startswith(f"{workspace}/")]
    whole = [item for found in made.values() for item in found]
    todo = [item for item in whole if item.digest in named.digests or item.key in keys or _is_at(item, below)]
    kept = {item.path: "named by a resource, a revision or an attempt" for item in todo}
    while todo:
        for digest in _made_from(todo.pop()):
            for item in made[digest]:
                if item.path not in kept:
                    kept[item.path] = "made into what is kept"
                    todo.append(item)
    return kept


def _made_from(item: Item) -> frozenset[str]:
    return frozenset() if item.kind in COMPARED else item.inputs


def _is_at(item: Item, below: Iterable[str]) -> bool:
    """Whether a uri names the item, a file of it, or the folder that it lies in."""
    return any(f"{item.path}/".startswith(f"{path}/") or path.startswith(f"{item.path}/") for path in below)


def _purpose(item: Item, keys: frozenset[str], whole: set[tuple[Kind, str]], kept: dict[str, str]) -> Judgement:
    """Whether anything needs it, whatever its age."""
    if (result := SERVES.get(item.kind)) is not None:
        if (result, item.key) in whole:
            return Judgement(item, True, f"its {result} is there")
        goes_on = item.key in keys
        return Judgement(item, not goes_on, "its work goes on from it" if goes_on else "no resource does this work")
    if item.digest is None:
        in_work = item.key in keys
        return Judgement(item, not in_work, "being written" if in_work else "not whole, and no resource makes it")
    why = kept.get(item.path)
    return Judgement(item, why is None, why or "nothing names it")


def _aged(item: Item, found: Judgement, now: datetime, min_age: timedelta) -> Judgement:
    if not found.goes:
        return found
    if item.written is None:
        return Judgement(item, False, "the store does not tell its age")
    return found if now - item.written >= min_age else Judgement(item, False, f"younger than {min_age}; {found.why}")
