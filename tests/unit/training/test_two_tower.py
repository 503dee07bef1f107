"""A two-tower as student: what it learns, what is left of it in the model's folder and in the contract."""

import json
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
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, PromptLayout, RuleSource, TextEncoder
from lore_core.records import LABELS, Pair
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScores
from lore_core.scoring.towers import label_probabilities
from lore_core.training.distill import StudentModel, distill_kit, without_dropout
from lore_core.training.export import write_model
from lore_core.training.teaching import TaughtBy
from lore_core.training.tokenizer import build_tokenizer
from lore_core.training.towers import learnt_kit

from .test_sft import Plain

torch = pytest.importorskip("torch")

from lore_core.training.rows import TrainedRows, train_rows, whole_weights  # noqa: E402

# Of different lengths, so that rows are padded.
PAIRS = [
    pair.model_copy(update={"query": f"{pair.query}{' red' * (number % 3)}", "title": f"{pair.title}{' red' * number}"})
    for number, pair in enumerate(list(World(17, Scale(1, 1, 1, 1)).pairs("train", "rules"))[:8])
]
RULES = RuleSource(RuleMode.RETRIEVED, rulebook())
UNSURE = (0.1, 0.2, 0.3, 0.4)
ALL = list(range(len(PAIRS)))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder with a masked-word head, as encoders come."""
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("encoder")
    document = json.loads(build_tokenizer(vocabulary()))
    first = max(document["model"]["vocab"].values()) + 1
    like = document["added_tokens"][0]
    document["added_tokens"] += [{**like, "id": first + n, "content": c} for n, c in enumerate(("[CLS]", "[SEP]"))]
    (folder / "tokenizer.json").write_text(json.dumps(document))
    torch.manual_seed(3)
    shape = BertConfig(
        vocab_size=4 * TextEncoder.load(folder).size,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertForMaskedLM(shape).save_pretrained(str(folder))
    return folder


def unsure(pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
    return np.array([UNSURE] * len(pairs))


def student(base: Path, taught: TaughtBy | None = None, **changes: Any) -> StudentModel:
    spec = DistillStage.model_validate({"student": "TwoTower", "base": {"uri": "file:///base"}, **changes})
    made = StudentModel(distill_kit(spec, TextEncoder.load(base), RULES.mode), base, PAIRS, RULES, taught)
    without_dropout(made.model)
    return made


def trained(made: StudentModel, steps: int = 150) -> StudentModel:
    adam = torch.optim.AdamW(made.model.parameters(), lr=1e-3)
    made.model.train()
    for _ in range(steps):
        adam.zero_grad()
        made.loss(Plain(made.model), ALL).backward()
        adam.step()
    return made


def scores(kit: ModelKit, scorer: TransformersScorer) -> LabelScores:
    return scorer.score([kit.render(pair, RULES(pair)) for pair in PAIRS])


def by_hand(made: StudentModel) -> Any:
    """Log-probabilities of every pair: each sequence by itself, the mean of its states, the served head on the cosine."""
    towers = made.kit.contract.towers
    assert towers is not None

    def mean(ids: tuple[int, ...]) -> Any:
        return made.model.encoder(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)

    found = []
    for pair in PAIRS:
        query, item = (mean(ids) for ids in made.kit.render(pair, RULES(pair)).towers)
        found.append(label_probabilities(towers, float(query @ item / (query.norm() * item.norm()))))
    return torch.tensor(found, dtype=torch.float64).log()


def test_the_loss_is_gold_and_the_teacher_over_the_four_labels(base: Path) -> None:
    made = student(base, TaughtBy(unsure))
    made.model.eval()
    gold = torch.tensor([LABELS.index(pair.groundtruth) for pair in PAIRS])
    with torch.no_grad():
        logits = by_hand(made)
        hard = -logits[torch.arange(len(PAIRS)), gold].mean()
        target = (torch.tensor(UNSURE).log() / 2).softmax(-1)
        apart = (target * (target.log() - (logits / 2).log_softmax(-1))).sum(-1).mean()
        found = made.loss(Plain(made.model), ALL)
        alone = student(base).loss(Plain(made.model), ALL)
    assert made.kit.contract.layout is PromptLayout.TWO_TOWER
    assert float(found) == pytest.approx(float(0.5 * hard + 0.5 * apart * 4), abs=1e-4)
    assert float(alone) == pytest.approx(float(hard), abs=1e-4)


def test_it_learns_labels_and_how_sure_the_teacher_is(base: Path) -> None:
    by_gold, taught = (
        scores(made.kit, TransformersScorer.of(made.kit, made.model.eval()))
        for made in (trained(student(base)), trained(student(base, TaughtBy(unsure))))
    )
    golds = [LABELS.index(pair.groundtruth) for pair in PAIRS]
    assert (by_gold.probabilities.argmax(1) == golds).all()
    entropy = [-(one.probabilities * np.log(one.probabilities)).sum(1).mean() for one in (by_gold, taught)]
    assert entropy[1] > entropy[0] + 0.3


def test_the_published_folder_scores_as_the_model_that_was_trained(base: Path, tmp_path: Path) -> None:
    made = student(base)
    train_rows(made.model, made.expect(ALL))
    assert isinstance(made.model.get_input_embeddings(), TrainedRows)
    trained(made, 40).model.eval()
    weights = whole_weights(made.model, {name: one.detach().clone() for name, one in made.model.state_dict().items()})
    kit = learnt_kit(made.kit, weights)
    write_model(made.model, weights, kit, base, tmp_path / "model")

    again = ModelKit.load(tmp_path / "model").contract
    assert (again.towers, again.template) == (kit.contract.towers, made.kit.contract.template)
    assert again.towers != made.kit.contract.towers
    live = scores(made.kit, TransformersScorer.of(made.kit, made.model))
    assert np.abs(scores(kit, TransformersScorer(tmp_path / "model")).probabilities - live.probabilities).max() < 1e-6


def test_the_published_weights_are_the_encoders_alone(base: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    made = student(base)
    write_model(made.model, made.model.state_dict(), made.kit, base, tmp_path / "model")
    with safe_open(str(tmp_path / "model/model.safetensors"), framework="pt") as weights:
        names = set(weights.keys())
    assert {name.partition(".")[0] for name in names} == {"embeddings", "encoder"}
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["architectures"] == ["BertModel"]


def test_a_rank_without_weights_leaves_the_contract_as_it_is(base: Path) -> None:
    kit = student(base).kit
    assert learnt_kit(kit, {}) is kit


@pytest.mark.parametrize("moved", [[-9.0, 9.0, -9.0, 9.0], [9.0, -9.0, 9.0, -9.0]])
def test_a_head_that_went_far_can_still_be_served(base: Path, moved: list[float]) -> None:
    towers = learnt_kit(student(base).kit, {"moved": torch.tensor(moved)}).contract.towers
    assert towers is not None
    found = label_probabilities(towers, 0.5)
    assert (min(found) >= 0, sum(found)) == (True, pytest.approx(1.0))


def test_prompts_beyond_the_bases_positions_are_refused(base: Path) -> None:
    with pytest.raises(JobError, match="the base has 128 positions") as caught:
        student(base, max_prompt_tokens=600)
    assert caught.value.failure.field == "spec.maxPromptTokens"
