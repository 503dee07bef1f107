"""A small language model as student: its label tokens learn what gold and the teacher say of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import DistillStage, RuleMode
from lore_core.jobs.config import StudentKind
from lore_core.jobs.errors import JobError
from lore_core.prompts import PromptLayout, RuleSource, TextEncoder
from lore_core.records import LABELS, Pair
from lore_core.records.leakage import canonical_query
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.distill import StudentModel, distill_kit
from lore_core.training.teaching import TaughtBy

from .test_sft import Plain

torch = pytest.importorskip("torch")

PAIRS = list(World(17, Scale(1, 1, 1, 1)).pairs("train", "rules"))[:8]
RULES = RuleSource(RuleMode.RETRIEVED, rulebook())
UNSURE = (0.1, 0.2, 0.3, 0.4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    encoder = write_tokenizer(vocabulary(), folder)
    torch.manual_seed(3)
    small_model(BaseSettings(layers=1, width=64, heads=2, feed_forward=64), encoder).save_pretrained(str(folder))
    return folder


def unsure(pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
    return np.array([UNSURE] * len(pairs))


def student(base: Path, taught: TaughtBy | None = None, **changes: Any) -> StudentModel:
    spec = DistillStage.model_validate({"student": "Causal", "base": {"uri": "file:///base"}, **changes})
    return StudentModel(distill_kit(spec, TextEncoder.load(base), RULES.mode), base, PAIRS, RULES, taught)


def label_logits(made: StudentModel) -> Any:
    """Logits of every pair at its label, each pair by itself."""
    prompts = [made.kit.render(pair, RULES(pair)) for pair in PAIRS]
    return torch.stack([made.model(input_ids=torch.tensor([prompt.token_ids])).logits[0, -1] for prompt in prompts])


def trained(made: StudentModel, steps: int = 150) -> StudentModel:
    adam = torch.optim.AdamW(made.model.parameters(), lr=3e-3)
    for _ in range(steps):
        adam.zero_grad()
        made.loss(Plain(made.model), list(range(len(PAIRS)))).backward()
        adam.step()
    return made


def test_its_contract_is_a_label_first_one(base: Path) -> None:
    assert student(base).kit.contract.layout is PromptLayout.LABEL_FIRST
    spec = DistillStage.model_validate({"base": {"uri": "file:///base"}})
    assert spec.student is StudentKind.CLASSIFIER


def test_the_loss_is_gold_over_the_vocabulary_and_the_teacher_over_the_labels(base: Path) -> None:
    made = student(base, TaughtBy(unsure))
    columns = torch.tensor(made.kit.contract.verbaliser.token_ids)
    gold = columns[[LABELS.index(pair.groundtruth) for pair in PAIRS]]
    with torch.no_grad():
        logits = label_logits(made)
        hard = -logits.log_softmax(-1)[torch.arange(len(PAIRS)), gold].mean()
        target = (torch.tensor(UNSURE).log() / 2).softmax(-1)
        soft = (logits[:, columns] / 2).log_softmax(-1)
        apart = (target * (target.log() - soft)).sum(-1).mean()
        found = made.loss(Plain(made.model), list(range(len(PAIRS))))
        alone = student(base).loss(Plain(made.model), list(range(len(PAIRS))))
    assert float(found) == pytest.approx(float(0.5 * hard + 0.5 * apart * 4), abs=1e-5)
    assert float(alone) == pytest.approx(float(hard), abs=1e-5)


def test_its_teacher_is_asked_about_no_query_that_is_held_out(base: Path) -> None:
    asked: list[str] = []

    def judge(pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        asked.extend(pair.query for pair in pairs)
        return unsure(pairs)

    held_out = PAIRS[-1].query
    made = student(base, TaughtBy(judge, held_out=frozenset({canonical_query(held_out)})))
    made.loss(Plain(made.model), list(range(len(PAIRS)))[::-1])
    made.expect(range(len(PAIRS)))
    made.loss(Plain(made.model), list(range(len(PAIRS))))
    assert set(asked) == {pair.query for pair in PAIRS} - {held_out}
    assert asked


def test_it_learns_labels_and_how_sure_the_teacher_is(base: Path) -> None:
    def scores(made: StudentModel) -> Any:
        prompts = [made.kit.render(pair, RULES(pair)) for pair in PAIRS]
        return TransformersScorer.of(made.kit, made.model.eval()).score(prompts)

    by_gold, taught = scores(trained(student(base))), scores(trained(student(base, TaughtBy(unsure))))
    golds = [LABELS.index(pair.groundtruth) for pair in PAIRS]
    assert (by_gold.probabilities.argmax(1) == golds).all()
    assert by_gold.outside.mean() < 0.05  # what `lore model check` allows
    entropy = [-(one.probabilities * np.log(one.probabilities)).sum(1).mean() for one in (by_gold, taught)]
    assert entropy[1] > entropy[0] + 0.3


def test_prompts_beyond_the_bases_positions_are_refused(base: Path) -> None:
    with pytest.raises(JobError, match="the base has 512 positions") as caught:
        student(base, max_prompt_tokens=600)
    assert caught.value.failure.field == "spec.maxPromptTokens"
