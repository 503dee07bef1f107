"""A composition as it is recorded: what answers each stratum, resolved to digests, in one ControllerRevision.

The revision's data never changes. What is learnt later about it (verdicts that admitted it, the head generation that was
built, why it failed) stands in annotations. Together with the router's ConfigMap it is all the state a rollout has.
"""

from collections.abc import Mapping
from typing import Any, Final

from lore_core.artifacts.ref import Digest
from lore_core.jobs.config import Name, WireModel
from lore_core.router.config import PredictorStratum, Stratum, TierGuard
from lore_operator.api.v1alpha1.common import ArtifactRef, seconds
from lore_operator.api.v1alpha1.deployment import RelevanceDeployment
from lore_operator.api.v1alpha1.group import GROUP
from lore_operator.api.v1alpha1.model import RelevanceModel
from lore_operator.api.v1alpha1.tiers import CacheStore, Guard, Tier
from lore_operator.children.backend import Backend, backend_of, has_gpu
from lore_operator.children.labels import RENDERED_BY, ROLE, owner_labels, owner_reference
from lore_operator.children.settings import Settings

SPEC_DIGEST: Final = f"{GROUP}/spec-digest"
ADMITTED: Final = f"{GROUP}/admitted"
GENERATION: Final = f"{GROUP}/head-generation"
COVERAGE: Final = f"{GROUP}/head-coverage"
PREPARING: Final = f"{GROUP}/preparing-since"
FAILED: Final = f"{GROUP}/failed"
ROLE_VALUE: Final = "composition"

_HASH_LENGTH: Final = 10
_LONGEST_MS: Final = 600_000
_RUN_ALONE: Final = frozenset({"replicas", "runner"})
"""Fields of a predictor that change how it runs, not what it answers."""


class PredictorPart(WireModel):
    """A tier with a model."""

    backend: Backend
    budget_ms: int
    fallback: tuple[PredictorStratum, ...] = ()
    guard: TierGuard | None = None


class StorePart(WireModel):
    """A server with head scores."""

    url: str
    secret: str | None = None
    timeout_ms: int


class HeadPart(WireModel):
    """The head tier: a generation that was given, one to be built with the model of a tier, or a store."""

    generation: ArtifactRef | None = None
    candidates: ArtifactRef | None = None
    store: StorePart | None = None
    from_tier: PredictorStratum = "tail"
    min_coverage: str = "0.99"
    on_miss: PredictorStratum = "torso"


class Recipe(WireModel):
    """The data of one revision. Equal recipes are one revision."""

    strata: ArtifactRef
    items: ArtifactRef | None = None
    rule_set: ArtifactRef | None = None
    predictors: dict[Stratum, PredictorPart]
    head: HeadPart | None = None

    def artifacts(self) -> tuple[ArtifactRef, ...]:
        """Everything that a router of this composition may have to load, a built head generation aside."""
        models = [part.backend.model for part in self.predictors.values()]
        named = [self.strata, self.items, self.rule_set, self.head.generation if self.head else None, *models]
        return tuple(ref for ref in named if ref is not None)


def revision_name(deployment: str, recipe: Recipe) -> Name:
    """Name of the revision, which answers carry in `x-lore-revision`."""
    return f"{deployment}-{recipe.content_digest().removeprefix('sha256:')[:_HASH_LENGTH]}"


def spec_digest(deployment: RelevanceDeployment) -> Digest:
    """Digest of the part of a spec that a composition is resolved from, the run token among it.

    Defaults do not count, so that a field added by a later version changes no digest.
    """
    return _SpecIdentity(
        strata=deployment.spec.strata.model_copy(update={"build": None}).to_wire(),
        items=deployment.spec.items.to_wire() if deployment.spec.items else None,
        rule_set=deployment.spec.rule_set.to_wire() if deployment.spec.rule_set else None,
        tiers=[_tier_identity(tier) for tier in sorted(deployment.spec.tiers, key=lambda tier: tier.stratum)],
        run_token=deployment.spec.run_token,
    ).content_digest()


class _SpecIdentity(WireModel):
    strata: dict[str, Any]
    items: dict[str, Any] | None
    rule_set: dict[str, Any] | None
    tiers: list[dict[str, Any]]
    run_token: str | None


def _tier_identity(tier: Tier) -> dict[str, Any]:
    found = tier.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    if tier.predictor is not None:
        kept = {field: value for field, value in found["predictor"].items() if field not in _RUN_ALONE}
        found["predictor"] = {**kept, "gpu": has_gpu(tier.predictor.runner.resources)}
    return found


def recipe_of(deployment: RelevanceDeployment, models: Mapping[str, RelevanceModel], settings: Settings) -> Recipe:
    """Resolve a spec. `models` holds every RelevanceModel that its tiers name."""
    spec = deployment.spec
    predictors: dict[Stratum, PredictorPart] = {
        tier.stratum: PredictorPart(
            backend=backend_of(tier.predictor, models[tier.predictor.model_ref.name], settings.images.server),
            budget_ms=_milliseconds(tier.budget),
            fallback=tier.fallback or (),
            guard=_guard(tier.guard) if tier.guard is not None else None,
        )
        for tier in spec.tiers
        if tier.predictor is not None
    }
    cache = next((tier.cache for tier in spec.tiers if tier.cache is not None), None)
    head = cache and HeadPart(
        generation=_plain(cache.generation),
        candidates=_plain(cache.candidates),
        store=_store(cache.store) if cache.store is not None else None,
        from_tier=cache.from_tier,
        min_coverage=cache.min_coverage,
        on_miss=cache.on_miss,
    )
    strata = _plain(spec.strata)
    assert strata is not None
    return Recipe(
        strata=strata, items=_plain(spec.items), rule_set=_plain(spec.rule_set), predictors=predictors, head=head
    )


def _store(given: CacheStore) -> StorePart:
    secret = given.secret_ref.name if given.secret_ref is not None else None
    return StorePart(url=given.url, secret=secret, timeout_ms=min(60_000, _milliseconds(given.timeout)))


def _guard(given: Guard) -> TierGuard:
    return TierGuard(
        max_questions=given.max_questions,
        breaker_failures=given.breaker_failures,
        breaker_pause_ms=_milliseconds(given.breaker_pause),
        retry_percent=given.retry_percent,
        hedge_ms=_milliseconds(given.hedge_after) if given.hedge_after is not None else None,
    )


def _milliseconds(duration: str) -> int:
    return min(_LONGEST_MS, max(1, int(seconds(duration).total_seconds() * 1000)))


def _plain(ref: ArtifactRef | None) -> ArtifactRef | None:
    return ArtifactRef(uri=ref.uri, digest=ref.digest, secret_ref=ref.secret_ref) if ref else None


def controller_revision(
    resource: Mapping[str, Any], recipe: Recipe, number: int, digest_of_spec: Digest, settings: Settings
) -> dict[str, Any]:
    """The ControllerRevision of a composition."""
    metadata = resource["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": revision_name(metadata["name"], recipe),
            "namespace": metadata["namespace"],
            "labels": {**owner_labels(resource["kind"], metadata["name"]), ROLE: ROLE_VALUE},
            "annotations": {SPEC_DIGEST: digest_of_spec, RENDERED_BY: settings.version},
            "ownerReferences": [owner_reference(resource)],
        },
        "data": recipe.model_dump(mode="json", by_alias=True, exclude_none=True),
        "revision": number,
    }
