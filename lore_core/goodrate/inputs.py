"""What a measurement reads from stores: a window of a served log, ratings, and the texts of what was shown.

A served log and ratings grow by files of their own, so they are folders without a manifest; the digest of what was read stands in
the report. Files are fetched one after another and not kept.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts import ArtifactRef, open_store, verify
from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.artifacts.store import file_digest
from lore_core.goodrate.rows import Drawn, Rating, Served, read_ratings, read_served
from lore_core.jobs import GoodRateConfig
from lore_core.jobs.errors import JobError
from lore_core.records import RecordError
from lore_core.records.item import ITEMS_NAME, Item, read_items

SUFFIX: Final = ".jsonl"


class Folder:
    """A folder of JSONL files on a store, read by name; `digest` is of all that was read so far."""

    def __init__(self, ref: ArtifactRef, scratch: Path) -> None:
        """`scratch` holds one file at a time."""
        self.uri, self._store, self._scratch = ref.uri, open_store(ref), scratch
        self._read: dict[str, str] = {}

    def files(self) -> list[str]:
        """Names of the JSONL files, sorted."""
        return [name for name in self._store.file_names() if name.endswith(SUFFIX)]

    def rows(self, name: str, read: Callable[[Path], Iterable[Any]]) -> Iterator[Any]:
        """One file's rows, streamed. Raises ArtifactError, or JobError naming file, line and field."""
        path = self._scratch / name
        self._store.download(name, path)
        self._read[name] = file_digest(path)[0]
        try:
            yield from read(path)
        except RecordError as error:
            raise error.named(self._scratch, self.uri) from error
        finally:
            path.unlink()

    @property
    def digest(self) -> str:
        """Of names and bytes."""
        return sha256_digest(canonical_json(self._read))


def served_rows(config: GoodRateConfig, folder: Folder) -> Iterator[Served]:
    """The window's requests, of the revision where one is named. Raises JobError where a day has no log."""
    names = folder.files()
    for day in map(str, config.days):
        found = [name for name in names if name.startswith(day)]
        if not found:
            raise JobError(
                "ServedLogMissing",
                f"served: {folder.uri} has no file {day}*{SUFFIX}; wait until the day's log is there, or shorten the window",
                field="served",
            )
        for name in found:
            yield from _of_day(day, name, config, folder)


def _of_day(day: str, name: str, config: GoodRateConfig, folder: Folder) -> Iterator[Served]:
    for line, row in enumerate(folder.rows(name, read_served), start=1):
        if str(row.date) != day:
            raise JobError(
                "BadData",
                f"{folder.uri}/{name}:{line}: date: is {row.date}, the file's name says {day}; log each day into files of its own",
                file=name,
                line=line,
                field="date",
            )
        if config.revision is None or row.revision == config.revision:
            yield row


def people_ratings(folder: Folder) -> list[Rating]:
    """All ratings of all files. Raises JobError where there is no file."""
    names = folder.files()
    if not names:
        raise JobError(
            "BadRatings", f"people: {folder.uri} has no file *{SUFFIX}; put people's ratings there", field="people"
        )
    return [rating for name in names for rating in folder.rows(name, read_ratings)]


def texts(ref: ArtifactRef, drawn: Iterable[Drawn], root: Path) -> tuple[dict[str, Item], str]:
    """What was shown, by id, and the digest of the artifact that it comes from. Raises ArtifactError or JobError."""
    manifest = open_store(ref).manifest()
    if manifest.kind != "items":
        raise JobError(
            "WrongArtifactKind", f"items: {ref.uri} is a {manifest.kind}, needed is an items artifact", field="items"
        )
    verify(ref.model_copy(update={"digest": manifest.digest}), root, only=(ITEMS_NAME,))
    wanted = {item for row in drawn for item in row.items}
    try:
        return {item.item_id: item for item in read_items(root / ITEMS_NAME) if item.item_id in wanted}, manifest.digest
    except RecordError as error:
        raise error.named(root, ref.uri) from error
