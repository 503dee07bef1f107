"""The exact expected reward of a label-first model: four outcomes can be summed, so none needs to be sampled.

In label-first the reward is fixed before any reasoning token; sampling would put pure noise on those, so they are masked and
only the four-way softmax at the label position is trained. The gradient is that of E[R], with no variance.
"""

from typing import Any

from lore_core.training.alignment.reward import reward_matrix


def expected_reward_loss(logits: Any, gold: Any, reference: Any | None = None, kl_weight: float = 0.0) -> Any:
    """Mean of -E[R] + kl_weight · KL(policy‖reference) over n rows.

    `logits` are n×4 at the label tokens, `gold` n indices into L1..L4, `reference` n×4 logits of the frozen start.
    """
    import torch

    logs = logits.float().log_softmax(-1)
    rewards = torch.as_tensor(reward_matrix(), dtype=logs.dtype, device=logs.device).T[gold]
    loss = -(logs.exp() * rewards).sum(-1)
    if reference is not None and kl_weight:
        start = reference.detach().float().log_softmax(-1)
        loss = loss + kl_weight * (logs.exp() * (logs - start)).sum(-1)
    return loss.mean()
