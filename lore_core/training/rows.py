"""An embedding of which only the rows that a stage's data name are trained, exchanged between ranks and kept in optimizer state.

Half of a small encoder are embeddings of words that its pairs never say. Their gradient is zero, so leaving them out changes
nothing that is learned; they keep their values instead of the little that weight decay would take from them.
"""

from collections.abc import Collection
from typing import Any, Final

import torch

MOST_SHARE: Final = 0.5
"""Above this share of rows in use the whole embedding is trained."""
_ROWS: Final = "rows"
_REST: Final = "rest"


class TrainedRows(torch.nn.Module):  # type: ignore[misc]
    """Looks like the embedding that it replaces. A token id that no pair named is looked up in the frozen rest."""

    def __init__(self, embedding: Any, used: Collection[int]) -> None:
        super().__init__()
        ids = torch.tensor(sorted(used))
        place = torch.full((embedding.num_embeddings,), -1)
        place[ids] = torch.arange(len(ids))
        self.register_buffer("place", place, persistent=False)
        self.register_buffer(_REST, embedding.weight.detach().clone(), persistent=False)
        self.rows = torch.nn.Parameter(embedding.weight.detach()[ids].clone())

    def forward(self, ids: Any) -> Any:
        """Vectors of ids, as an embedding gives them."""
        found = self.place[ids]
        known = torch.nn.functional.embedding(found.clamp_min(0), self.rows)
        if bool((found >= 0).all()):
            return known
        return torch.where((found >= 0)[..., None], known, self.rest[ids].to(known.dtype))

    def whole(self, rows: Any) -> Any:
        """The full matrix with these rows in it."""
        filled = self.rest.detach().to(device=rows.device, dtype=rows.dtype).clone()
        filled[self.place.to(rows.device) >= 0] = rows
        return filled


def train_rows(model: Any, used: Collection[int]) -> None:
    """Replace the model's input embedding where the data use few enough of its rows; one shared with the output stays."""
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    shared = output is not None and output.weight is embedding.weight
    if not shared and len(used) <= MOST_SHARE * embedding.num_embeddings:
        model.set_input_embeddings(TrainedRows(embedding, used))


def whole_weights(model: Any, weights: dict[str, Any]) -> dict[str, Any]:
    """A state dict under the names and shapes of the original model; an empty one stays so (a rank that holds none)."""
    for name, module in model.named_modules():
        if isinstance(module, TrainedRows) and weights:
            weights[f"{name}.weight"] = module.whole(weights.pop(f"{name}.{_ROWS}"))
    return weights
