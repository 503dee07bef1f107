"""The config of a GoodRate measurement: which served results are rated, by whom, and when it passes."""

from datetime import date, timedelta
from typing import Final

from pydantic import Field, model_validator

from lore_core.artifacts.ref import ArtifactRef, Digest
from lore_core.jobs.config import JudgedEndpoint
from lore_core.jobs.evaluation import GOODRATE_METRICS, Gate, endpoint_answers
from lore_core.jobs.wire import Name, WireModel

MOST_DAYS: Final = 92


class Sampling(WireModel):
    """How many requests of each day and stratum are rated, the first `people_size` of them by people too.

    Another `seed` draws others.
    """

    sample_size: int = Field(default=200, ge=1, le=10_000)
    people_size: int = Field(default=50, ge=0, le=10_000)
    seed: int = Field(default=17, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _people_rate_a_part(self) -> "Sampling":
        if self.people_size > self.sample_size:
            raise ValueError(
                f"peopleSize: {self.people_size} is above sampleSize {self.sample_size}; people rate a part of it"
            )
        return self


class GoodRateConfig(WireModel):
    """`lore goodrate run`: sample a served log, let a judge rate it, take in people's ratings, estimate, apply the gates.

    `served` is a folder with files `DAY*.jsonl`, one answered request a line; those of `first_day` to `last_day` are read, and of
    their requests only those that `revision` answered, where it is given. `people` is a folder of JSONL files with ratings
    of the sample. A `judge` needs `items`, the texts of what was shown.
    """

    evaluation: Name
    served: ArtifactRef
    first_day: date
    last_day: date
    revision: Name | None = None
    sampling: Sampling = Sampling()
    people: ArtifactRef | None = None
    items: ArtifactRef | None = None
    judge: JudgedEndpoint | None = None
    gates: tuple[Gate, ...] = ()
    gate_set_digest: Digest
    workspace: ArtifactRef
    input_key: Digest

    @model_validator(mode="after")
    def _consistent(self) -> "GoodRateConfig":
        if not 1 <= len(self.days) <= MOST_DAYS:
            raise ValueError(f"lastDay: must be firstDay or up to {MOST_DAYS - 1} days later")
        if (self.judge is None) != (self.items is None):
            raise ValueError("judge and items go together: a judge needs the texts of what was shown")
        if wrong := [gate.name for gate in self.gates if gate.metric not in GOODRATE_METRICS]:
            raise ValueError(f"gate {wrong[0]}: of served results there are {', '.join(GOODRATE_METRICS)}")
        return self

    @property
    def days(self) -> tuple[date, ...]:
        """The days of the window, in order; none where it ends before it begins."""
        return tuple(
            self.first_day + timedelta(days=number) for number in range((self.last_day - self.first_day).days + 1)
        )

    @property
    def requests(self) -> ArtifactRef:
        """Where the judge's answers are kept by the content of their requests, so that none is paid twice."""
        assert self.judge is not None
        return endpoint_answers(self.workspace, self.judge)

    @property
    def output(self) -> ArtifactRef:
        """Where the measurement goes."""
        return self.workspace.child(f"goodrate/{self.input_key.removeprefix('sha256:')[:20]}")
