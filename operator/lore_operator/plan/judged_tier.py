"""A deployment's tier as it serves: which backend answers, where, with which model and profile."""

from lore_operator.api import InvalidResource, parse_deployment, parse_model
from lore_operator.api.v1alpha1 import RelevanceModel
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.subject import TierReference
from lore_operator.api.v1alpha1.tiers import Predictor
from lore_operator.children.backend import Backend, backend_of
from lore_operator.children.eval_job import Served
from lore_operator.children.settings import Settings
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.draft import Draft
from lore_operator.plan.types import Object


def resolve_tier(draft: Draft, wanted: TierReference, settings: Settings) -> tuple[ArtifactRef, Served]:
    """The model's bytes and where they answer. Halts while the tier does not serve what its spec says.

    The backend's name is a hash of model, image and engine arguments: where the spec gives the name that serves, the profile
    in the spec is the one it runs under.
    """
    stored = _stored(draft, wanted.name)
    predictor, told = _predictor(stored, wanted), _ready(stored, wanted)
    model = _model(draft, str(told.get("model")))
    backend = backend_of(predictor, model, settings.images.server)
    if backend.runtime is not None:
        text = f"tier {wanted.stratum} of {wanted.name}: KServe's runtime {backend.runtime.name} loads bytes that nobody verified"
        raise Halt(
            State.STALLED, "TierUnverified", f"{text}; a verdict would be bound to a digest that may not be theirs"
        )
    if backend.name != told.get("backend"):
        text = f"its backend {told.get('backend')} was made from another spec or default image than there are now"
        raise _waits(wanted, text)
    return backend.model, _served(draft, wanted, backend)


def _served(draft: Draft, wanted: TierReference, backend: Backend) -> Served:
    return Served(
        deployment=wanted.name,
        stratum=wanted.stratum,
        backend=backend.name,
        url=backend.url(draft.resource["metadata"]["namespace"]),
        model=backend.model_name,
        profile=backend.profile,
    )


def _stored(draft: Draft, name: str) -> Object:
    found = draft.reference("RelevanceDeployment", name)
    if found is None:
        raise Halt(State.AWAITING_VERDICT, "AwaitingTier", f"RelevanceDeployment {name} does not exist yet")
    return found


def _predictor(stored: Object, wanted: TierReference) -> Predictor:
    try:
        deployment = parse_deployment(stored)
    except InvalidResource as error:
        raise Halt(State.STALLED, "InvalidDeployment", f"RelevanceDeployment {wanted.name}: {error}") from error
    for tier in deployment.spec.tiers:
        if tier.stratum == wanted.stratum and tier.predictor is not None:
            return tier.predictor
    strata = ", ".join(tier.stratum for tier in deployment.spec.tiers if tier.predictor is not None)
    text = f"RelevanceDeployment {wanted.name} has no tier {wanted.stratum} with a model; it has {strata}"
    raise Halt(State.STALLED, "TierNotFound", text)


def _ready(stored: Object, wanted: TierReference) -> Object:
    tiers = (stored.get("status") or {}).get("tiers") or ()
    told = next((tier for tier in tiers if tier["stratum"] == wanted.stratum), None)
    if told is None or told["phase"] != "Ready":
        raise _waits(wanted, f"it is {told['phase']}" if told else "nothing is known of it yet")
    return dict(told)


def _model(draft: Draft, name: str) -> RelevanceModel:
    found = draft.reference("RelevanceModel", name)
    if found is None:
        raise Halt(State.AWAITING_VERDICT, "AwaitingModel", f"RelevanceModel {name} does not exist")
    try:
        return parse_model(found)
    except InvalidResource as error:
        raise Halt(State.STALLED, "InvalidModel", f"RelevanceModel {name}: {error}") from error


def _waits(wanted: TierReference, why: str) -> Halt:
    return Halt(State.AWAITING_VERDICT, "AwaitingTier", f"tier {wanted.stratum} of {wanted.name} does not serve: {why}")
