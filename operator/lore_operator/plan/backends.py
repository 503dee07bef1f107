"""The predictors of compositions: shared by name, counted by their owners, Ready by our own recipe."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lore_core.router.config import Stratum
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.api.v1alpha1.subject import ModelReference
from lore_operator.api.v1alpha1.tiers import Predictor
from lore_operator.children.backend import MAX_NAMESPACE, Backend
from lore_operator.children.composition import Recipe
from lore_operator.children.disruption import KIND as BUDGET
from lore_operator.children.disruption import KSERVE_NAME, predictor_budget
from lore_operator.children.inference_service import (
    AUTOSCALER,
    BACKEND,
    autoscaler,
    inference_service,
    scale,
    shared_owner,
)
from lore_operator.children.labels import FIELD_MANAGER, MANAGED_BY
from lore_operator.children.overrides import InvalidPodTemplate
from lore_operator.children.pod import gpus_asked
from lore_operator.children.settings import Settings
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.failures import container_reason, in_words
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.types import Object, ObjectKey, Observed
from lore_operator.plan.waits import Wait, waiting

KIND: Final = "InferenceService"
_LOAD_FAILED: Final = frozenset({"BlockedByFailedLoad", "InvalidSpec"})
_CRASH_LOOP: Final = "CrashLoopBackOff"
_MAX_TAIL: Final = 600
_STANDARD: Final = ("Standard", "RawDeployment")
"""KServe's names for the mode that we ask for: since 0.16, and before."""


@dataclass(frozen=True)
class BackendState:
    """How a backend is."""

    ready: bool
    replicas: int = 0
    message: str = ""
    failed: bool = False
    """KServe gave it up; it says so of a container that ended once, too."""
    crashing: bool = False
    """A container ended so often that the kubelet starts it after ever longer pauses only."""
    wait: Wait | None = None
    """What its pods wait for, where they tell."""


def check_namespace(namespace: str) -> None:
    """Halts where KServe could not name a predictor's host: it would fail every InferenceService there, in its own words."""
    if len(namespace) > MAX_NAMESPACE:
        text = (
            f"namespace {namespace} has {len(namespace)} characters: KServe puts it into a host name together with the"
            f" predictor's name, which leaves {MAX_NAMESPACE}; use a namespace with a shorter name"
        )
        raise Halt(State.STALLED, "NamespaceTooLong", text)


def check_gpus(deployment: RelevanceDeployment) -> None:
    """Halts where a model is to be shared by more GPUs than its pod has: it would fail each time after minutes of loading."""
    for tier in deployment.spec.tiers:
        predictor = tier.predictor
        gpus = gpus_asked(predictor.runner.resources.to_wire()) if predictor else 0
        if predictor and 0 < gpus < predictor.tensor_parallel:
            text = (
                f"tier {tier.stratum}: predictor.tensorParallel {predictor.tensor_parallel} needs as many GPUs in a pod,"
                f" runner.resources asks for {gpus}; raise the one or lower the other"
            )
            raise Halt(State.STALLED, "ImpossibleResources", text)


def ensure_backends(
    draft: ServingDraft,
    deployment: RelevanceDeployment,
    recipe: Recipe,
    settings: Settings,
    resting: frozenset[Stratum] = frozenset(),
) -> dict[str, BackendState]:
    """Create or share what a composition needs, but for tiers at rest; the state of each backend by name.

    Halts on a stranger's object.
    """
    found: dict[str, BackendState] = {}
    for stratum, part in recipe.predictors.items():
        if part.backend.name not in found and stratum not in resting:
            _ensure(draft, part.backend, _predictor(deployment, stratum, part.backend), settings)
            found[part.backend.name] = backend_state(draft.observed, part.backend)
    return found


def _predictor(deployment: RelevanceDeployment, stratum: str, backend: Backend) -> Predictor:
    """How the pods of a tier run: as the spec says now, or the defaults where a pinned revision has a tier more."""
    tier = deployment.spec.tier(stratum)
    if tier is not None and tier.predictor is not None:
        return tier.predictor
    return Predictor(model_ref=ModelReference(name=backend.model_name))


def _ensure(draft: ServingDraft, backend: Backend, predictor: Predictor, settings: Settings) -> None:
    stored = draft.observed.children.get(ObjectKey(KIND, backend.name))
    if stored is None:
        try:
            draft.apply(inference_service(draft.resource, backend, predictor, settings))
        except InvalidPodTemplate as error:
            raise Halt(State.STALLED, error.reason, f"spec.tiers.predictor.runner.{error}") from error
        return
    metadata = stored["metadata"]
    ours = (metadata.get("labels") or {}).get(MANAGED_BY) == FIELD_MANAGER
    if not ours or (metadata.get("annotations") or {}).get(BACKEND) != backend.digest:
        text = f"InferenceService {backend.name} exists and is not this backend: delete or rename it"
        raise Halt(State.STALLED, "NameConflict", text)
    if metadata.get("deletionTimestamp"):
        raise Halt(State.WORKING, "AwaitingDeletion", f"InferenceService {backend.name} is being deleted")
    owners = metadata.get("ownerReferences") or []
    if not any(owner["uid"] == draft.uid for owner in owners):
        draft.share(stored, [*owners, shared_owner(draft.resource)])
    elif ObjectKey(BUDGET, backend.name) not in draft.observed.children:
        draft.apply(predictor_budget(stored))
    _scale(draft, stored, predictor, alone=all(owner["uid"] == draft.uid for owner in owners))


def _scale(draft: ServingDraft, stored: Object, predictor: Predictor, *, alone: bool) -> None:
    """Our number of replicas; a backend that is shared has the largest number that any of its owners asked for."""
    has = (stored.get("spec") or {}).get("predictor") or {}
    wanted = scale(predictor.replicas)
    if not alone:
        wanted = {field: max(value, int(has.get(field) or 0)) for field, value in wanted.items()}
    if any(has.get(field) != value for field, value in wanted.items()):
        draft.rescale(stored, wanted, {AUTOSCALER: autoscaler(wanted)})


def backend_state(observed: Observed, backend: Backend) -> BackendState:
    """Ready by what KServe made, not by what it says alone.

    In Standard mode KServe copies an InferenceService's observedGeneration from its Deployment, so that number proves
    nothing (kserve#6081): the condition Ready, our digest and the Deployment's own counters together do.
    """
    stored = observed.children.get(ObjectKey(KIND, backend.name))
    if stored is None:
        return BackendState(False, message="is being created")
    status, made = (
        stored.get("status") or {},
        observed.children.get(ObjectKey("Deployment", f"{backend.name}-predictor")),
    )
    if (made_well := rolled_out(made)) and _is_ready(status):
        return BackendState(True, replicas=int((made or {})["status"].get("availableReplicas", 0)))
    pods = [pod for pod in observed.pods if (pod["metadata"].get("labels") or {}).get(KSERVE_NAME) == backend.name]
    model = status.get("modelStatus") or {}
    wait = waiting(pods) or _fallen(pods)
    words = f"{wait.reason}: {wait.message}" if wait else _kserve_words(status)
    words = words or ("pods are starting" if not made_well else "KServe is not ready")
    failed = model.get("transitionStatus") in _LOAD_FAILED
    return BackendState(False, message=words, failed=failed, crashing=_crash_loops(pods), wait=wait)


def _is_ready(status: Mapping[str, Any]) -> bool:
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in status.get("conditions") or ())


def rolled_out(made: Object | None) -> bool:
    """Whether a Deployment's own counters say that all its pods are of its present template and available."""
    if made is None:
        return False
    status, wanted = made.get("status") or {}, (made.get("spec") or {}).get("replicas", 1)
    return bool(
        status.get("observedGeneration") == made["metadata"].get("generation")
        and status.get("updatedReplicas", 0) == status.get("replicas", 0)
        and status.get("availableReplicas", 0) >= max(1, wanted)
    )


def _fallen(pods: Iterable[Mapping[str, Any]]) -> Wait | None:
    """The first container that ended badly: the kubelet starts it again and again."""
    for pod in pods:
        name = pod["metadata"]["name"]
        for container in _containers(pod):
            ended = _last_end(container)
            if ended and ended.get("exitCode"):
                reason, said = container_reason(ended), str(ended.get("message") or "").strip()[-_MAX_TAIL:]
                text = f"pod {name}, {container['name']} exited with {ended['exitCode']}. {in_words(reason, said)}"
                return Wait(reason, text, name, (pod.get("spec") or {}).get("nodeName"))
    return None


def _crash_loops(pods: Iterable[Mapping[str, Any]]) -> bool:
    waiting_for = (((item.get("state") or {}).get("waiting") or {}) for pod in pods for item in _containers(pod))
    return any(state.get("reason") == _CRASH_LOOP for state in waiting_for)


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _last_end(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if container.get("ready"):
        return None
    state = (container.get("state") or {}).get("terminated")
    return state or (container.get("lastState") or {}).get("terminated")


def _kserve_words(status: Mapping[str, Any]) -> str:
    # A KServe that does not know the name that we give takes its own default.
    if (mode := status.get("deploymentMode") or _STANDARD[0]) not in _STANDARD:
        return (
            f"KServe runs it in its mode {mode}, not in {_STANDARD[0]}: install KServe 0.16 or newer, or make"
            f" {_STANDARD[1]} the default mode of an older one"
        )
    if told := ((status.get("modelStatus") or {}).get("lastFailureInfo") or {}).get("message"):
        return str(told)
    bad = [item for item in status.get("conditions") or () if item.get("status") == "False" and item.get("message")]
    return str(bad[0]["message"]) if bad else ""


def holds(draft: ServingDraft, name: str) -> bool:
    """Whether the deployment still has a share in a backend that exists."""
    stored = draft.observed.children.get(ObjectKey(KIND, name))
    return stored is not None and any(
        owner["uid"] == draft.uid for owner in stored["metadata"].get("ownerReferences") or ()
    )


def release_backends(draft: ServingDraft, needed: set[str]) -> None:
    """Give up what is not needed: with other owners only our name goes from it, without any the object goes."""
    for key, stored in draft.observed.children.items():
        if key.kind != KIND or key.name in needed:
            continue
        owners = stored["metadata"].get("ownerReferences") or []
        others = [owner for owner in owners if owner["uid"] != draft.uid]
        if len(others) == len(owners):
            continue
        if others:
            draft.share(stored, others)
        else:
            draft.release(stored)
