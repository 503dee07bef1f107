"""The two-tower in torch: one encoder for query and item, mean pooling, cosine, an ordinal head that can be trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn.functional import cosine_similarity, logsigmoid
from transformers import AutoModel
from transformers.modeling_outputs import SequenceClassifierOutput

from lore_core.prompts.contract import Towers

HEAD: Final = "moved"
"""Name of the head's parameter in a state dict."""
_ENCODER: Final = "encoder."
_PACE: Final = 100.0
"""Four numbers have to go far at a learning rate that suits an encoder's weights, whose changes add up over thousands."""
_FURTHEST: Final = 5.0
"""Scale and gaps stay within e to the power of this of where they started, so that none vanishes or overflows."""


class TwoTower(torch.nn.Module):  # type: ignore[misc]
    """Gives four log-probabilities as `logits`. Its parameters are the encoder's and how far the head went from `towers`."""

    def __init__(self, encoder: Any, towers: Towers) -> None:
        super().__init__()
        self.encoder, self.config, self._towers = encoder, encoder.config, towers
        self.moved = torch.nn.Parameter(torch.zeros(4))

    @classmethod
    def load(cls, folder: Path, towers: Towers) -> "TwoTower":
        """With a folder's encoder in float32, without the pooling layer that some have of their own."""
        encoder = AutoModel.from_pretrained(str(folder), dtype="float32")
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None
        return cls(encoder, towers)

    def forward(self, query_ids: Any, query_mask: Any, item_ids: Any, item_mask: Any) -> Any:
        """`logits` n×4 in float32 of n queries and n items, given as ids and masks n×longest."""
        alike = cosine_similarity(self._pooled(query_ids, query_mask), self._pooled(item_ids, item_mask))
        return SequenceClassifierOutput(logits=log_probabilities(alike, *head_numbers(self._towers, self.moved)))

    def _pooled(self, ids: Any, mask: Any) -> Any:
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    def get_input_embeddings(self) -> Any:
        """The encoder's."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the encoder's."""
        self.encoder.set_input_embeddings(value)

    def get_output_embeddings(self) -> None:
        """None: no tower writes."""

    def save_pretrained(self, folder: str, state_dict: Mapping[str, Any]) -> None:
        """Save the encoder of a whole state dict; the head's numbers belong into the serving contract."""
        own = {name.removeprefix(_ENCODER): value for name, value in state_dict.items() if name.startswith(_ENCODER)}
        self.encoder.save_pretrained(folder, state_dict=own)


def head_numbers(towers: Towers, moved: Any) -> tuple[Any, Any]:
    """Scale (a scalar) and three rising cut points, in float32, of a head that started at `towers` and was moved so far (4)."""
    first, second, third = (float(cut) for cut in towers.cut_points)
    far = _PACE * moved.float()
    ratio = (_FURTHEST * (far / _FURTHEST).tanh()).exp()
    cuts = torch.stack([first + far[1], (second - first) * ratio[2], (third - second) * ratio[3]]).cumsum(0)
    return float(towers.scale) * ratio[0], cuts


def log_probabilities(alike: Any, scale: Any, cuts: Any) -> Any:
    """n×4 log-probabilities of n cosines under cumulative logits.

    log(σ(a) - σ(b)) is logσ(a) + logσ(-b) + log(1 - e^(b-a)), which loses nothing where both are near 0 or 1.
    """
    at = cuts - scale * alike[:, None]
    below, above = logsigmoid(at), logsigmoid(-at)
    between = below[:, 1:] + above[:, :-1] + torch.log(-torch.expm1(cuts[:-1] - cuts[1:]))
    return torch.cat([below[:, :1], between, above[:, -1:]], dim=1)
