"""How a stage chooses among its checkpoints."""

from enum import StrEnum

from pydantic import Field

from lore_core.jobs.wire import WireModel


class TuneMetric(StrEnum):
    """What a checkpoint scores on the tune split, judged as it would be served; more is better in each.

    `LogLikelihood` is the mean log-probability of the gold label among the four.
    """

    MACRO_F1 = "MacroF1"
    ACCURACY2 = "Accuracy2"
    LOG_LIKELIHOOD = "LogLikelihood"


class Selection(WireModel):
    """Every checkpoint is scored on `pairs` of the tune split; the best one's weights are what the stage ends with.

    `patience` ends the stage after that many checkpoints in a row that were no better; without it all steps are taken.
    """

    metric: TuneMetric = TuneMetric.MACRO_F1
    pairs: int = Field(default=256, ge=4, le=100_000)
    patience: int | None = Field(default=None, ge=1, le=1_000)
