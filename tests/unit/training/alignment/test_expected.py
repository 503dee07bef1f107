"""The exact loss of a label-first model is what sampling would only approach."""

import pytest

from lore_core.training.alignment.expected import expected_reward_loss
from lore_core.training.alignment.reward import reward_matrix

torch = pytest.importorskip("torch")


def test_it_is_the_negative_expected_reward() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0], [3.0, 0.0, 0.0, 0.0]])
    gold = torch.tensor([2, 0])
    rewards = torch.tensor(reward_matrix(), dtype=torch.float32)
    expected = -(logits.softmax(-1) * rewards[:, gold].T).sum(-1).mean()
    assert expected_reward_loss(logits, gold, logits, 0.0).item() == pytest.approx(expected.item(), abs=1e-6)


def test_its_gradient_is_the_mean_of_sampled_policy_gradients() -> None:
    logits = torch.tensor([[0.2, -0.3, 0.5, 0.1]], requires_grad=True)
    gold = torch.tensor([3])
    (exact,) = torch.autograd.grad(expected_reward_loss(logits, gold, logits, 0.0), logits)
    generator = torch.Generator().manual_seed(5)
    p = logits.detach().softmax(-1)
    drawn = torch.multinomial(p[0], 200_000, replacement=True, generator=generator)
    rewards = torch.tensor(reward_matrix(), dtype=torch.float32)[drawn, 3]
    scores = torch.nn.functional.one_hot(drawn, 4).float() - p
    sampled = -(rewards[:, None] * scores).mean(0)
    assert torch.allclose(exact[0], sampled, atol=5e-3)


def test_descending_it_finds_the_gold_label_and_the_leash_holds_it_back() -> None:
    def trained(kl_weight: float) -> float:
        logits = torch.zeros(1, 4, requires_grad=True)
        start = torch.zeros(1, 4)
        for _ in range(200):
            (slope,) = torch.autograd.grad(expected_reward_loss(logits, torch.tensor([1]), start, kl_weight), logits)
            logits = (logits - slope).detach().requires_grad_()
        return float(logits.detach().softmax(-1)[0, 1])

    assert trained(0.0) > 0.95
    assert 0.25 < trained(2.0) < 0.6
