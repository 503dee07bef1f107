"""What a decision sees and what it asks for.

Every kind has one module here with two pure functions:

* `references(resource) -> frozenset[Reference]`: the other objects the decision must see, so that the engine can put them
  into `Observed.references` and wake this resource when one of them changes;
* `plan(resource, observed, now, settings) -> Plan`: what should be written, given everything that exists now.

Objects are plain dicts as the API server spells them. The engine may trim them; the fields that decisions read are

* all: `apiVersion kind metadata.{name namespace uid generation labels annotations ownerReferences creationTimestamp
  deletionTimestamp}`
* the four kinds: all of `spec` and `status`
* ConfigMap: `data`; Role: `rules`; ServiceAccount, RoleBinding, Service: nothing more
* Job: `status.{active ready succeeded failedIndexes startTime completionTime
  conditions[type status reason message lastTransitionTime]}`
* Pod: `spec.nodeName`, `status.{phase reason message conditions containerStatuses initContainerStatuses}`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from lore_core.router.config import RouterState

Object: TypeAlias = dict[str, Any]


class Reference(NamedTuple):
    """Another object of the same namespace; `name` None means every object of that kind there."""

    kind: str
    name: str | None


class ObjectKey(NamedTuple):
    """An object of the resource's own namespace."""

    kind: str
    name: str


@dataclass(frozen=True)
class RouterEndpoint:
    """One Ready endpoint of a deployment's router; `state` is None where `/state` gave no answer in time."""

    name: str
    state: RouterState | None


@dataclass(frozen=True)
class Measurement:
    """What Prometheus answered to one query: a finite number, or the reason why there is none."""

    value: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Observed:
    """What exists now, as far as the resource can be concerned.

    `children` holds every object that carries the resource's labels (`labels.owner_labels`), and any other object that was
    found under a name this resource wanted to create: ownership is decided here, by the controller's uid, not by the
    engine. So after a create that the API server answers with AlreadyExists the engine reads the object live, adds it and
    plans again. `pods` are the pods of the children, found by the same labels. `references` answers `references()`; an
    object that does not exist is absent; it also holds what all resources of a namespace share (`children.report_access`). A
    RelevanceDeployment's children also hold the InferenceServices that name it among their owners, with the Deployment and
    the pods that KServe made for them; `routers` are its router's Ready endpoints, `measurements` the answers to the queries
    that its rollout's step asks (`questions.queries`). `refused` holds the API server's words by kind, where the operator may
    not read references that a decision can do without.
    """

    children: Mapping[ObjectKey, Object] = field(default_factory=dict)
    pods: tuple[Object, ...] = ()
    references: Mapping[ObjectKey, Object] = field(default_factory=dict)
    routers: tuple[RouterEndpoint, ...] = ()
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Apply:
    """Write one object: create it, or, where it is ours already, apply it server-side with our field manager.

    With `create_only` an object that exists is left alone whatever it holds: a published RelevanceModel. With `on_live` it
    is written only by a decision on a live view: on an old one a Job that ended and was removed looks like one that is
    missing. What is wanted `later`, only once the pods run, is left to the next pass where others wait to be begun.
    """

    object: Object
    create_only: bool = False
    on_live: bool = False
    later: bool = False

    @property
    def key(self) -> ObjectKey:
        """Kind and name of what is written."""
        return ObjectKey(self.object["kind"], self.object["metadata"]["name"])


@dataclass(frozen=True)
class Patch:
    """Merge-patch an object that several resources share, or the metadata of one that is otherwise immutable.

    `body` carries `metadata.resourceVersion` as it was observed: where the object moved since, nothing is written.
    """

    key: ObjectKey
    body: Object


@dataclass(frozen=True)
class Delete:
    """Delete one object, with the uid as precondition: a successor of the same name is never hit.

    With `resource_version` the object must also be unchanged: nobody else has begun to use it.
    """

    key: ObjectKey
    uid: str
    resource_version: str | None = None
    propagation: Literal["Background", "Foreground"] = "Foreground"


@dataclass(frozen=True)
class Event:
    """One Kubernetes Event on the resource. Plans emit it on a transition only."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True)
class Plan:
    """What to do now, in this order: `apply` one by one, then `patch`, `delete`, then `status`, then `events`.

    `status` is the whole status; the engine writes it only where it differs from what is stored. Where others wait to be
    begun, a pass that wrote leaves status and events to the pass that follows it. An error of any write
    ends the pass, and the next pass starts from what then exists. `wake_at` is when time alone can change the decision.
    """

    status: Object
    apply: tuple[Apply, ...] = ()
    patch: tuple[Patch, ...] = ()
    delete: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()
    wake_at: datetime | None = None

    @property
    def writes(self) -> bool:
        """Whether anything but status would be written."""
        return bool(self.apply or self.patch or self.delete)
