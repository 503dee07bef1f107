"""What lies in a workspace, as `retention` wants to see it. Places are those of `lore_core.jobs`' configs."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from lore_core.artifacts.manifest import MANIFEST_NAME
from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.retention import SERVES, Item, Kind
from lore_core.artifacts.store import ArtifactError, StoredFile, open_store

_KEY: Final = r"(?P<key>[0-9a-f]{20})"
_PLACES: Final = {
    Kind.MODEL: re.compile(rf"stages/{_KEY}/model(?=/)"),
    Kind.PAIRS: re.compile(rf"stages/{_KEY}/pairs(?=/)"),
    Kind.CHECKPOINTS: re.compile(rf"stages/{_KEY}/checkpoints(?=/)"),
    Kind.HEAD: re.compile(rf"heads/{_KEY}(?=/)"),
    Kind.STRATA: re.compile(rf"strata/{_KEY}(?=/)"),
    Kind.EVIDENCE: re.compile(rf"evidence/{_KEY}(?=/)"),
    Kind.ANSWERS: re.compile(rf"answers/{_KEY}(?=/)"),
}


class Inventory(NamedTuple):
    """Items, and the bytes of everything else by the first part of its path."""

    items: tuple[Item, ...]
    unknown: dict[str, int]


def inventory(workspace: ArtifactRef) -> Inventory:
    """Look through a workspace. Raises ArtifactError where it cannot be listed or a manifest cannot be fetched."""
    places, unknown = defaultdict[tuple[str, Kind, str], dict[str, StoredFile]](dict), defaultdict[str, int](int)
    for path, stored in open_store(workspace).files().items():
        if place := _place(path):
            places[place][path] = stored
        else:
            unknown[path.partition("/")[0]] += stored.size
    return Inventory(tuple(_item(workspace, place, places[place]) for place in sorted(places)), dict(unknown))


def _place(path: str) -> tuple[str, Kind, str] | None:
    found = ((kind, pattern.match(path)) for kind, pattern in _PLACES.items())
    return next(((match[0], kind, match["key"]) for kind, match in found if match), None)


def _item(workspace: ArtifactRef, place: tuple[str, Kind, str], files: Mapping[str, StoredFile]) -> Item:
    path, kind, key = place
    times = [stored.modified for stored in files.values()]
    known = [time for time in times if time is not None]
    item = Item(path, kind, key, sum(s.size for s in files.values()), max(known) if len(known) == len(times) else None)
    if kind in SERVES or f"{path}/{MANIFEST_NAME}" not in files:
        return item
    manifest = open_store(workspace.child(path)).manifest()
    return item._replace(digest=manifest.digest, inputs=frozenset(manifest.inputs.values()))


def remove(workspace: ArtifactRef, item: Item) -> None:
    """Delete an item, manifests first. Raises ArtifactError."""
    if not _place(f"{item.path}/"):
        raise ArtifactError(f"{item.path}: not a place of the platform's; nothing was deleted")
    open_store(workspace.child(item.path)).remove()
