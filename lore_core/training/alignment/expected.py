"""The exact expected reward of a label-first model: four outcomes can be summed, so none needs to be sampled.

In label-first the reward is fixed before any reasoning token; sampling would put pure noise on those, so they are masked and
only the four-way softmax at the label position is trained. The gradient is that of E[R], with no variance.
"""

from collections.abc import Sequence
from typing import Any

from lore_core.prompts import ModelKit
from lore_core.records import LABELS
from lore_core.training.alignment.pool import Candidate
from lore_core.training.alignment.reward import reward_matrix
from lore_core.training.examples import Example, collate


class ExpectedModel:
    """Model and prompts of an align stage by expected reward; the start's probabilities are the candidates' own."""

    def __init__(self, kit: ModelKit, model: Any, candidates: Sequence[Candidate], kl_weight: float) -> None:
        self.kit, self.model = kit, model
        self._candidates, self._kl_weight = candidates, kl_weight

    def __len__(self) -> int:
        return len(self._candidates)

    def loss(self, engine: Any, indices: list[int]) -> Any:
        """Mean of -E[R] + KL to the start."""
        import torch

        found = [self._candidates[index] for index in indices]
        batch = collate([Example(one.prompt.token_ids, ()) for one in found])
        batch.pop("targets")
        last = batch["attention_mask"].sum(-1) - 1
        inputs = {name: value.to(engine.device) for name, value in batch.items()}
        logits = engine(**inputs, use_cache=False).logits[torch.arange(len(found)), last]
        columns = list(self.kit.contract.verbaliser.token_ids)
        gold = torch.tensor([LABELS.index(one.pair.groundtruth) for one in found], device=logits.device)
        start = torch.tensor([one.probabilities for one in found], device=logits.device).clamp_min(1e-12).log()
        return expected_reward_loss(logits[:, columns], gold, start, self._kl_weight)


def expected_reward_loss(logits: Any, gold: Any, reference: Any, kl_weight: float) -> Any:
    """Mean of -E[R] + kl_weight · KL(policy‖reference) over n rows.

    `logits` are n×4 at the label tokens, `gold` n indices into L1..L4, `reference` n×4 logits of the frozen start.
    """
    import torch

    logs = logits.float().log_softmax(-1)
    rewards = torch.as_tensor(reward_matrix(), dtype=logs.dtype, device=logs.device).T[gold]
    start = reference.detach().float().log_softmax(-1)
    return (-(logs.exp() * rewards).sum(-1) + kl_weight * (logs.exp() * (logs - start)).sum(-1)).mean()
