"""What makes the student's steps cheaper leaves what it learns as it is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from lore_core.benchmark.world import Scale, World
from lore_core.records import Pair
from lore_core.training.distill import without_dropout
from lore_core.training.teaching import Judgements

torch = pytest.importorskip("torch")

from lore_core.training.rows import TrainedRows, train_rows, whole_weights  # noqa: E402

PAIRS = list(World(3, Scale(1, 0, 0, 0)).pairs("train", "general"))


def small(words: int = 40, dropout: float = 0.0) -> object:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(5)
    shape = BertConfig(
        vocab_size=words,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=4,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return BertForSequenceClassification(shape)


def trained(model: object, ids: object, decay: float) -> dict[str, object]:
    adam = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=decay)  # type: ignore[attr-defined]
    for _ in range(5):
        adam.zero_grad()
        logits = model(input_ids=ids).logits  # type: ignore[operator]
        torch.nn.functional.cross_entropy(logits, torch.tensor([1, 3])).backward()
        adam.step()
    return whole_weights(model, {name: value.detach().clone() for name, value in model.state_dict().items()})  # type: ignore[attr-defined]


def test_rows_that_no_pair_names_are_kept_and_all_else_is_trained_as_before() -> None:
    ids = torch.tensor([[3, 7, 9], [7, 1, 3]])
    whole, narrow = small(), small()
    train_rows(narrow, {1, 3, 7, 9})
    assert isinstance(narrow.get_input_embeddings(), TrainedRows)  # type: ignore[attr-defined]
    expected, found = trained(whole, ids, 0.0), trained(narrow, ids, 0.0)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-6), name


def test_a_student_learns_with_all_of_its_units() -> None:
    model = small(dropout=0.5)
    without_dropout(model)
    ids = torch.tensor([[3, 7, 9]])
    learning = model.train()(input_ids=ids).logits  # type: ignore[attr-defined]
    assert torch.equal(learning, model.eval()(input_ids=ids).logits)  # type: ignore[attr-defined]


def test_a_word_that_no_pair_named_is_still_looked_up() -> None:
    whole, narrow = small(), small()
    train_rows(narrow, {1, 3})
    ids = torch.tensor([[1, 3, 30]])
    assert torch.equal(narrow(input_ids=ids).logits, whole(input_ids=ids).logits)  # type: ignore[operator]


def test_an_embedding_that_is_mostly_used_is_trained_whole() -> None:
    model = small()
    train_rows(model, set(range(21)))
    assert not isinstance(model.get_input_embeddings(), TrainedRows)  # type: ignore[attr-defined]


def test_a_rank_without_weights_has_none_to_make_whole() -> None:
    model = small()
    train_rows(model, {1, 3})
    assert whole_weights(model, {}) == {}


class Judge:
    """Knows each pair by its id; remembers what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        self.asked.append(tuple(pair.id for pair in pairs))
        return np.array([[PAIRS.index(pair), 0, 0, 0] for pair in pairs], dtype=float)


def test_a_teacher_judges_each_pair_once_and_many_together() -> None:
    pairs = PAIRS * 40
    draws = [5, 3, 5, *range(100, 190), 3]
    judge = Judge()
    judgements = Judgements(judge, pairs)
    judgements.expect(draws)
    found = [judgements([index])[0, 0] for index in draws]
    assert found == [index % len(PAIRS) for index in draws]
    assert [len(together) for together in judge.asked] == [64, 28]


def test_a_resumed_student_asks_for_the_same_pairs_together() -> None:
    whole, resumed = Judge(), Judge()
    for judge, first in ((whole, 0), (resumed, 100)):
        judgements = Judgements(judge, PAIRS * 40)
        judgements.expect(range(150))
        for index in range(first, 150):
            judgements([index])
    assert resumed.asked == whole.asked[1:]
