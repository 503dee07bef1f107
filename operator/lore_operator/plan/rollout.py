"""How weight moves from one composition to the next: a function of the router's config, the target and the acknowledgements.

The config itself is the state. A composition in it stays as it was written; it is added with weight 0, gets weight in the
steps of the spec once every Ready router has acknowledged it, becomes the stable one, and the former goes last.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from lore_core.router import config as wire
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.api.v1alpha1.common import SECRET_ROOT, ArtifactRef
from lore_operator.children.composition import Recipe
from lore_operator.plan.analysis import Seen
from lore_operator.plan.revisions import Revision
from lore_operator.plan.steps import Hold, Rung, following, hold, ladder
from lore_operator.plan.steps import current as standing_on
from lore_operator.plan.types import RouterEndpoint

_FULL: Final = wire.FULL_WEIGHT


@dataclass(frozen=True)
class Rollout:
    """The config to have now, the step of the spec that it is, and what holds the candidate there."""

    config: wire.RouterConfig
    step: int | None = None
    hold: Hold | None = None


def acknowledged(config: wire.RouterConfig, routers: Iterable[RouterEndpoint]) -> bool:
    """Whether there is a Ready router, and every one of them serves exactly this config."""
    states = [endpoint.state for endpoint in routers]
    wanted = config.content_digest()
    return bool(states) and all(state is not None and state.config_hash == wanted for state in states)


def next_config(
    deployment: RelevanceDeployment,
    current: wire.RouterConfig | None,
    target: Revision,
    *,
    acked: bool,
    age: timedelta,
    seen: Seen,
) -> Rollout:
    """The next config.

    `acked` says that all routers serve `current`, `age` since when it is written; `seen` is what is known of the target.

    The target must be prepared. Another candidate that is still there is dropped, its weight back to the stable one.
    """
    if current is None:
        return Rollout(_config(deployment, target.name, [_composition(deployment, target, _FULL)]))
    if current.stable == target.name:
        return Rollout(settled(deployment, current, acked=acked))
    stable = current.stable_composition()
    candidate = _find(current, target.name)
    if candidate is None or candidate.tiers.resting():
        entering = [_weighted(stable, _FULL), _composition(deployment, target, 0)]
        return Rollout(_config(deployment, stable.revision, entering))
    rungs = ladder(deployment.spec.rollout.steps)
    rung = standing_on(rungs, candidate)
    here = Rollout(_config(deployment, stable.revision, [stable, candidate]), rung.number if rung else None)
    if not acked:
        return here
    if (held := hold(rung, deployment.spec.rollout, candidate, age, seen)) is not None:
        return replace(here, hold=held)
    return _onwards(deployment, stable, candidate, following(rungs, candidate))


def settled(deployment: RelevanceDeployment, current: wire.RouterConfig, *, acked: bool) -> wire.RouterConfig:
    """All weight on the stable composition; what else is there goes once all routers know that."""
    stable = _weighted(current.stable_composition(), _FULL)
    others = [_weighted(item, 0) for item in current.compositions if item.revision != stable.revision]
    at_rest = all(item in current.compositions for item in others)
    return _config(deployment, stable.revision, [stable] if acked and at_rest else [stable, *others])


def _onwards(
    deployment: RelevanceDeployment, stable: wire.Composition, candidate: wire.Composition, rung: Rung | None
) -> Rollout:
    """The next rung, or the candidate as the stable one."""
    if rung is None:
        return Rollout(_config(deployment, candidate.revision, [_weighted(candidate, _FULL), _weighted(stable, 0)]))
    rest = {stratum: _FULL - rung.weights.of(stratum) for stratum in wire.STRATA}
    given_up = stable.model_copy(update={"weights": wire.StratumWeights(**rest)})
    moved = candidate.model_copy(update={"weights": rung.weights, "shadow_percent": rung.shadow})
    return Rollout(_config(deployment, stable.revision, [given_up, moved]), rung.number)


def rested(
    deployment: RelevanceDeployment, current: wire.RouterConfig, strata: frozenset[wire.Stratum]
) -> wire.RouterConfig:
    """The config with exactly these tiers of the stable composition at rest: their fallback answers."""
    stable = current.stable_composition()
    tiers = {stratum: _at_rest(tier, stratum in strata) for stratum, tier in stable.tiers.present().items()}
    moved = stable.model_copy(update={"tiers": wire.Tiers.model_validate(tiers)})
    compositions = [moved if item.revision == stable.revision else item for item in current.compositions]
    return _config(deployment, stable.revision, compositions)


def _at_rest(tier: wire.Tier, rests: bool) -> wire.Tier:
    if tier.predictor is None:
        return tier
    return tier.model_copy(update={"predictor": tier.predictor.model_copy(update={"rests": rests or None})})


def _find(config: wire.RouterConfig, revision: str) -> wire.Composition | None:
    return next((item for item in config.compositions if item.revision == revision), None)


def _config(deployment: RelevanceDeployment, stable: str, compositions: list[wire.Composition]) -> wire.RouterConfig:
    return wire.RouterConfig(
        deployment=deployment.metadata.name,
        stable=stable,
        compositions=tuple(compositions),
        tier_policy=deployment.spec.router.tier_policy,
        split_by="Bucket" if deployment.spec.rollout.split_by == "Bucket" else None,
    )


def _weighted(composition: wire.Composition, weight: int) -> wire.Composition:
    weights = wire.StratumWeights(head=weight, torso=weight, tail=weight)
    return composition.model_copy(update={"weights": weights, "shadow_percent": None})


def _composition(deployment: RelevanceDeployment, revision: Revision, weight: int) -> wire.Composition:
    recipe, generation = revision.recipe, revision.generation
    tiers: dict[str, wire.Tier] = {}
    for stratum, part in recipe.predictors.items():
        tier = wire.PredictorTier(
            url=part.backend.url(deployment.metadata.namespace),
            model_name=part.backend.name,
            kit=_pinned(part.backend.model),
            route=part.backend.route,
            deadline_ms=part.budget_ms,
            fallback=part.fallback,
            guard=part.guard or wire.TierGuard(),
        )
        tiers[stratum] = wire.Tier(predictor=tier)
    if recipe.head is not None:
        tiers["head"] = wire.Tier(cache=wire.CacheTier(on_miss=recipe.head.on_miss))
    return wire.Composition(
        revision=revision.name,
        weights=wire.StratumWeights(head=weight, torso=weight, tail=weight),
        strata=_pinned(recipe.strata),
        items=_pinned(recipe.items) if recipe.items else None,
        head=_pinned(generation) if generation else None,
        head_store=_head_store(recipe),
        rule_set=_pinned(recipe.rule_set) if recipe.rule_set else None,
        tiers=wire.Tiers.model_validate(tiers),
    )


def _head_store(recipe: Recipe) -> wire.HeadStore | None:
    if recipe.head is None or (store := recipe.head.store) is None:
        return None
    return wire.HeadStore(
        url=store.url,
        scored_by=recipe.head.from_tier,
        profile=recipe.predictors[recipe.head.from_tier].backend.profile.content_digest(),
        timeout_ms=store.timeout_ms,
        credentials=f"{SECRET_ROOT}/{store.secret}" if store.secret else None,
    )


def _pinned(ref: ArtifactRef) -> wire.PinnedRef:
    return wire.PinnedRef.model_validate(ref.mounted().model_dump())
