"""pass@k of a model in memory: the figures of an evaluation, whatever the number of ranks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import RuleMode
from lore_core.jobs.errors import JobError
from lore_core.jobs.pass_at_k import PassAtK
from lore_core.prompts import ModelKit, PromptLayout, RuleSource, TextEncoder, build_contract
from lore_core.records import LABELS, Label, Pair
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScore, LabelScores
from lore_core.training import passing
from lore_core.training.base import BaseSettings, small_model
from lore_core.training.examples import answer_ids
from lore_core.training.passing import PassMeter
from lore_core.training.together import Ranks
from lore_core.training.tokenizer import build_tokenizer
from lore_core.training.tune import tune_sample

torch = pytest.importorskip("torch")

ENCODER = TextEncoder(build_tokenizer(vocabulary()))
PAIRS = list(World(17, Scale(1, 1, 1, 1)).pairs("train", "rules"))
RULES = RuleSource(RuleMode.RETRIEVED, rulebook())
WANTED = PassAtK(pairs=8, samples=4)
SEED = 5
CHANCE = 1 - 0.75**4


def kit(layout: PromptLayout = PromptLayout.THINK_FIRST) -> ModelKit:
    return ModelKit(build_contract(ENCODER, layout, RuleMode.RETRIEVED, 96), ENCODER)


def meter(layout: PromptLayout = PromptLayout.THINK_FIRST, ranks: Ranks | None = None) -> PassMeter:
    return PassMeter(kit(layout), PAIRS, RULES, WANTED, SEED, ranks or Ranks(0, 1, 0), 2)


class Still:
    """A model that is asked nothing: its answers are stood in for."""

    def eval(self) -> None: ...
    def train(self) -> None: ...


def other(label: Label) -> Label:
    return Label.L1 if label is not Label.L1 else Label.L4


def said(pair: Pair, number: int) -> tuple[int, ...]:
    """Of four answers: right with its reasons, right without any, wrong, none."""
    labels = kit().contract.verbaliser.token_ids
    stop = ENCODER.control("</think>")
    return (
        tuple(answer_ids(kit(), pair)),
        (stop, labels[LABELS.index(pair.groundtruth)]),
        (stop, labels[LABELS.index(other(pair.groundtruth))]),
        (stop, stop),
    )[number]


def test_figures_are_those_of_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tune_sample(PAIRS, WANTED.pairs, SEED)
    answered = iter([[0, 1, 2, 2], [1, 2, 2, 2], [2, 2, 2, 2], [3, 3, 3, 3], [0, 0, 0, 0], *[[2, 2, 3, 1]] * 3])

    def sample(_kit: ModelKit, _model: object, prompts: Sequence[Any], count: int, **how: Any) -> list[list[Any]]:
        assert (count, how["temperature"], how["top_k"]) == (4, 1.0, 0)
        by_ids = {kit().render(pair, RULES(pair)).token_ids: pair for pair in asked}
        return [[said(by_ids[prompt.token_ids], number) for number in next(answered)] for prompt in prompts]

    monkeypatch.setattr(passing, "sample", sample)
    found = meter().measure(Still())
    assert found["tunePassAt1"] == pytest.approx((2 + 1 + 4 + 3) / 32)
    assert found["tuneMajorityAtK"] == pytest.approx(2 / 8)  # of equal votes the first drawn counts
    assert found["tunePassAtKAboveChance"] == pytest.approx(6 / 8 - CHANCE)
    assert found["tunePassAtKChecked"] == pytest.approx(2 / 8)
    told = meter().told({**found, "tuneMacroF1": 0.5})
    assert (told.pairs, told.samples, told.scores["tunePassAt1"]) == (8, 4, "0.3125")
    assert "tuneMacroF1" not in told.scores


def test_two_ranks_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    model = small_model(BaseSettings(layers=1, width=64, heads=2, feed_forward=64), ENCODER)
    monkeypatch.setattr(passing, "TOGETHER", 8)  # two pairs at once, so that both ranks have some
    asked: list[tuple[int, ...]] = []
    ours = passing.sample

    def sample(its_kit: ModelKit, its_model: object, prompts: Sequence[Any], *given: Any, **how: Any) -> Any:
        found = ours(its_kit, its_model, prompts, *given, **how)
        asked.extend(answer for answers in found for answer in answers)
        return found

    monkeypatch.setattr(passing, "sample", sample)
    alone = meter().measure(model)
    answers = sorted(asked)
    asked.clear()
    parts: list[Any] = []
    monkeypatch.setattr(passing, "gathered", lambda mine, _: parts.append(mine) or parts)
    meter(ranks=Ranks(1, 2, 1)).measure(model)
    monkeypatch.setattr(passing, "gathered", lambda mine, _: [mine, *parts])
    assert meter(ranks=Ranks(0, 2, 0)).measure(model) == alone
    assert sorted(asked) == answers
    assert model.training


def test_of_a_label_first_model_it_is_what_probabilities_imply(monkeypatch: pytest.MonkeyPatch) -> None:
    golds = [LABELS.index(pair.groundtruth) for pair in tune_sample(PAIRS, WANTED.pairs, SEED)]

    class Scores:
        def score(self, prompts: Sequence[object]) -> LabelScores:
            rows = [[0.7 if column == gold else 0.1 for column in range(4)] for gold in golds]
            assert len(prompts) == len(rows)
            return LabelScores.of([LabelScore((row[0], row[1], row[2], row[3])) for row in rows])

    monkeypatch.setattr(TransformersScorer, "of", lambda *_, **__: Scores())
    found = meter(PromptLayout.LABEL_FIRST).measure(Still())
    assert found == {
        "tuneDerivedPassAt1": pytest.approx(0.7),
        "tuneDerivedPassAtKAboveChance": pytest.approx(1 - 0.3**4 - CHANCE),
    }
    assert np.isfinite(list(found.values())).all()


def test_a_query_without_end_is_named() -> None:
    endless = PAIRS[0].model_copy(update={"id": "endless", "query": "red " * 200})
    with pytest.raises(JobError, match="pair endless: ") as caught:
        PassMeter(kit(), [endless], RULES, WANTED, SEED, Ranks(0, 1, 0), 2)
    assert caught.value.failure.reason == "PromptTooLong"
