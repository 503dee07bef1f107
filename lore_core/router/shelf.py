"""Artifacts on the volume that loader and router share: one folder a digest, there whole or not at all.

The loader fills `.partial-*` and renames; the router checks the digests again before it serves a byte.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lore_core.artifacts.manifest import MANIFEST_NAME, Manifest, sha256_digest
from lore_core.artifacts.store import DigestMismatch, NotFound, file_digest, verify
from lore_core.prompts.contract import CONTRACT_NAME
from lore_core.prompts.encoder import TOKENIZER_NAME
from lore_core.router.config import PinnedRef, RouterConfig

_PARTIAL: Final = ".partial-"
_FAILURES: Final = "failures.json"
KIT_FILES: Final = (CONTRACT_NAME, TOKENIZER_NAME)
NOT_FETCHED: Final = "the loader has not fetched it yet"
"""Why a router waits where nothing is wrong: it saw the configuration before the loader did."""

Needed = dict[PinnedRef, tuple[str, ...] | None]
"""Artifacts to have, and the files wanted of each: None for all."""


def needed(config: RouterConfig) -> Needed:
    """What a config needs: whole artifacts, and of model artifacts only contract and tokenizer."""
    wanted: Needed = {}
    for composition in config.compositions:
        for ref in composition.data():
            wanted[ref] = None
        for kit in composition.kits():
            wanted.setdefault(kit, KIT_FILES)
    return wanted


class Shelf:
    """The shared folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, digest: str) -> Path:
        """Where an artifact stands when it is there."""
        return self._root / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether it is there."""
        return (self.folder(digest) / MANIFEST_NAME).is_file()

    def put(self, ref: PinnedRef, only: tuple[str, ...] | None) -> None:
        """Fetch and verify an artifact into its folder. Raises NotFound, AccessDenied, DigestMismatch, OSError."""
        self._root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self._root))
        try:
            verify(ref, partial, only)
            partial.chmod(0o755)
            if self.folder(ref.digest).exists():
                self.remove(ref.digest)  # without a manifest: not an artifact
            os.replace(partial, self.folder(ref.digest))
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def keep_only(self, digests: Iterable[str]) -> list[str]:
        """Remove every other artifact and what a crash left behind; returns the digests removed.

        A router that has a file mapped keeps reading it: its bytes stay until it lets go.
        """
        kept = {self.folder(digest).name for digest in digests}
        gone = [path.name for path in self._folders() if path.name not in kept]
        for name in gone:
            self.remove(name)
        return [f"sha256:{name}" for name in gone if not name.startswith(_PARTIAL)]

    def remove(self, digest: str) -> None:
        """Remove one artifact; nobody ever finds half of it under its digest."""
        folder = self.folder(digest)
        trash = folder.with_name(f"{_PARTIAL}{folder.name.removeprefix(_PARTIAL)}-gone")
        folder.replace(trash)
        shutil.rmtree(trash, ignore_errors=True)

    def note_failures(self, failures: dict[str, str]) -> None:
        """Tell the router why an artifact is not there: reasons by digest."""
        self._root.mkdir(parents=True, exist_ok=True)
        partial = self._root / f"{_FAILURES}.partial"
        partial.write_text(json.dumps(failures), encoding="utf-8")
        partial.replace(self._root / _FAILURES)

    def failure(self, digest: str) -> str | None:
        """Why the loader could not fetch an artifact, as far as it said so."""
        try:
            found = json.loads((self._root / _FAILURES).read_bytes()).get(digest)
        except (OSError, ValueError):
            return None
        return str(found) if found is not None else None

    def _folders(self) -> list[Path]:
        return [path for path in self._root.iterdir() if path.is_dir()] if self._root.is_dir() else []

    def checked(self, ref: PinnedRef, only: tuple[str, ...] | None) -> Path:
        """The artifact's folder, after every byte that will be used has been compared with the digest.

        Raises NotFound where it is not there and DigestMismatch where the bytes are others.
        """
        folder = self.folder(ref.digest)
        try:
            data = (folder / MANIFEST_NAME).read_bytes()
            if sha256_digest(data) != ref.digest:
                raise DigestMismatch(f"{folder}: the manifest is not the one {ref.digest} names; remove the folder")
            for entry in Manifest.model_validate_json(data).files:
                wanted = only is None or entry.path in only
                if wanted and file_digest(folder / entry.path) != (entry.sha256, entry.size):
                    raise DigestMismatch(
                        f"{folder / entry.path}: content does not match the manifest; remove the folder"
                    )
        except FileNotFoundError as error:
            reason = self.failure(ref.digest) or NOT_FETCHED
            raise NotFound(f"{ref.uri}: {ref.digest} is not there: {reason}") from error
        return folder
