"""Sharing a prefix changes what is computed, never what comes out."""

import pytest

from lore_core.benchmark.lexicon import vocabulary as world_vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import RuleMode
from lore_core.prompts import ModelKit, PromptLayout, RuleSource, TextEncoder, build_contract
from lore_core.training.base import BaseSettings, small_model
from lore_core.training.examples import IGNORED, Example, Examples, answer_ids, causal_example, collate
from lore_core.training.packing import collate_rows, grouped_rows, pack, packed_loss, shared_prefix
from lore_core.training.tokenizer import build_tokenizer

torch = pytest.importorskip("torch")
ENCODER = TextEncoder(build_tokenizer(world_vocabulary()))


def world_examples(layout: PromptLayout) -> list[Example]:
    """Two queries of four pairs each, as an sft stage renders them."""
    pairs = sorted(World(17, Scale(1, 1, 1, 1)).pairs("train", "rules"), key=lambda p: (p.query, p.market))[:8]
    kit = ModelKit(build_contract(ENCODER, layout, RuleMode.RETRIEVED, 96), ENCODER)
    rules = RuleSource(RuleMode.RETRIEVED, rulebook())
    found = Examples(kit, pairs, rules, lambda prompt, pair: causal_example(prompt, answer_ids(kit, pair)))
    return [found[index] for index in range(len(found))]


def model() -> object:
    torch.manual_seed(3)
    return small_model(BaseSettings(layers=2, width=64, heads=2, feed_forward=96), ENCODER)


def losses(logits: object, targets: object) -> object:
    ce = torch.nn.functional.cross_entropy
    return ce(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none").reshape(targets.shape)  # type: ignore[attr-defined]


@pytest.mark.parametrize("layout", [PromptLayout.THINK_FIRST, PromptLayout.LABEL_FIRST])
def test_each_pairs_loss_and_the_gradient_are_those_of_unpacked_training(layout: PromptLayout) -> None:
    examples, net = world_examples(layout), model()
    plain = collate(examples)
    targets = plain.pop("targets")[:, 1:]
    each = losses(net(**plain).logits[:, :-1], targets)  # type: ignore[operator]
    counted = (targets != IGNORED).sum(-1)
    expected = each.sum(-1) / counted  # type: ignore[attr-defined]
    slow = _gradient(net, each.sum() / counted.sum())  # type: ignore[attr-defined]

    rows = grouped_rows(examples, 512)
    assert len(rows) <= 2
    batch = collate_rows(rows)
    packed_targets, weights = batch.pop("targets"), batch.pop("weights")
    logits = net(**batch).logits  # type: ignore[operator]
    shared = losses(logits, packed_targets)
    found = [
        shared[place][torch.tensor([b == branch and t != IGNORED for b, t in zip(row.branches, row.targets, strict=True)]
                                   + [False] * (shared.shape[1] - len(row.ids)))].mean()  # type: ignore[index, attr-defined]
        for place, row in enumerate(rows)
        for branch in range(max(row.branches) + 1)
    ]  # fmt: skip
    fast = _gradient(net, packed_loss(logits, packed_targets, weights))
    assert torch.stack(found).detach() == pytest.approx(expected.detach(), abs=1e-5)
    assert float(torch.nn.functional.cosine_similarity(slow, fast, dim=0)) >= 0.9999  # type: ignore[arg-type]


def _gradient(net: object, loss: object) -> object:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)])  # type: ignore[attr-defined]


def test_sharing_saves_tokens_where_a_query_has_several_pairs() -> None:
    examples = world_examples(PromptLayout.LABEL_FIRST)
    whole = sum(len(example.token_ids) for example in examples)
    assert sum(len(row.ids) for row in grouped_rows(examples, 512)) < whole
    assert sum(len(row.ids) for row in grouped_rows(examples, 0)) == whole


def test_a_broken_mask_would_be_seen() -> None:
    examples, net = world_examples(PromptLayout.LABEL_FIRST)[:4], model()
    batch = collate_rows([pack(examples)])
    targets, weights = batch.pop("targets"), batch.pop("weights")
    right = packed_loss(net(**batch).logits, targets, weights)  # type: ignore[operator]
    length = batch["input_ids"].shape[1]
    causal = torch.zeros(length, length).masked_fill(
        ~torch.ones(length, length).tril().bool(), torch.finfo(torch.float32).min
    )
    wrong = packed_loss(net(**batch | {"attention_mask": causal[None, None]}).logits, targets, weights)  # type: ignore[operator]
    assert abs(float(right.detach() - wrong.detach())) > 1e-3


def example(prompt: list[int], answer: list[int]) -> Example:
    return Example((*prompt, *answer), (*[IGNORED] * len(prompt), *answer))


def test_the_predecessor_of_the_first_trained_token_belongs_to_its_branch() -> None:
    same = [example([1, 2, 3], [9]), example([1, 2, 3], [8])]
    assert shared_prefix(same) == 2
    row = pack(same, label_weight=4.0)
    assert row.ids == (1, 2, 3, 9, 3, 8)
    assert row.positions == (0, 1, 2, 3, 2, 3)
    assert row.branches == (-1, -1, 0, 0, 1, 1)
    assert row.targets == (IGNORED, IGNORED, 9, IGNORED, 8, IGNORED)
    assert row.weights == (0.0, 0.0, 4.0, 0.0, 4.0, 0.0)


def test_only_prompts_that_are_alike_and_fit_are_packed() -> None:
    alike = [example([1, 2, 3, 4], [9])] * 3
    other = example([5, 6, 7, 8], [9])
    assert [len(row.ids) for row in grouped_rows([*alike, other], 100)] == [9, 5]
    assert [len(row.ids) for row in grouped_rows(alike, 7)] == [7, 5]


def test_the_label_counts_as_often_as_its_weight_says() -> None:
    rows = collate_rows([pack([example([1, 2], [3, 4])], label_weight=3.0)])
    logits = torch.randn(1, 4, 10, generator=torch.Generator().manual_seed(1))
    logs = logits.log_softmax(-1)[0]
    expected = -(logs[1, 3] + 3 * logs[2, 4]) / 4
    assert float(packed_loss(logits, rows["targets"], rows["weights"])) == pytest.approx(float(expected), abs=1e-6)
