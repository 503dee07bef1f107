"""The bytes of models that are gone: which records are due, what still uses their bytes, and when a Job may remove them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from lore_core.artifacts.retention import Named
from lore_operator.api.v1alpha1 import RelevanceModel
from lore_operator.api.v1alpha1.common import ArtifactRef, DeletionPolicy
from lore_operator.children.discard import BYTES, bytes_record, discard_job
from lore_operator.children.labels import ROLE, controlled_by
from lore_operator.children.settings import Settings
from lore_operator.plan.types import Apply, Delete, Object, ObjectKey

LOOK_AGAIN: Final = timedelta(minutes=1)
"""How soon it is looked again whether bytes are still used: what uses them may be in any namespace."""
_RECORD: Final = "ControllerRevision"
_MODEL: Final = "RelevanceModel"
_RUNS: Final = ("RelevanceTrainJob", "RelevanceEval")


@dataclass(frozen=True)
class Discard:
    """What to write; `held` says which resource uses the bytes of a record, by the record's name."""

    apply: tuple[Apply, ...] = ()
    delete: tuple[Delete, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)


def wanted_record(model: RelevanceModel) -> Object | None:
    """The record of a model that exists; None where its bytes stay whatever happens."""
    if model.spec.deletion_policy is not DeletionPolicy.DELETE:
        return None
    ref = ArtifactRef(uri=model.spec.uri, digest=model.spec.digest, secret_ref=model.spec.secret_ref)
    return bytes_record(model.metadata.namespace, model.metadata.name, ref)


def due(children: Mapping[ObjectKey, Object], wanted: Object | None) -> list[Object]:
    """Records whose model is gone. `wanted` is the record of a model that came under the same name since, if one did."""
    kept = wanted["metadata"]["name"] if wanted else None
    found = (item for key, item in children.items() if key.kind == _RECORD and _role(item) == BYTES)
    return [item for item in found if item["metadata"]["name"] != kept]


def _role(item: Object) -> str | None:
    return (item["metadata"].get("labels") or {}).get(ROLE)


def discard(
    records: Iterable[Object], children: Mapping[ObjectKey, Object], others: Sequence[Object], settings: Settings
) -> Discard:
    """What to do about records that are due. `others` are the resources and revisions of all namespaces that are served.

    Another model of the same bytes decides about them by its own policy. What else uses them is waited for.
    """
    apply, delete, held = list[Apply](), list[Delete](), dict[str, str]()
    for record in records:
        ref, job = ArtifactRef.model_validate(record["data"]), _job_of(record, children)
        users = [other for other in others if _uses(other, record, ref)]
        if (job and _removed(job)) or any(user["kind"] == _MODEL for user in users):
            delete.append(_deletion(record))
        elif users:
            held[record["metadata"]["name"]] = _called(users[0])
            delete += [_deletion(job)] if job else []
        elif job is None:
            apply.append(Apply(discard_job(record, settings)))
    return Discard(tuple(apply), tuple(delete), held)


def _job_of(record: Object, children: Mapping[ObjectKey, Object]) -> Object | None:
    uid = record["metadata"]["uid"]
    return next((item for key, item in children.items() if key.kind == "Job" and controlled_by(item, uid)), None)


def _removed(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(item["type"] == "Complete" and item["status"] == "True" for item in conditions)


def _deletion(item: Object) -> Delete:
    metadata = item["metadata"]
    return Delete(ObjectKey(item["kind"], metadata["name"]), metadata["uid"])


def _uses(other: Object, record: Object, ref: ArtifactRef) -> bool:
    """Whether something needs the bytes. A run that has come to its end does not: its result is there."""
    if ref.claim and other["metadata"]["namespace"] != record["metadata"]["namespace"]:
        return False  # a claim of that name there is another one
    if other["kind"] == _MODEL:
        return _lies_in(str(other["spec"].get("uri")), ref.uri) or _lies_in(ref.uri, str(other["spec"].get("uri")))
    if _role(other) == BYTES or (other["kind"] in _RUNS and _has_ended(other)):
        return False
    named = Named.by([other.get("spec"), other.get("status"), other.get("data")])
    return ref.digest in named.digests or any(_lies_in(uri, ref.uri) for uri in named.uris) or _publishes(other, record)


def _publishes(other: Object, record: Object) -> bool:
    """Whether a run that is under way publishes under the name of the model that is gone."""
    metadata = record["metadata"]
    if other["kind"] != "RelevanceTrainJob" or other["metadata"]["namespace"] != metadata["namespace"]:
        return False
    names = {(stage.get("publish") or {}).get("as") for stage in other["spec"].get("stages") or ()}
    return any(metadata["name"].startswith(f"{name}-{BYTES}-") for name in names if name)


def _lies_in(uri: str, place: str) -> bool:
    return f"{uri.rstrip('/')}/".startswith(f"{place.rstrip('/')}/")


def _has_ended(resource: Object) -> bool:
    status = resource.get("status") or {}
    current = status.get("observedGeneration") == resource["metadata"].get("generation")
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or ()}
    return current and "True" in (conditions.get("Ready"), conditions.get("Stalled"))


def _called(other: Object) -> str:
    return f"{other['kind']} {other['metadata']['namespace']}/{other['metadata']['name']}"
