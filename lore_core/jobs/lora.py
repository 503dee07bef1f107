"""Tuning of low-rank adapters in place of all weights."""

from typing import Annotated

from pydantic import Field

from lore_core.jobs.wire import WireModel

ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class Lora(WireModel):
    """Adapters of `rank` on the linear layers named by `targets` are trained, scaled by `alpha`/`rank`; all else is frozen.

    The published model has them merged, so that it is served like any other.
    """

    rank: int = Field(default=8, ge=1, le=1_024)
    alpha: int = Field(default=16, ge=1, le=8_192)
    targets: tuple[ModuleName, ...] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )
