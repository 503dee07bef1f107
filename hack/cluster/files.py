"""Small files that are whole or absent, and folders that are ours: marked, locked, deleted whole."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster.errors import ClusterError

# Only a folder with this file in it is ever deleted.
_MARK = ".lore-cluster"


def write(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    """Write the file in one step, unless it already has this content: some programs end when theirs is rewritten."""
    wanted = content.encode() if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == wanted:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    pending = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as handle:
        handle.write(wanted)
    return pending.rename(path)


def take(folder: Path) -> None:
    """Make the folder ours; an error if it is somebody's already."""
    if folder.exists() and not is_ours(folder) and any(folder.iterdir()):
        raise ClusterError(f"{folder} holds something else; set LORE_CLUSTER_DIR to a folder of its own")
    write(folder / _MARK, "`python -m hack.cluster down` deletes this folder.\n")


def is_ours(folder: Path) -> bool:
    """Whether `take` was here."""
    return (folder / _MARK).exists()


def delete(folder: Path) -> None:
    """Delete the folder if it is ours."""
    if is_ours(folder):
        shutil.rmtree(folder)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Only one process at a time works in the folder; the lock dies with its holder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
