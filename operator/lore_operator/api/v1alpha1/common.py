"""Types that several kinds share. Field docstrings become the CRD's descriptions."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from lore_core import artifacts, jobs
from lore_core.jobs.config import Decimal, Name
from lore_operator.api.v1alpha1.schema_hints import Rule, Unchecked, cel, list_map

SECRET_ROOT: Final = "/mnt/lore/secrets"

_QUANTITY: Final = r"^[0-9]+(\.[0-9]+)?([eE][0-9]+|m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_SEGMENT: Final = r"([^\s?#/.][^\s?#/]*|\.[^\s?#/.][^\s?#/]*|\.\.[^\s?#/]+|\.)?"  # anything but ".."
_URI: Final = rf"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?|(s3|gs|abfs|hf|oci)://[^\s?#/]+)(/{_SEGMENT})*$"
ONLY_READ: Final = "self.uri.startsWith('hf://') || self.uri.startsWith('oci://')"
"""CEL of `ArtifactRef.only_read`."""
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_QUANTITY_LENGTH: Final = 32
_SUFFIXES: Final = {
    "": 1.0,
    "m": 0.001,
    **{letter: 1000.0**power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTP", 1)},
}
_RFC3339: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _quantity(value: int | str) -> int | str:
    if isinstance(value, str) and len(value) > _QUANTITY_LENGTH:
        raise ValueError(f"{value!r} is longer than the {_QUANTITY_LENGTH} characters a quantity may have")
    if not re.fullmatch(_QUANTITY, str(value)):
        raise ValueError(f"{value!r} is not a quantity such as 2, 500m or 4Gi")
    return value


def amount(quantity: int | str) -> float:
    """A quantity as a number of its unit: 500m is 0.5, 4Gi is 4294967296."""
    text = str(quantity)
    suffix = text[len(text.rstrip("mkMGTPKi")) :]
    return float(text.removesuffix(suffix)) * _SUFFIXES[suffix]


def _timestamp(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_RFC3339, value):
        raise ValueError(f"{value!r} is not a time such as 2026-11-01T00:00:00Z")
    return value


Quantity = Annotated[
    StrictInt | StrictStr,
    AfterValidator(_quantity),
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "pattern": _QUANTITY, "minimum": 0, "maxLength": _QUANTITY_LENGTH}
    ),
]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", max_length=32)]
Image = Annotated[str, Field(min_length=1, max_length=512)]
Token = Annotated[str, Field(max_length=253)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Reason = Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024)]
Timestamp = Annotated[AwareDatetime, BeforeValidator(_timestamp)]
"""A point in time as RFC 3339 writes it: the API server reads no other form."""
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class ApiModel(BaseModel):
    """Immutable, camelCase, strict about unknown fields unless `parse` reads a stored object."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON form, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def seconds(duration: str) -> timedelta:
    """A Go duration such as `1h30m`."""
    return timedelta(seconds=sum(float(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(duration)))


class DeletionPolicy(StrEnum):
    """What becomes of a model's bytes when its RelevanceModel is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class ObjectMeta(ApiModel):
    """What the operator reads of an object's metadata."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None

    def check_name(self, most: int) -> None:
        """ValueError unless the name is one label of at most so many characters."""
        if len(self.name) > most or "." in self.name:
            raise ValueError(f"metadata.name may have {most} characters and no dot")


class LocalReference(ApiModel):
    """An object of the same namespace, by name."""

    name: ObjectName
    """Name of the object."""


class ArtifactRef(ApiModel):
    """Bytes by uri and digest, and the Secret with the credentials of their store."""

    uri: str = Field(pattern=_URI, max_length=1024)
    """pvc://CLAIM/PATH, s3://BUCKET/PATH, gs://… or abfs://…; to be read, also hf://OWNER/NAME@REVISION of a model hub and
    oci://HOST/REPOSITORY:TAG of a registry. No segment of the path may be `..`."""
    digest: Digest | None = None
    """Digest of the artifact's manifest. Without one the digest found is recorded, and nothing is reused by another run."""
    secret_ref: LocalReference | None = None
    """Secret with the store's keys: endpoint, region, ca.crt, accessKeyId, secretAccessKey, token. All are optional."""

    @property
    def claim(self) -> str | None:
        """The PersistentVolumeClaim of a pvc:// uri."""
        scheme, _, rest = self.uri.partition("://")
        return rest.partition("/")[0] if scheme == "pvc" else None

    @property
    def only_read(self) -> bool:
        """Whether nothing can be written or deleted there."""
        return self.uri.partition("://")[0] in artifacts.READ_ONLY

    def mounted(self) -> artifacts.ArtifactRef:
        """The artifact as a pod sees it: the Secret is a folder there."""
        folder = f"{SECRET_ROOT}/{self.secret_ref.name}" if self.secret_ref else None
        return artifacts.ArtifactRef(uri=self.uri, digest=self.digest, credentials=folder)


class PinnedRef(ArtifactRef):
    """Bytes whose digest must be known beforehand."""

    digest: Digest
    """Digest of the artifact's manifest."""


class Workspace(ArtifactRef):
    """A place that results are written to."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Rule("!has(self.digest)", "workspace is a place, not an artifact: it has no digest"),
            Rule(
                f"!({ONLY_READ})",
                "workspace is written to, and hf:// and oci:// are only read: use pvc, s3, gs or abfs",
            ),
        )
    )

    @model_validator(mode="after")
    def _can_be_written(self) -> "Workspace":
        if self.digest is not None:
            raise ValueError("workspace is a place, not an artifact: it has no digest")
        if self.only_read:
            raise ValueError("workspace is written to, and hf:// and oci:// are only read: use pvc, s3, gs or abfs")
        return self


class EnvVar(ApiModel):
    """One environment variable."""

    model_config = ConfigDict(
        json_schema_extra=cel(Rule("!self.name.startsWith('LORE_')", "LORE_ variables are the operator's"))
    )

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)
    """Name; LORE_… is reserved."""
    value: str = Field(default="", max_length=4096)
    """Value, literally."""

    @model_validator(mode="after")
    def _not_reserved(self) -> "EnvVar":
        if self.name.startswith("LORE_"):
            raise ValueError(f"{self.name}: LORE_ variables are the operator's")
        return self


class Resources(ApiModel):
    """Compute resources of the main container, as in a pod."""

    requests: dict[str, Quantity] = Field(default={}, max_length=16)
    """What the scheduler sets aside."""
    limits: dict[str, Quantity] = Field(default={}, max_length=16)
    """What the container may use at most."""


class PodSettings(ApiModel):
    """How pods are run: what does not change what they compute."""

    resources: Resources = Resources()
    """Resources of the main container."""
    shared_memory: Quantity = "1Gi"
    """Size limit of /dev/shm. It counts against the memory limit as far as it is used."""
    env: Annotated[tuple[EnvVar, ...], *list_map("name", 64)] = ()
    """Further environment of the main container, a proxy for example."""
    node_selector: dict[str, str] = Field(default={}, max_length=32)
    """Labels that a node must have."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods, for workload identity; without one each resource gets its own, which may only report."""
    image_pull_secrets: Annotated[tuple[LocalReference, ...], *list_map("name", 8)] = ()
    """Secrets for the image registry."""
    pod_template: Unchecked | None = None
    """Overrides merged into the pod template; containers by name, the main one is `lore`.
    Its command, args, config and report cannot be overridden."""


class Runner(PodSettings):
    """How a Job's pods are run."""

    image: Image | None = None
    """Image of the main container; the installation's default without one. A custom image marks a verdict customRunner."""
    queue_name: Name | None = None
    """Kueue LocalQueue that admits the Jobs."""


class RunPolicy(ApiModel):
    """Attempts, time limits and what is kept afterwards."""

    max_restarts: int = Field(default=3, ge=0, le=100)
    """Further attempts of a stage after its first one failed. Input that is wrong is not tried again."""
    active_deadline: Duration | None = None
    """Longest time from the first attempt of a run to its end."""
    start_deadline: Duration | None = None
    """Longest time from a Job's start to its pod's first report; waiting in a queue is not counted. Then it is tried again."""
    stall_deadline: Duration | None = None
    """Longest silence of a pod that has reported before. Then it is tried again, from its last checkpoint."""
    ttl_after_finished: Duration | None = None
    """When Jobs, pods and Services of a finished run are removed. The resource and its reports stay."""


class Condition(ApiModel):
    """A metav1.Condition."""

    type: str = Field(pattern=r"^[A-Za-z]([A-Za-z0-9]*)$", max_length=316)
    """What is said."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Reason
    """A documented CamelCase reason."""
    message: str = Field(default="", max_length=32768)
    """The details, for people."""
    observed_generation: int | None = Field(default=None, ge=-1)
    """Generation of the resource that this was found for."""
    last_transition_time: datetime
    """When the status last changed."""


class Progress(ApiModel):
    """How far a pod's work is."""

    step: Count
    """Steps done."""
    total_steps: Count
    """Steps planned."""
    unit: str = Field(default="steps", max_length=32)
    """What a step is."""
    loss: Decimal | None = None
    """Latest training loss."""
    seconds_remaining: Count | None = None
    """Estimate of the pod."""


class Failure(ApiModel):
    """Why an attempt failed, as far as pod and Job tell."""

    reason: Reason
    """Documented reason."""
    message: str = Field(default="", max_length=4096)
    """What happened and what to do."""
    stage: str | None = None
    """Stage of the train job."""
    attempt: int | None = None
    """Attempt that failed."""
    pod: str | None = None
    """Pod that failed first."""
    node: str | None = None
    """Its node."""
    exit_code: int | None = None
    """Exit code of its main container."""
    file: str | None = Field(default=None, max_length=1024)
    """Input file at fault."""
    line: int | None = None
    """Line of that file."""
    field: str | None = Field(default=None, max_length=256)
    """Field of that record."""


class ResultRef(ApiModel):
    """An artifact that was made."""

    uri: str = Field(max_length=1024)
    """Where it is."""
    digest: Digest
    """Digest of its manifest."""


class CommonStatus(ApiModel):
    """What every status has."""

    observed_generation: int = -1
    """Generation that this status speaks of; -1 until the operator has seen the object."""
    last_handled_reconcile_at: Token | None = None
    """Answer to the annotation reconcile.fluxcd.io/requestedAt."""
    phase: str | None = Field(default=None, max_length=64)
    """One word for a column; conditions are the truth."""
    conditions: Annotated[tuple[Condition, ...], *list_map("type", 32)] = ()
    """The truth."""
    rendered_by: str | None = Field(default=None, max_length=64)
    """Version of the operator that rendered what runs now."""


class ServingProfile(jobs.ServingProfile):
    """How a model is served, as far as it can change a score. A verdict holds for one profile only."""

    image: Image | None = None  # type: ignore[assignment]

    def resolved(self, default_image: str) -> jobs.ServingProfile:
        """The profile that verdicts are bound to: the installation's image where none is named."""
        return jobs.ServingProfile(**(self.model_dump() | {"image": self.image or default_image}))


class Resource(ApiModel):
    """The frame of every kind; `metadata` is read, never written."""

    api_version: str
    kind: str
    metadata: ObjectMeta
