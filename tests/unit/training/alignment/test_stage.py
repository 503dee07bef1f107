"""What an align stage learns from, how its answers are rewarded, and what its guards watch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import AlignStage, RuleMode
from lore_core.jobs.config import AlignMethod, AlignOptimizer, AlignPreset
from lore_core.jobs.errors import JobError
from lore_core.prompts import CONTRACT_NAME, ModelKit, PromptLayout, RuleSource, TextEncoder, build_contract
from lore_core.records import LABELS, Label, Pair
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScore, LabelScores
from lore_core.training.alignment import pool as pools
from lore_core.training.alignment.contract import align_kit
from lore_core.training.alignment.pool import Candidate, choose
from lore_core.training.alignment.presets import PRESETS
from lore_core.training.alignment.probe import EVERYTHING, canaries
from lore_core.training.alignment.rollouts import read_rollout
from lore_core.training.alignment.sampling import Ids
from lore_core.training.alignment.trl_stage import PARTS, judged, preferred, reward_part, weights
from lore_core.training.examples import answer_ids
from lore_core.training.together import Ranks
from lore_core.training.tokenizer import build_tokenizer

ENCODER = TextEncoder(build_tokenizer(vocabulary()))
PAIRS = list(World(17, Scale(1, 1, 1, 1)).pairs("train", "rules"))
RULES = RuleSource(RuleMode.RETRIEVED, rulebook())
ALONE = Ranks(0, 1, 0)


def kit(layout: PromptLayout = PromptLayout.THINK_FIRST) -> ModelKit:
    return ModelKit(build_contract(ENCODER, layout, RuleMode.RETRIEVED, 96), ENCODER)


def saying(pair: Pair, label: Label) -> Ids:
    """The pair's own reasoning, and then this label."""
    ids = answer_ids(kit(), pair)
    return (*ids[:-1], kit().contract.verbaliser.token_ids[LABELS.index(label)])


def candidate(pair: Pair, labels: Sequence[Label]) -> Candidate:
    answers = tuple(saying(pair, label) for label in labels)
    lines = RULES(pair)
    shown = frozenset(word for line in (*lines.query, *lines.item) for word in line.split())
    read = tuple(read_rollout(kit(), answer) for answer in answers)
    return Candidate(pair, kit().render(pair, lines), shown, (0.25,) * 4, answers, read)


def other(label: Label) -> Label:
    return Label.L1 if label is not Label.L1 else Label.L4


class Scores:
    """In place of a model: surer of later pairs, and answers by turns right and wrong but for the first pair."""

    def score(self, prompts: Sequence[object]) -> LabelScores:
        tops = np.linspace(0.3, 0.95, len(prompts))
        return LabelScores.of([LabelScore((top, *[(1 - top) / 3] * 3)) for top in tops])


@pytest.fixture
def stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TransformersScorer, "of", lambda *_: Scores())
    by_prompt = {kit().render(pair, RULES(pair)).token_ids: pair for pair in PAIRS}

    def sample(_kit: ModelKit, _model: object, prompts: Sequence[object], count: int, **_: object) -> list[list[Ids]]:
        asked = [by_prompt[prompt.token_ids] for prompt in prompts]  # type: ignore[attr-defined]
        right = [[saying(pair, pair.groundtruth)] * count for pair in asked[:1]]
        mixed = [
            [saying(p, p.groundtruth if turn % 2 else other(p.groundtruth)) for turn in range(count)] for p in asked[1:]
        ]
        return right + mixed

    monkeypatch.setattr(pools, "sample", sample)


@pytest.mark.usefixtures("stood_in")
def test_unsure_pairs_with_mixed_answers_are_learned_from() -> None:
    spec = AlignStage(below="0.7", candidates=12, optimizer=AlignOptimizer(batch_size=4))
    pool = choose(kit(), None, PAIRS, RULES, spec, PRESETS[AlignPreset.TINY], ALONE)
    assert pool.counts["unsure"] == 12
    assert pool.counts["inWindow"] == 11
    assert 0 < pool.counts["chosen"] == len(pool.candidates) <= 11
    assert pool.counts["labelVariation"] <= max(pools.MOST_VARIATION, 0)
    assert all(max(one.probabilities) < 0.7 and 0 < one.right < len(one.answers) for one in pool.candidates)


@pytest.mark.usefixtures("stood_in")
def test_a_stage_with_nothing_to_learn_says_why() -> None:
    with pytest.raises(JobError, match=r"0 are held for less likely than 0\.1") as caught:
        choose(kit(), None, PAIRS, RULES, AlignStage(below="0.1"), PRESETS[AlignPreset.TINY], ALONE)
    assert caught.value.failure.reason == "NothingToAlign"


FEW = AlignStage(below="0.7", candidates=12, optimizer=AlignOptimizer(batch_size=12))


@pytest.mark.usefixtures("stood_in")
def test_fewer_pairs_than_a_step_of_grpo_takes_are_none() -> None:
    why = r"11 of those were answered both right and wrong, and \d+ stayed .* needs 12;"
    with pytest.raises(JobError, match=why) as caught:
        choose(kit(), None, PAIRS, RULES, FEW, PRESETS[AlignPreset.TINY], ALONE)
    assert (caught.value.failure.reason, caught.value.failure.field) == ("NothingToAlign", "spec.below")


@pytest.mark.usefixtures("stood_in")
def test_dpo_takes_steps_of_however_few_pairs() -> None:
    spec = FEW.model_copy(update={"method": AlignMethod.DPO})
    assert choose(kit(), None, PAIRS, RULES, spec, PRESETS[AlignPreset.TINY], ALONE).candidates


def test_each_part_of_the_reward_is_told_apart() -> None:
    pair = next(pair for pair in PAIRS if any(step.rule for step in pair.trace))
    one = candidate(pair, [pair.groundtruth])
    parts = {part: reward_part(part, kit(), [one], weights(AlignStage())) for part in PARTS}
    answers = [list(saying(pair, pair.groundtruth)), list(saying(pair, other(pair.groundtruth))), [5, 6, 7]]
    found = {part: score(prompts=["0"] * 3, completion_ids=answers) for part, score in parts.items()}
    assert {part.__name__ for part in parts.values()} == set(PARTS)
    assert found["label"][0] == 1.0
    assert found["label"][1] < 1.0
    assert found["label"][2] == found["format"][2] == -1.0
    assert found["format"][:2] == [1.0, 0.0]
    assert found["citation"][0] == 1.0


def test_pairs_for_dpo_and_judgements_for_kto_are_token_ids() -> None:
    pair = PAIRS[0]
    right, wrong = pair.groundtruth, other(pair.groundtruth)
    mixed, sure = candidate(pair, [wrong, right]), candidate(PAIRS[1], [PAIRS[1].groundtruth] * 2)
    (row,) = preferred([mixed, sure])
    assert (row["chosen_ids"], row["rejected_ids"]) == (list(saying(pair, right)), list(saying(pair, wrong)))
    assert row["prompt_ids"] == list(mixed.prompt.token_ids)
    rows = judged([mixed, sure])
    assert [row["label"] for row in rows] == [False, True, True, True]
    assert [row["KL_completion_ids"] for row in rows] == [rows[place - 1]["completion_ids"] for place in range(4)]


def test_canaries_are_rule_dimensions_with_enough_pairs_else_all() -> None:
    tagged = [pair.model_copy(update={"tags": {"ruleDimension": "brand"}, "id": f"{pair.id}-{n}"})
              for n in range(30) for pair in PAIRS[:1]]  # fmt: skip
    plain = [pair.model_copy(update={"trace": (), "id": f"{pair.id}-{n}"}) for n in range(30) for pair in PAIRS[:1]]
    assert {name: len(found) for name, found in canaries([*tagged, *plain]).items()} == {"brand": 30}
    assert list(canaries(plain)) == [EVERYTHING]
    assert canaries(plain[:29]) == {}


def test_only_a_tuned_model_of_the_fitting_layout_is_aligned(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(build_tokenizer(vocabulary()))
    with pytest.raises(JobError, match="align a fine-tuned model"):
        align_kit(AlignStage(), tmp_path, tmp_path)
    (tmp_path / CONTRACT_NAME).write_bytes(kit().contract.to_bytes())
    assert align_kit(AlignStage(), tmp_path, tmp_path).contract == kit().contract
    with pytest.raises(JobError, match="aligns models of layout LabelFirst, this one is ThinkFirst"):
        align_kit(AlignStage.model_validate({"method": "ExpectedReward"}), tmp_path, tmp_path)
    with pytest.raises(JobError, match="name its rule set"):
        align_kit(AlignStage(), tmp_path, None)
