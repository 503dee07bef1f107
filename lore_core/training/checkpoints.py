"""Checkpoints that can be trusted: one counts only once every rank has written its part and the marker names them all.

DeepSpeed's own `latest` is written by rank 0 before the others are done, so after a kill inside a save it can name a torn
checkpoint. Here each checkpoint is an artifact of its own (manifest last), and `complete.json` lists the whole ones, newest
first; only these are resumed from, by explicit tag. Any store that artifacts can lie on will do. What the list leaves out is
deleted: the newest few stay, and the best one where they have scores.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from lore_core.artifacts import (
    MANIFEST_NAME,
    ArtifactError,
    ArtifactRef,
    Digest,
    FileEntry,
    Manifest,
    NotFound,
    Producer,
    open_store,
    verify,
)
from lore_core.artifacts.manifest import canonical_json
from lore_core.artifacts.store import describe

MARKER_NAME: Final = "complete.json"
KIND: Final = "checkpoint"
_TAG: Final = "step"


class Checkpoint(BaseModel):
    """One complete checkpoint, as the marker lists it; `score` is what it reached on the tune split, more is better."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    world_size: int
    zero_stage: int
    digest: Digest
    score: float | None = None

    @property
    def tag(self) -> str:
        """Its folder's name."""
        return f"{_TAG}{self.step}"


def best_first(found: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Those with a score, the best first; of equal ones the earlier."""
    scored = [(-one.score, one.step, one) for one in found if one.score is not None]
    return [one for _, _, one in sorted(scored, key=lambda item: item[:2])]


def kept(found: Sequence[Checkpoint], newest: int) -> tuple[Checkpoint, ...]:
    """Of checkpoints, newest first: that many, and the best one."""
    best = best_first(found)[:1]
    return tuple(one for place, one in enumerate(found) if place < newest or one in best)


class _Marker(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    complete: tuple[Checkpoint, ...] = ()


def complete_checkpoints(where: ArtifactRef) -> tuple[Checkpoint, ...]:
    """The whole checkpoints, newest first; none where there is no marker yet. Raises ArtifactError for a damaged one."""
    try:
        return _Marker.model_validate_json(open_store(where).read_bytes(MARKER_NAME)).complete
    except NotFound:
        return ()
    except ValidationError as error:
        raise ArtifactError(f"{where.uri}/{MARKER_NAME}: not a checkpoint marker; remove it to start again") from error


def restore(where: ArtifactRef, checkpoint: Checkpoint, into: Path) -> bool:
    """Fetch a checkpoint into the folder `into`/tag, verified; False where it is damaged and an older one is to be tried."""
    ref = where.child(checkpoint.tag).model_copy(update={"digest": checkpoint.digest})
    try:
        verify(ref, into / checkpoint.tag)
    except ArtifactError as error:
        print(f"checkpoint {checkpoint.tag} is passed over: {error}")
        return False
    return True


def local_size(folder: Path) -> int:
    """Bytes of the files that this node wrote."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def upload_part(where: ArtifactRef, tag: str, folder: Path) -> list[FileEntry]:
    """Copy the files that this node wrote to the store; returns their entries for the manifest."""
    store = open_store(where.child(tag))
    entries = list(describe(folder, KIND).files)
    for entry in entries:
        store.upload(folder / entry.path, entry.path)
    return entries


def mark_complete(where: ArtifactRef, made: Checkpoint, manifest: Manifest, keep: int) -> None:
    """Write the manifest, then the marker, then delete what the marker no longer lists.

    Call on rank 0, after every rank has uploaded. `keep` is how many of the newest stay beside the best.
    """
    open_store(where.child(made.tag)).write_bytes(MANIFEST_NAME, manifest.to_bytes())
    older = tuple(found for found in complete_checkpoints(where) if found.step < made.step)
    listed = kept((made, *older), keep)
    marker = _Marker(complete=listed)
    open_store(where).write_bytes(MARKER_NAME, canonical_json(json.loads(marker.model_dump_json(exclude_none=True))))
    for name in sorted(set(open_store(where).folders()) - {one.tag for one in listed}):
        if name.startswith(_TAG):
            open_store(where.child(name)).remove()


def described(
    step: int,
    world_size: int,
    zero_stage: int,
    parts: Iterable[Iterable[FileEntry]],
    score: float | None = None,
) -> tuple[Checkpoint, Manifest]:
    """A checkpoint and its manifest over all nodes' parts; nothing is written."""
    import lore_core

    files = {entry.path: entry for part in parts for entry in part}
    manifest = Manifest(
        kind=KIND,
        producer=Producer(name="lore", version=lore_core.__version__),
        files=tuple(files[path] for path in sorted(files)),
        metadata={"step": step, "worldSize": world_size, "zeroStage": zero_stage},
    )
    found = Checkpoint(step=step, world_size=world_size, zero_stage=zero_stage, digest=manifest.digest, score=score)
    return found, manifest


def forget_local(folder: Path) -> None:
    """Remove a checkpoint's local copy, so that scratch space holds one at a time."""
    shutil.rmtree(folder, ignore_errors=True)
