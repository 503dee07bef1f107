"""What a RelevanceEval judges: a model, an endpoint, a served tier, or what was served."""

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from lore_core import jobs
from lore_core.jobs.config import Name, PromptLanguage
from lore_core.jobs.goodrate import MOST_DAYS
from lore_core.router.config import PredictorStratum
from lore_operator.api.v1alpha1.common import (
    SECRET_ROOT,
    ApiModel,
    ArtifactRef,
    Digest,
    LocalReference,
)
from lore_operator.api.v1alpha1.schema_hints import Rule, cel


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


Day = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10, json_schema_extra={"format": "date"}),
    AfterValidator(_day),
]
"""A day as YYYY-MM-DD."""


class ModelReference(ApiModel):
    """A RelevanceModel of the same namespace."""

    name: Name
    """Its name. Without a digest the one found first is recorded and kept."""
    digest: Digest | None = None
    """Digest that the model must have."""


class JudgedEndpoint(ApiModel):
    """A model behind an OpenAI-compatible chat endpoint, own or hosted. Its verdict lets no model serve."""

    url: str = Field(pattern=r"^https?://[^\s?#@]+$", max_length=1024)
    """Base address, up to and including /v1."""
    model: str = Field(min_length=1, max_length=256)
    """Name of the model there."""
    answers_as: str | None = Field(default=None, min_length=1, max_length=256)
    """Name under which it answers, where that is another, as of a hosted alias; any other name ends the evaluation."""
    secret_ref: LocalReference | None = None
    """Secret with the API key, key `token`."""
    reasoning_model: bool = False
    """It refuses temperature, seed and max_tokens, as hosted reasoning models do; max_completion_tokens is sent."""
    prompt_language: PromptLanguage = PromptLanguage.ENGLISH
    """Language of the instructions: English or Chinese. Each is a prompt of its own, named by digest in the evidence."""
    concurrency: int = Field(default=8, ge=1, le=512)
    """Requests at once, a pod."""
    requests_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """Requests a minute, a pod."""
    timeout_seconds: int = Field(default=120, ge=1, le=3_600)
    """How long an answer may take."""
    max_tries: int = Field(default=6, ge=1, le=20)
    """Tries of a request that meets 429, 5xx or a time-out, with growing waits between them."""

    def mounted(self) -> jobs.JudgedEndpoint:
        """The endpoint as a pod sees it: the Secret is a folder there."""
        folder = f"{SECRET_ROOT}/{self.secret_ref.name}" if self.secret_ref else None
        return jobs.JudgedEndpoint(**self.model_dump(exclude={"secret_ref"}), credentials=folder)


class TierReference(ApiModel):
    """A tier of a RelevanceDeployment of the same namespace, as it serves. Its verdict lets no model serve."""

    name: Name
    """Name of the deployment."""
    stratum: PredictorStratum
    """Tier with a model."""
    concurrency: int = Field(default=4, ge=1, le=512)
    """Requests at once, a pod: the tier answers its callers meanwhile."""


_LENGTH = "self.lastDay - self.firstDay"
"""CEL reads a string of format date as a point in time."""


class Traffic(ApiModel):
    """What was served in some days: GoodRate of a sample that people and a judge rate. Its verdict lets no model serve."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Rule(
                f"{_LENGTH} >= duration('0h') && {_LENGTH} < duration('{24 * MOST_DAYS}h')",
                f"lastDay must be firstDay or up to {MOST_DAYS - 1} days later",
            ),
            Rule(
                "self.peopleSize <= self.sampleSize", "peopleSize must be at most sampleSize: people rate a part of it"
            ),
            Rule(
                "has(self.judge) == has(self.items)",
                "judge and items go together: a judge needs the texts of what was shown",
            ),
            Rule(
                "!has(self.served.digest) && (!has(self.people) || !has(self.people.digest))",
                "served and people are folders that grow: they have no digest",
            ),
        )
    )

    served: ArtifactRef
    """Folder with the served log, files DAY*.jsonl: request, date, stratum, revision, query, market, items as they were shown."""
    first_day: Day
    """First day of the window."""
    last_day: Day
    """Last day of the window; its log must be complete."""
    revision: Name | None = None
    """Only what this revision of a deployment answered. Without it no step of a rollout takes the verdict."""
    sample_size: int = Field(default=200, ge=1, le=10_000)
    """Requests of each day and stratum that are drawn, all of them for the judge."""
    people_size: int = Field(default=50, ge=0, le=10_000)
    """How many of these are for people too."""
    seed: int = Field(default=17, ge=0, le=2_147_483_647)
    """Another seed draws others."""
    people: ArtifactRef | None = None
    """Folder with people's ratings of the sample, files *.jsonl: request, item, rater, label, guideline."""
    items: ArtifactRef | None = None
    """Texts of what was shown, for the judge."""
    judge: JudgedEndpoint | None = None
    """Model that rates the whole sample; people's ratings correct it. It must not be of the served model's lineage."""

    @model_validator(mode="after")
    def _consistent(self) -> "Traffic":
        length = (date.fromisoformat(self.last_day) - date.fromisoformat(self.first_day)).days
        if not 0 <= length < MOST_DAYS:
            raise ValueError(f"lastDay must be firstDay or up to {MOST_DAYS - 1} days later")
        if self.people_size > self.sample_size:
            raise ValueError("peopleSize must be at most sampleSize: people rate a part of it")
        if (self.judge is None) != (self.items is None):
            raise ValueError("judge and items go together: a judge needs the texts of what was shown")
        if self.served.digest is not None or (self.people is not None and self.people.digest is not None):
            raise ValueError("served and people are folders that grow: they have no digest")
        return self

    @property
    def sampling(self) -> jobs.Sampling:
        """How many are drawn."""
        return jobs.Sampling(sample_size=self.sample_size, people_size=self.people_size, seed=self.seed)

    @property
    def title(self) -> str:
        """For the column: `traffic DAY..DAY`, with the revision where one is named."""
        days = self.first_day if self.first_day == self.last_day else f"{self.first_day}..{self.last_day}"
        return f"traffic {days}" + (f" of {self.revision}" if self.revision else "")
