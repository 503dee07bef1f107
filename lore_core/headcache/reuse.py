"""Only changed pairs are scored again: scores of an earlier generation count where everything they depend on is equal.

Beside the generations of a workspace stands one small file a scorer, `heads/by-scorer/KEY.json`, which names the newest
generation. It is only a hint: what it names is verified by digest, and must say itself which scorer made it.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import ArtifactError, NotFound, open_store, verify
from lore_core.headcache.candidates import WantedPair
from lore_core.headcache.generation import JSON_NAME, GenerationError, HeadEntry, HeadGeneration
from lore_core.strata.normaliser import NORMALISER_VERSION

SCORER: Final = "scorer"
_SHORT: Final = 20


@dataclass(frozen=True)
class Scorer:
    """Digests of all that a pair's score depends on beside the pair itself; `rules` is empty where prompts show none."""

    model: str
    prompt: str
    rules: str
    profile: str
    normaliser: int = NORMALISER_VERSION

    def description(self) -> dict[str, Any]:
        """As it stands in `head.json`."""
        return asdict(self)

    @property
    def key(self) -> str:
        """20 hexadecimal digits that name it."""
        return sha256_digest(canonical_json(self.description())).removeprefix("sha256:")[:_SHORT]

    def pointer(self, workspace: ArtifactRef) -> tuple[ArtifactRef, str]:
        """Folder and name of the file that names this scorer's newest generation."""
        return workspace.child("heads/by-scorer"), f"{self.key}.json"


def newest_generation(workspace: ArtifactRef, scorer: Scorer, into: Path) -> HeadGeneration | None:
    """The newest generation that this scorer made, fetched and verified; None where there is none that can be used."""
    folder, name = scorer.pointer(workspace)
    try:
        named = json.loads(open_store(folder).read_bytes(name))
        ref = ArtifactRef(uri=named["uri"], digest=named["digest"], credentials=workspace.credentials)
        verify(ref, into)
        described = json.loads((into / JSON_NAME).read_bytes()).get(SCORER)
        return HeadGeneration.open(into) if described == scorer.description() else None
    except NotFound:
        return None
    except (ArtifactError, GenerationError, OSError, ValueError, KeyError, TypeError) as error:
        print(f"head: the earlier generation is not used: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def remember(workspace: ArtifactRef, scorer: Scorer, made: ArtifactRef) -> None:
    """Name `made` as the newest generation. A failure costs the next job time and nothing else."""
    folder, name = scorer.pointer(workspace)
    try:
        open_store(folder).write_bytes(name, canonical_json({"uri": made.uri, "digest": made.digest}))
    except ArtifactError as error:
        print(f"head: the next job will score everything again: {error}", file=sys.stderr)


def known_scores(
    pairs: Iterable[WantedPair], generation: HeadGeneration
) -> Iterator[tuple[WantedPair, HeadEntry | None]]:
    """Each pair with its entry of the generation, where that has it for this very content. Pairs come grouped by query."""
    for query, group in groupby(pairs, key=lambda pair: pair.query):
        wanted = list(group)
        items = np.array([pair.item for pair in wanted], dtype=np.uint64)
        content = np.array([pair.content for pair in wanted], dtype=np.uint64)
        found = generation.lookup(query, items, content)
        for pair, hit, scores in zip(wanted, found.hit.tolist(), found.probabilities.tolist(), strict=True):
            yield pair, HeadEntry(query, pair.item, pair.content, tuple(scores)) if hit else None
