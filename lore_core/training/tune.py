"""The tune split as the judge of checkpoints: a sample of it, scored the way the model would be served."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.evaluation.metrics import accuracy2, counts_by_query, macro_f1
from lore_core.jobs.errors import JobError
from lore_core.jobs.selection import Selection, TuneMetric
from lore_core.prompts import ModelKit, PromptRules, PromptTooLong, RenderedPrompt
from lore_core.records import LABELS, Pair
from lore_core.scoring.pixels import PictureReader
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.together import Ranks, gathered

PREFIX: Final = "tune"
"""Curves of the tune split are named by it: tuneMacroF1."""
_LEAST: Final = 1e-9
Rules = Callable[[Pair], PromptRules]


class TuneJudge:
    """Ranks share the pairs; where parameters are sharded too (ZeRO 3) all of them score all pairs, since they must keep step."""

    def __init__(
        self,
        kit: ModelKit,
        pairs: Sequence[Pair],
        rules: Rules,
        selection: Selection,
        ranks: Ranks,
        zero_stage: int,
        reader: PictureReader | None = None,
    ) -> None:
        """`reader` is of a model that is shown pictures. Raises JobError naming a pair whose query alone exceeds the limit."""
        self.patience = selection.patience
        self._kit, self._metric, self._reader = kit, selection.metric, reader
        self._ranks = ranks if zero_stage < 3 else Ranks(0, 1, 0)
        self._prompts = [rendered(kit, pair, rules) for pair in pairs]
        self._gold = np.array([LABELS.index(pair.groundtruth) for pair in pairs])

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self._prompts)

    def measure(self, model: Any) -> tuple[float, dict[str, float]]:
        """The chosen metric, and all of them under their curves' names. Leaves the model in training mode."""
        model.eval()
        mine = self._prompts[self._ranks.rank :: self._ranks.world]
        scores = TransformersScorer.of(self._kit, model, reader=self._reader).score(mine).probabilities
        model.train()
        probabilities = np.zeros((len(self._prompts), len(LABELS)))
        for rank, part in enumerate(gathered(scores, self._ranks)):
            probabilities[rank :: self._ranks.world] = part
        found = tune_scores(probabilities, self._gold)
        return found[self._metric], {f"{PREFIX}{name}": value for name, value in found.items()}


def tune_scores(probabilities: npt.NDArray[np.float64], gold: npt.NDArray[np.int64]) -> dict[TuneMetric, float]:
    """Every metric of n×4 probabilities against n gold labels 0..3."""
    counts = counts_by_query(gold, probabilities.argmax(axis=1), np.zeros(len(gold), dtype=np.int64), 1)[0]
    likelihood = np.log(np.maximum(probabilities[np.arange(len(gold)), gold], _LEAST)).mean()
    return {
        TuneMetric.MACRO_F1: float(macro_f1(counts)),
        TuneMetric.ACCURACY2: float(accuracy2(counts)),
        TuneMetric.LOG_LIKELIHOOD: float(likelihood),
    }


def tune_sample(pairs: Sequence[Pair], most: int, seed: int) -> list[Pair]:
    """At most that many pairs: whole queries in a drawn order, the last one cut."""
    by_query: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_query.setdefault(pair.query, []).append(pair)
    groups = list(by_query.values())
    order = np.random.default_rng(seed).permutation(len(groups))
    return [pair for place in order for pair in groups[place]][:most]


def rendered(kit: ModelKit, pair: Pair, rules: Rules) -> RenderedPrompt:
    """A pair's prompt. Raises JobError naming a pair whose query alone exceeds the limit."""
    try:
        return kit.render(pair, rules(pair))
    except PromptTooLong as error:
        raise JobError("PromptTooLong", f"pair {pair.id}: {error}", field="query") from error
