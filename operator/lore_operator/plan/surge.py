"""rollout.surge PerTier: where there is no room for two predictors of a tier, the old one goes before the new one comes.

Meanwhile the tier of the composition that serves rests: routers do not ask it, and its fallback answers. Which tiers rest is
in the routers' config and nowhere else. The new composition comes in whole, as with every rollout, and no answer mixes two.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from lore_core.router.config import Stratum
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.children.composition import Recipe
from lore_operator.children.settings import Settings
from lore_operator.plan.backends import backend_state, ensure_backends, holds, release_backends
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.revisions import Revision
from lore_operator.plan.routing import Routing
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.waits import Wait

POLL: Final = timedelta(seconds=2)
"""How soon routers are asked again that have not acknowledged."""
RESTING: Final = "TierResting"
"""Condition while queries of a tier are answered by its fallback alone."""


def leaving(stable: Recipe, target: Recipe) -> frozenset[Stratum]:
    """Tiers of the stable composition whose predictor makes room for one of the target's that is not there yet."""
    needed = {part.backend.name for part in target.predictors.values()}
    if needed <= {part.backend.name for part in stable.predictors.values()}:
        return frozenset()
    return frozenset(stratum for stratum, part in stable.predictors.items() if part.backend.name not in needed)


def obstacle(stable: Revision, going: frozenset[Stratum]) -> Halt | None:
    """Why these tiers cannot rest, if so."""
    names = ", ".join(sorted(going))
    if len(going) > 1:
        text = (
            f"tiers {names} get other predictors, and rollout.surge PerTier replaces those of one tier at a time:"
            " change one tier, let it be rolled out, then change the next"
        )
        return Halt(State.STALLED, "SeveralTiersChange", text)
    if lacking := [stratum for stratum in going if not _fallback(stable, stratum)]:
        text = (
            f"{stable.name}, which serves, has no fallback for tier {lacking[0]}, whose queries nobody could answer while its"
            " predictor is replaced: give the tier a fallback and let that be rolled out first, or use rollout.surge All"
        )
        return Halt(State.STALLED, "NoFallback", text)
    return None


def _fallback(revision: Revision, stratum: Stratum) -> list[str]:
    """Backends that answer for a tier at rest."""
    predictors = revision.recipe.predictors
    own = predictors[stratum].backend.name
    others = [predictors[other].backend.name for other in predictors[stratum].fallback if other in predictors]
    return [name for name in others if name != own]


class Surge:
    """Makes room for a target's predictors, and gives it back where the rollout ends otherwise."""

    def __init__(
        self, draft: ServingDraft, deployment: RelevanceDeployment, routing: Routing, known: Iterable[Revision],
        settings: Settings,
    ) -> None:  # fmt: skip
        self._draft, self._deployment, self._routing, self._settings = draft, deployment, routing, settings
        self._stable = next((revision for revision in known if revision.name == routing.stable), None)

    @property
    def resting(self) -> frozenset[Stratum]:
        """Tiers of the composition that serves that are not asked."""
        return self._routing.resting(self._routing.stable)

    def alerts(self) -> dict[str, str]:
        """The condition of a tier at rest."""
        if not self.resting:
            return {}
        names = ", ".join(sorted(self.resting))
        return {RESTING: f"queries of {names} are answered by the tier's fallback while its predictor is replaced"}

    def check(self, target: Revision) -> Wait | None:
        """Halts where the mode cannot be kept to. What rests for something else comes back first: what it waits for."""
        if self._stable is None:
            return None
        going = self._going(target)
        problem = obstacle(self._stable, going)
        if self.resting - going or (problem and self.resting):
            return self.restore()
        if problem:
            raise problem
        return None

    def make_room(self, target: Revision) -> Wait | None:
        """Let the tier rest that the target changes, then let its predictor go; what it waits for until that is done."""
        going = self._going(target)
        if not going:
            return None
        entered = target.name in self._routing.revisions and not self._routing.resting(target.name)
        return (None if entered else self._rest(going)) or self._let_go(target)

    def _going(self, target: Revision) -> frozenset[Stratum]:
        per_tier = self._deployment.spec.rollout.surge == "PerTier"
        return leaving(self._stable.recipe, target.recipe) if per_tier and self._stable else frozenset()

    def _rest(self, going: frozenset[Stratum]) -> Wait | None:
        """The stable composition has all queries, then the tier rests, and every router knows it."""
        if not (self._routing.settle() and self._routing.acked):
            return self._routers_follow()
        if self.resting == going:
            return None
        if (waits := self._nobody_answers(going)) is not None:
            return waits
        self._routing.rest(going)
        return self._routers_follow()

    def _nobody_answers(self, going: frozenset[Stratum]) -> Wait | None:
        assert self._stable is not None
        backends = {part.backend.name: part.backend for part in self._stable.parts}
        for stratum in going:
            answering = {
                name: backend_state(self._draft.observed, backends[name]) for name in _fallback(self._stable, stratum)
            }
            if not any(state.ready for state in answering.values()):
                said = "; ".join(f"{name}: {state.message}" for name, state in answering.items())
                text = f"tier {stratum} keeps its predictor until its fallback is Ready: {said}"
                return Wait("AwaitingFallback", text, hindered=False)
        return None

    def _routers_follow(self) -> Wait:
        self._draft.wake(self._draft.now + POLL)
        return Wait("AwaitingRouters", self._routing.describe(), hindered=False)

    def _let_go(self, target: Revision) -> Wait | None:
        assert self._stable is not None
        kept = {part.backend.name for part in target.parts} | self._asked()
        old = {part.backend.name for part in self._stable.parts} - kept
        release_backends(self._draft, kept)
        still = sorted(name for name in old if holds(self._draft, name))
        text = f"{', '.join(still)} goes before its successor comes"
        return Wait("ReplacingPredictor", text, hindered=False) if still else None

    def _asked(self) -> set[str]:
        """Backends of the stable composition's tiers that do not rest."""
        assert self._stable is not None
        return {
            part.backend.name for stratum, part in self._stable.recipe.predictors.items() if stratum not in self.resting
        }

    def restore(self) -> Wait | None:
        """Bring back what the stable composition is to have; what it waits for until all its tiers are asked again."""
        if not self.resting or self._stable is None:
            return None
        if not (self._routing.settle() and self._routing.acked):
            return self._routers_follow()
        release_backends(self._draft, {part.backend.name for part in self._stable.parts})
        states = ensure_backends(self._draft, self._deployment, self._stable.recipe, self._settings)
        if lacking := {name: state.message for name, state in states.items() if not state.ready}:
            said = "; ".join(f"{name}: {message}" for name, message in lacking.items())
            text = f"tier {', '.join(sorted(self.resting))} rests until its predictor is back: {said}"
            return Wait("RestoringPredictor", text, hindered=False)
        self._routing.rest(frozenset())
        return self._routers_follow()
