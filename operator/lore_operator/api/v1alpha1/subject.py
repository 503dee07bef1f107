"""What a RelevanceEval judges: a model, an endpoint, or a served tier."""

from pydantic import Field

from lore_core import jobs
from lore_core.jobs.config import Name, PromptLanguage
from lore_core.router.config import PredictorStratum
from lore_operator.api.v1alpha1.common import (
    SECRET_ROOT,
    ApiModel,
    Digest,
    LocalReference,
)


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
