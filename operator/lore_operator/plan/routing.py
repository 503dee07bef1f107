"""The router's objects of one deployment: what its ConfigMap says, whether routers follow, and their pods."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from lore_core.router.config import CONFIG_KEY, STRATA, RouterConfig, Stratum, StratumWeights
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.api.v1alpha1.group import GROUP
from lore_operator.children import router
from lore_operator.children.overrides import InvalidPodTemplate
from lore_operator.children.settings import Settings
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.revisions import Revision
from lore_operator.plan.rollout import acknowledged, rested, settled
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.types import Object

WRITTEN: Final = f"{GROUP}/written-at"
"""Annotation of the router's ConfigMap: since when its weights are as they are."""


def greatest(weights: StratumWeights) -> int:
    """The weight of the stratum that moved furthest."""
    return max(map(weights.of, STRATA))


class Routing:
    """What serves now, read from the ConfigMap and from the routers themselves."""

    def __init__(self, draft: ServingDraft, deployment: RelevanceDeployment, settings: Settings) -> None:
        self._draft, self._deployment, self._settings = draft, deployment, settings
        self._stored = draft.find("ConfigMap", router.router_name(deployment.metadata.name))
        self.config = stored_config(self._stored)
        self.acked = self.config is not None and acknowledged(self.config, draft.observed.routers)

    @property
    def stable(self) -> str | None:
        """Revision that serves."""
        return self.config.stable if self.config else None

    @property
    def revisions(self) -> frozenset[str]:
        """Every revision in the config."""
        return frozenset(item.revision for item in self.config.compositions) if self.config else frozenset()

    def resting(self, revision: str | None) -> frozenset[Stratum]:
        """Tiers of a revision that routers do not ask."""
        found = [item for item in self.config.compositions if item.revision == revision] if self.config else []
        return found[0].tiers.resting() if found else frozenset()

    def rest(self, strata: frozenset[Stratum]) -> bool:
        """Have exactly these tiers of the stable composition rest; whether that is a change."""
        return self.config is not None and self.write(rested(self._deployment, self.config, strata))

    @property
    def candidate(self) -> tuple[str, int] | None:
        """The newest revision beside the stable one, and its weight in percent."""
        others = [item for item in self.config.compositions if item.revision != self.stable] if self.config else []
        return (others[-1].revision, greatest(others[-1].weights)) if others else None

    def fields(self) -> dict[str, Any] | None:
        """Config hash and acknowledgements, for status."""
        if self.config is None:
            return None
        wanted, routers = self.config.content_digest(), self._draft.observed.routers
        following = sum(item.state is not None and item.state.config_hash == wanted for item in routers)
        return {"configHash": wanted, "ready": len(routers), "acknowledged": following}

    @property
    def age(self) -> timedelta:
        """Since when the config is as it is."""
        text = ((self._stored or {}).get("metadata", {}).get("annotations") or {}).get(WRITTEN)
        return self._draft.now - (datetime.fromisoformat(text) if text else self._draft.now)

    def write(self, config: RouterConfig) -> bool:
        """Write a config where it differs from the present one; whether it does."""
        if config == self.config:
            return False
        notes = {WRITTEN: self._draft.now.isoformat(timespec="seconds")}
        self._draft.apply(router.config_map(self._draft.resource, config, notes))
        return True

    def settle(self, keep: timedelta = timedelta()) -> bool:
        """Leave only the stable composition, in acknowledged steps and the former one not before `keep`; whether that is so."""
        over = self.acked and self.age >= keep
        return self.config is None or not self.write(settled(self._deployment, self.config, acked=over))

    def ensure(self, revisions: Iterable[Revision]) -> None:
        """Have the Service, the access and the pods. Pods are rendered again only where their inputs changed."""
        resource, serving = self._draft.resource, tuple(revisions)
        needs = router.Needs(
            tuple(ref for revision in serving for ref in revision.artifacts()),
            frozenset(secret for revision in serving for secret in revision.store_secrets),
        )
        service = router.service(resource, self._deployment.spec.router)
        for item in (*router.access(resource), service, router.disruption_budget(resource)):
            self._draft.ensure(item)
        found = self._draft.find("Deployment", router.router_name(self._deployment.metadata.name))
        digest = router.inputs_digest(self._deployment.spec.router, needs)
        if found is not None and (found["metadata"].get("annotations") or {}).get(router.INPUTS) == digest:
            return
        try:
            self._draft.apply(router.workload(resource, self._deployment, needs, self._settings))
        except InvalidPodTemplate as error:
            raise Halt(State.STALLED, error.reason, f"spec.router.runner.{error}") from error
        self._draft.apply(service)

    def describe(self) -> str:
        """How many routers follow, and what the others say."""
        routers, wanted = self._draft.observed.routers, self.config.content_digest() if self.config else None
        if not routers:
            return "no router is Ready yet"
        behind = [item for item in routers if item.state is None or item.state.config_hash != wanted]
        said = [
            f"{item.name}: {item.state.pending.reason or 'loading'}"
            if item.state and item.state.pending
            else f"{item.name}: {'another config' if item.state else 'no answer'}"
            for item in behind
        ]
        return f"{len(routers) - len(behind)} of {len(routers)} routers serve the config; {'; '.join(said[:3])}"


def stored_config(stored: Object | None) -> RouterConfig | None:
    """What the router's ConfigMap says. Halts where it cannot be read."""
    text = ((stored or {}).get("data") or {}).get(CONFIG_KEY)
    if not text:
        return None
    try:
        return RouterConfig.model_validate(json.loads(text), extra="ignore")
    except (ValidationError, ValueError) as error:
        name = (stored or {})["metadata"]["name"]
        words = f"ConfigMap {name}, key {CONFIG_KEY}, cannot be read: restore it, or delete it to start over ({error})"
        raise Halt(State.STALLED, "RouterConfigUnreadable", words) from error
