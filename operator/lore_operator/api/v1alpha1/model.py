"""RelevanceModel: an immutable, digest-bound model. Train jobs publish it; an imported model is written by hand."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from lore_core.attestation.trust import MAX_ENVELOPE
from lore_core.jobs.config import Layout, Name
from lore_operator.api.v1alpha1.common import (
    ONLY_READ,
    ApiModel,
    CommonStatus,
    DeletionPolicy,
    Digest,
    PinnedRef,
    Resource,
    ResultRef,
)
from lore_operator.api.v1alpha1.schema_hints import Rule, cel, immutable, list_map, short_name

_FROZEN = ("uri", "digest", "secretRef", "role", "contract", "lineage", "deletionPolicy")


class Contract(ApiModel):
    """What a server of the model must know; the whole of it is `lore-contract.json` inside the artifact."""

    layout: Layout | None = None
    """Where the label stands in a generated answer."""
    digest: Digest | None = None
    """Digest of the contract file."""


class LineageInput(ApiModel):
    """One artifact that the model was made from."""

    name: str = Field(min_length=1, max_length=64)
    """Role of the input: baseModel, data, ruleSet, teacher."""
    uri: str = Field(max_length=1024)
    """Where it was."""
    digest: Digest | None = None
    """What it was, where known."""


class Lineage(ApiModel):
    """What made the model."""

    train_job: Name | None = None
    """RelevanceTrainJob."""
    stage: Name | None = None
    """Its stage."""
    input_key: Digest | None = None
    """Digest of everything that went in."""
    inputs: Annotated[tuple[LineageInput, ...], *list_map("name", 16)] = ()
    """Artifacts that went in."""


class SignedVerdict(ApiModel):
    """A verdict of another cluster, signed there."""

    name: Name
    """Name of the evaluation."""
    attestation: str = Field(min_length=1, max_length=MAX_ENVELOPE)
    """The signed verdict, as status.attestation of the RelevanceEval has it."""


class ModelSpec(PinnedRef):
    """The model's bytes, what they are and where they come from."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            *map(immutable, _FROZEN),
            Rule(
                f"!has(self.deletionPolicy) || self.deletionPolicy == 'Retain' || !({ONLY_READ})",
                "deletionPolicy Delete needs a store that can be written: hf:// and oci:// are only read",
            ),
        )
    )

    role: Literal["Generative", "Classifier", "TwoTower"]
    """Generative: a language model that writes the label. Classifier: a four-class student. TwoTower: a student that encodes
    query and item apart."""
    contract: Contract | None = None
    """Serving contract, in short."""
    lineage: Lineage | None = None
    """Where it comes from."""
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    """Delete: once this resource is deleted and nothing else uses the bytes, a Job removes them. Retain keeps them."""
    evidence: Annotated[tuple[SignedVerdict, ...], *list_map("name", 32)] = ()
    """Verdicts that were reached elsewhere; this may grow. Each counts while its signature is one that is trusted here."""

    @model_validator(mode="after")
    def _bytes_can_go(self) -> "ModelSpec":
        if self.deletion_policy is DeletionPolicy.DELETE and self.only_read:
            raise ValueError("deletionPolicy Delete needs a store that can be written: hf:// and oci:// are only read")
        return self


class Verdict(ApiModel):
    """An evaluation that passed for this digest."""

    eval: Name
    """RelevanceEval."""
    benchmark_digest: Digest | None = None
    """Benchmark it was judged on."""
    gate_set_digest: Digest | None = None
    """Gates that held."""
    profile_digest: Digest | None = None
    """Serving profile it holds for."""
    rules_digest: Digest | None = None
    """Rule set it was judged under."""
    evidence: ResultRef | None = None
    """Evidence artifact."""


class ImportedEvidence(ApiModel):
    """What was found of one entry of spec.evidence."""

    name: Name
    """Name in spec.evidence."""
    accepted: bool
    """Whether it counts."""
    reason: str = Field(max_length=64)
    """Accepted, or why not: EvidenceForged, EvidenceExpired, EvidenceKeyUnknown, …"""
    message: str = Field(default="", max_length=1024)
    """The same in words."""
    evidence: Digest | None = None
    """Evidence artifact of the verdict."""
    benchmark_digest: Digest | None = None
    """Benchmark it was judged on."""
    gate_set_digest: Digest | None = None
    """Gates that held."""
    profile_digest: Digest | None = None
    """Serving profile it holds for."""
    rules_digest: Digest | None = None
    """Rule set it was judged under."""
    expires: str | None = Field(default=None, json_schema_extra={"format": "date-time"})
    """Until when it may be relied on."""


class ModelStatus(CommonStatus):
    """The verdicts that hold for this digest."""

    verdicts: Annotated[tuple[Verdict, ...], *list_map("eval", 256)] = ()
    """Cache of the evaluations that passed."""
    evidence: Annotated[tuple[ImportedEvidence, ...], *list_map("name", 32)] = ()
    """What was found of spec.evidence."""


class RelevanceModel(Resource):
    """An immutable relevance model: uri, digest, serving contract, lineage."""

    model_config = ConfigDict(json_schema_extra=cel(short_name(63, "so that it can be a label")))

    spec: ModelSpec
    status: ModelStatus = ModelStatus()

    @model_validator(mode="after")
    def _name_fits(self) -> "RelevanceModel":
        self.metadata.check_name(63)
        return self
