"""Whether a stage samples answers from its model, and how many."""

from pydantic import Field

from lore_core.jobs.wire import WireModel


class PassAtK(WireModel):
    """So many answers are sampled to each of `pairs` of the tune split, at temperature 1: pass@1 and pass@k, k being `samples`."""

    pairs: int = Field(default=64, ge=4, le=100_000)
    samples: int = Field(default=8, ge=2, le=64)
