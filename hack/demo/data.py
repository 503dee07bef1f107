"""What the demo's volume holds: generated data, the two base models and the strata snapshot, all cached by content."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.demo.errors import DemoError
from lore_core.artifacts import ArtifactRef, open_store

ROOT: Final = Path(__file__).resolve().parents[2]
_GENERATED: Final = ("pairs", "benchmark", "rules", "items", "candidates")


@dataclass(frozen=True)
class Data:
    """Folder on the volume → local folder with the artifact."""

    folders: Mapping[str, Path]

    def digests(self) -> dict[str, str]:
        """Folder on the volume → digest of the artifact."""
        return {place: digest(folder) for place, folder in self.folders.items()}


def prepare() -> Data:
    """Make what is not cached: data in under a minute, the base model in some minutes of training."""
    made = json.loads(_run("hack.basemodel"))
    source = Path(made["data"])
    strata = source / "strata"
    if not (strata / "lore-manifest.json").exists():
        lore("strata", "build", "--log", str(source / "log" / "log.jsonl"), "--output", strata.as_uri())
    folders = {f"data/{name}": source / name for name in _GENERATED} | {"data/strata": strata}
    return Data(folders | {"base/lm": Path(made["base"]), "base/minilm": Path(made["minilm"])})


def digest(folder: Path) -> str:
    """Digest of the artifact in a local folder."""
    return open_store(ArtifactRef(uri=folder.absolute().as_uri())).manifest().digest


def lore(*words: str) -> None:
    """Run a verb of `lore`; DemoError where it fails."""
    _run("lore_core", *words)


def _run(module: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise DemoError(f"python -m {' '.join((module, *words))} failed; its own message stands above")
    return done.stdout
