"""Which training pairs a model is aligned on, and what it answers to them before alignment begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.jobs.config import AlignMethod, AlignSettings
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt
from lore_core.prompts.rules import RuleSource
from lore_core.records import Label, Pair
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.alignment.presets import Preset
from lore_core.training.alignment.rollouts import Rollout
from lore_core.training.alignment.sampling import Ids, rollouts, sample
from lore_core.training.alignment.selection import balanced, low_confidence, variation
from lore_core.training.together import Ranks, gathered

_SCORED_PER_CANDIDATE: Final = 4
MOST_VARIATION: Final = 0.3
"""Labels of the pairs that are learned from are thinned until their counts vary no more than this."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair as the model sees it: prompt, ids of the rules it shows, its four probabilities, and sampled answers."""

    pair: Pair
    prompt: RenderedPrompt
    shown: frozenset[str]
    probabilities: tuple[float, ...]
    answers: tuple[Ids, ...] = ()
    rollouts: tuple[Rollout, ...] = ()

    @property
    def right(self) -> int:
        """How many of the answers say the gold label."""
        return sum(rollout.label is self.pair.groundtruth for rollout in self.rollouts)


@dataclass(frozen=True, slots=True)
class Pool:
    """The chosen candidates, and how many pairs were left after each step of choosing."""

    candidates: Sequence[Candidate]
    counts: Mapping[str, float]


def choose(
    kit: ModelKit,
    model: Any,
    pairs: Sequence[Pair],
    rules: RuleSource,
    settings: AlignSettings,
    preset: Preset,
    ranks: Ranks,
) -> Pool:
    """Unsure pairs first; think-first ones are answered, and only those both right and wrong are kept; labels balanced.

    Collective: every rank looks at its share, all return the same pool. Raises JobError where too few are left for a step.
    """
    seed = settings.optimizer.seed
    drawn = np.random.default_rng(seed).permutation(len(pairs))[: _SCORED_PER_CANDIDATE * settings.candidates]
    looked = _in_turns(
        [_candidate(kit, rules, pairs[row]) for row in drawn[ranks.rank :: ranks.world]], kit, model, ranks
    )
    unsure = low_confidence(_probabilities(looked), settings.candidates, float(settings.below))
    found = [looked[row] for row in unsure]
    counts = {"looked": len(looked), "unsure": len(found)}
    if kit.contract.layout is PromptLayout.THINK_FIRST:
        asked = _answered(found[ranks.rank :: ranks.world], kit, model, preset, seed + ranks.rank)
        found = [one for one in _dealt(gathered(asked, ranks)) if preset.window.holds(one.right, len(one.answers))]
        counts["inWindow"] = len(found)
    labels = [one.pair.groundtruth for one in found]
    kept = [found[row] for row in balanced(labels, MOST_VARIATION)]
    # A step of GRPO that is not full is left out, so fewer pairs than it takes would make no step at all.
    least = settings.optimizer.batch_size if settings.method is AlignMethod.GRPO else 1
    if len(kept) < least:
        raise JobError("NothingToAlign", _nothing(counts, len(kept), least, settings), field="spec.below")
    spread = {
        "labelVariationBefore": variation(labels),
        "labelVariation": variation([c.pair.groundtruth for c in kept]),
    }
    return Pool(kept, {**counts, "chosen": len(kept), **{name: round(value, 4) for name, value in spread.items()}})


def _nothing(counts: Mapping[str, float], kept: int, least: int, settings: AlignSettings) -> str:
    return (
        f"of {counts['looked']} pairs looked at, {counts['unsure']} are held for less likely than {settings.below}, "
        f"{counts.get('inWindow', 0)} of those were answered both right and wrong, and {kept} stayed when labels were balanced, "
        f"where a step needs {least}; raise below or candidates, lower optimizer.batchSize, or there is nothing to gain"
    )


def _candidate(kit: ModelKit, rules: RuleSource, pair: Pair) -> Candidate:
    lines = rules(pair)
    shown = frozenset(word for line in (*lines.query, *lines.item) for word in line.split())
    return Candidate(pair, kit.render(pair, lines), shown, ())


def _in_turns(mine: Sequence[Candidate], kit: ModelKit, model: Any, ranks: Ranks) -> list[Candidate]:
    """All ranks' candidates with their probabilities, in the order in which they were dealt out."""
    scores = TransformersScorer.of(kit, model).score([one.prompt for one in mine]).probabilities if mine else ()
    scored = [
        Candidate(one.pair, one.prompt, one.shown, tuple(map(float, row)))
        for one, row in zip(mine, scores, strict=True)
    ]
    return _dealt(gathered(scored, ranks))


def _answered(mine: Sequence[Candidate], kit: ModelKit, model: Any, preset: Preset, seed: int) -> list[Candidate]:
    knobs = preset.settings()
    answers = sample(
        kit,
        model,
        [one.prompt for one in mine],
        knobs["num_generations"],
        seed=seed,
        temperature=knobs["temperature"],
        top_k=knobs["top_k"],
    )
    return [
        Candidate(one.pair, one.prompt, one.shown, one.probabilities, tuple(found), tuple(rollouts(kit, found)))
        for one, found in zip(mine, answers, strict=True)
    ]


def _dealt(parts: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """One from each rank in turn: the order before they were dealt out."""
    longest = max(map(len, parts))
    return [part[place] for place in range(longest) for part in parts if place < len(part)]


def _probabilities(found: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    return np.array([one.probabilities for one in found], dtype=float).reshape(-1, len(Label))
