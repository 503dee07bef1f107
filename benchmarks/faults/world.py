"""Two compositions whose every tier scores differently, so that any mixture of them shows in an answer."""

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.fleet import Predictor
from benchmarks.faults.load import Question
from benchmarks.router.world import kit_files, published
from lore_core.headcache import Features, HeadEntry, content_hash, item_hash
from lore_core.headcache.generation import generation_bytes, head_query_hash
from lore_core.router.config import RouterConfig
from lore_core.strata.snapshot import snapshot_bytes

REVISIONS: Final = ("r1", "r2")
"""Of the run without a cluster; the one on a node has more."""
NEUTRAL: Final = (0.25, 0.25, 0.25, 0.25)
SCORES: Final = {
    ("r1", "head"): (0.5, 0.25, 0.125, 0.125),
    ("r1", "torso"): (0.125, 0.5, 0.25, 0.125),
    ("r1", "tail"): (0.125, 0.125, 0.5, 0.25),
    ("r2", "head"): (0.25, 0.125, 0.125, 0.5),
    ("r2", "torso"): (0.625, 0.125, 0.125, 0.125),
    ("r2", "tail"): (0.125, 0.625, 0.125, 0.125),
    ("r3", "head"): (0.25, 0.5, 0.125, 0.125),
    ("r3", "torso"): (0.125, 0.25, 0.125, 0.5),
    ("r3", "tail"): (0.25, 0.125, 0.5, 0.125),
    ("r4", "head"): (0.25, 0.25, 0.375, 0.125),
    ("r4", "torso"): (0.375, 0.25, 0.25, 0.125),
    ("r4", "tail"): (0.125, 0.625, 0.125, 0.125),
}
"""r4 is r2 with another head and torso."""
CHAIN: Final = {
    "head": ("torso", "tail", "neutral"),
    "torso": ("torso", "tail", "neutral"),
    "tail": ("tail", "torso", "neutral"),
}
"""Who answers a stratum's queries in turn, the head's own hits aside."""
QUERIES_OF_A_STRATUM: Final = 20
_ITEMS: Final = ("a", "b")
_DEADLINE_MS: Final = 250


def questions() -> list[Question]:
    """Of each stratum as many; half of the head's show an item whose title changed since."""
    found = []
    for number in range(QUERIES_OF_A_STRATUM):
        for stratum in CHAIN:
            items = [{"id": name, "title": name} for name in _ITEMS]
            if stratum == "head" and number % 2:
                items[1]["title"] = "changed"
            found.append({"query": f"{stratum} {number}", "items": items})
    return found


def judge(question: Question, answer: dict[str, Any]) -> str | None:
    """A Judge that knows every score."""
    for item in answer["items"]:
        tier, source = item["tier"], item["source"]
        wanted = NEUTRAL if tier == "neutral" else SCORES.get((answer["revision"], tier))
        kept = (
            answer["tier"] == "neutral" and tier == "head"
        )  # what the generation knew stays where no predictor answers
        if tuple(item["probabilities"]) != wanted or (tier != answer["tier"] and not kept):
            return f"{question['query']}: {answer['revision']} {answer['tier']}: {item}"
        if source != {"head": "cache", "neutral": "neutral"}.get(tier, "predictor"):
            return f"{question['query']}: source {source} of tier {tier}"
    return None


def fallbacks(answers: dict[tuple[str, str, str], int]) -> int:
    """How many tiers failed before these answers were given: what the routers must have counted."""
    return sum(
        count * (CHAIN[stratum].index(tier) if tier != "head" else 0) for (stratum, tier, _), count in answers.items()
    )


class World:
    """Artifacts, four predictors and the configuration file below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.predictors = {
            (revision, tier): Predictor(SCORES[revision, tier], root / "predictors.log")
            for revision in REVISIONS
            for tier in ("torso", "tail")
        }
        self._strata = published(root, "strata", strata_files())
        self._kit = published(root, "model", kit_files())
        self._heads = {revision: published(root / revision, "head", head_files(revision)) for revision in REVISIONS}

    def config(self, stable: str, weights: dict[str, int]) -> RouterConfig:
        """Each revision's weight in percent, the same for all strata."""
        compositions = [self._composition(revision, weight) for revision, weight in weights.items()]
        return RouterConfig.model_validate({"deployment": "faults", "stable": stable, "compositions": compositions})

    def write(self, config: RouterConfig) -> None:
        """Replace the file that routers and loader follow."""
        partial = self._root / "router.json.partial"
        partial.write_text(config.model_dump_json(by_alias=True))
        partial.rename(self._root / "router.json")

    def _composition(self, revision: str, weight: int) -> dict[str, Any]:
        tiers: dict[str, Any] = {"head": {"cache": {"onMiss": "torso"}}}
        for tier, other in (("torso", "tail"), ("tail", "torso")):
            tiers[tier] = {
                "predictor": {
                    "url": self.predictors[revision, tier].url, "modelName": "m", "kit": self._kit.model_dump(),
                    "route": "Classify", "deadlineMs": _DEADLINE_MS, "fallback": [other],
                    "guard": {"breakerPauseMs": 300},
                }
            }  # fmt: skip
        return {
            "revision": revision, "weights": dict.fromkeys(CHAIN, weight), "strata": self._strata.model_dump(),
            "head": self._heads[revision].model_dump(), "tiers": tiers,
        }  # fmt: skip


def strata_files() -> dict[str, bytes]:
    """The snapshot that all compositions share; what is not in it is tail."""
    strata = {f"{stratum} {n}": stratum for stratum in ("head", "torso") for n in range(QUERIES_OF_A_STRATUM)}
    return {"strata.bin": snapshot_bytes(strata.items(), b"k" * 16)}  # type: ignore[arg-type]


def head_files(revision: str) -> dict[str, bytes]:
    """A generation in which a composition's head has its scores for every pair."""
    scores = SCORES[revision, "head"]
    entries = [
        HeadEntry(head_query_hash(f"head {n}", ""), item_hash(name), content_hash(Features(name)), scores)
        for n in range(QUERIES_OF_A_STRATUM)
        for name in _ITEMS
    ]
    description = json.dumps({"calibration": {"temperature": "1", "grades": ["1", "2", "3", "4"]}})
    return {"head.bin": generation_bytes(entries), "head.json": description.encode()}
