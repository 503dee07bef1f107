"""Which verdict a model needs before a RelevanceDeployment serves it."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from lore_core.jobs.config import Name
from lore_core.router.config import Stratum
from lore_operator.api.v1alpha1.common import (
    ApiModel,
    Digest,
)
from lore_operator.api.v1alpha1.schema_hints import (
    Rule,
    cel,
    list_map,
    list_set,
)


class Selector(ApiModel):
    """Labels of RelevanceEvals."""

    match_labels: dict[str, str] = Field(default={}, max_length=16)
    """All of them must match."""


class Requirement(ApiModel):
    """A verdict that each model must have for its digest and serving profile before it may serve."""

    name: Name
    """Name of the requirement, for messages."""
    strata: Annotated[tuple[Stratum, ...], *list_set(3)] = ()
    """Tiers it holds for; all with a model when empty. A head that is built needs it for the model that scores."""
    eval_selector: Selector = Selector()
    """Which evaluations count; all of the namespace when empty."""
    benchmark_digest: Digest | None = None
    """Benchmark they must have used."""
    gate_set_digest: Digest | None = None
    """Gates they must have applied."""


class ServingGate(ApiModel):
    """What must be proven before a composition may serve."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Rule(
                "self.mode == 'Disabled' || (has(self.requirements) && self.requirements.size() > 0)",
                "requirements must not be empty; set mode: Disabled to serve unproven models",
            )
        )
    )

    mode: Literal["Enforced", "Disabled"] = "Enforced"
    """Disabled serves unproven models and is shown in a column."""
    requirements: Annotated[tuple[Requirement, ...], *list_map("name", 16)] = ()
    """All must hold."""
    allow_unverified: bool = False
    """Lets tiers with kserveRuntime serve: a verdict is then about the model that they name, not about the bytes they load."""

    @model_validator(mode="after")
    def _not_empty(self) -> "ServingGate":
        if self.mode == "Enforced" and not self.requirements:
            raise ValueError("gate.requirements must not be empty; set mode: Disabled to serve unproven models")
        return self
