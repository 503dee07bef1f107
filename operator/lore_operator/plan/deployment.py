"""RelevanceDeployment: gate, head generation, predictors, router, weight; in this order, and each only when it is proven.

State is in three places that status is not: ControllerRevisions hold the compositions and what is known of them, the
router's ConfigMap holds who has which weight, and routers say what they serve. Status is told from these.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from lore_operator.api import InvalidResource, parse_deployment
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.api.v1alpha1.common import seconds
from lore_operator.children.composition import ADMITTED, FAILED, PREPARING
from lore_operator.children.settings import Settings
from lore_operator.plan.analysis import Seen, statistics_of
from lore_operator.plan.backends import (
    BackendState,
    check_gpus,
    check_namespace,
    ensure_backends,
    release_backends,
)
from lore_operator.plan.conditions import Finding, Halt, State, moment, timestamp
from lore_operator.plan.drift import DRIFTED, alert, shares
from lore_operator.plan.entrances import closed_entrances, ensure_entrances
from lore_operator.plan.gate import Verdicts, judge, unverified
from lore_operator.plan.head_build import ensure_generation, forget_builds
from lore_operator.plan.imported import evaluations_of
from lore_operator.plan.questions import names
from lore_operator.plan.revisions import Revision, forget_oldest, revisions, wanted_revision
from lore_operator.plan.rollout import next_config
from lore_operator.plan.routing import Routing, greatest
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.serving_status import gate_word, head_fields, serving_fields, tier_fields
from lore_operator.plan.steps import Hold
from lore_operator.plan.strata_builds import BUILD_FAILED, PROPOSED, StrataBuilds, accepted_event
from lore_operator.plan.surge import POLL, Surge
from lore_operator.plan.types import Object, Observed, Plan, Reference


def references(resource: Object) -> frozenset[Reference]:
    """The models that its tiers name, and every evaluation of the namespace: a verdict is found by digest."""
    tiers = (resource.get("spec") or {}).get("tiers") or []
    names = ((tier.get("predictor") or {}).get("modelRef", {}).get("name") for tier in tiers)
    models = {Reference("RelevanceModel", name) for name in names if name}
    return frozenset(models | {Reference("RelevanceEval", None)})


def plan(resource: Object, observed: Observed, now: datetime, settings: Settings) -> Plan:
    """What to do now for one deployment."""
    draft, fields, alerts = ServingDraft(resource, observed, now), dict[str, Any](), dict[str, str]()
    before: Mapping[str, Any] = resource.get("status") or {}
    try:
        finding = _Serving(draft, parse_deployment(resource), fields, alerts, settings).decide()
    except InvalidResource as error:
        finding = Finding(State.STALLED, error.reason, str(error))
    except Halt as halt:
        finding = halt.finding
    # Callers are served while a router is Ready, whatever became of the change that is asked for.
    found = draft.finish(replace(finding, alerts=alerts, available=bool(observed.routers)), fields)
    return replace(found, events=(*found.events, *accepted_event(before, fields)))


class _Serving:
    """One pass over a deployment."""

    def __init__(
        self,
        draft: ServingDraft,
        deployment: RelevanceDeployment,
        fields: dict[str, Any],
        alerts: dict[str, str],
        settings: Settings,
    ) -> None:
        self.strata = StrataBuilds(draft, deployment, settings)
        self.draft, self.deployment, self.settings = draft, self.strata.effective(), settings
        self.fields, self.alerts, self.spec = fields, alerts, deployment.spec
        self.known = revisions(draft)
        self.routing = Routing(draft, deployment, settings)
        self.surge = Surge(draft, self.deployment, self.routing, self.known, settings)

    def decide(self) -> Finding:
        """The finding; writes and status are filled in on the way."""
        self.fields |= serving_fields(self.deployment, self.routing, self.known)
        self._tell_builds()
        self._tell_unverified()
        self._compare_traffic()
        self.alerts |= self.surge.alerts()
        if self.spec.suspend:
            raise Halt(State.SUSPENDED, "Suspended", "spec.suspend is true: nothing changes, what serves goes on")
        check_namespace(self.draft.resource["metadata"]["namespace"])
        self._keep_serving()
        try:
            target, verdicts = self._admitted()
        except Halt:
            self.surge.restore()  # what is asked for cannot be had yet: nothing is to rest for it
            raise
        if target.name == self.routing.stable:
            return self._serve(target, verdicts)
        if failure := target.failure(self.spec.run_token):
            return self._rolled_back(target, failure)
        return self._roll_out(target)

    def _admitted(self) -> tuple[Revision, Verdicts]:
        """What the spec means, once the gate lets it in; what serves, or failed before, is not judged again. Halts else."""
        check_gpus(self.deployment)
        target = wanted_revision(self.draft, self.deployment, self.known, self.settings)
        self.fields |= {"tiers": tier_fields(target, {}), "head": head_fields(target)}
        verdicts = judge(self.spec.gate, target.recipe, self._evaluations())
        self.fields["gate"] = gate_word(self.spec.gate, target, verdicts)
        if target.name != self.routing.stable and not target.failure(self.spec.run_token):
            self._admit(target, verdicts)
        return target, verdicts

    def _tell_builds(self) -> None:
        self.fields["strata"] = self.strata.fields()
        for alert_type in (PROPOSED, BUILD_FAILED):
            self.alerts.pop(alert_type, None)
        self.alerts |= self.strata.alerts()

    def _tell_unverified(self) -> None:
        """Models in service whose bytes nobody compared with their digest."""
        serving = [revision for revision in self.known if revision.name in self.routing.revisions]
        told = dict.fromkeys(words for revision in serving for words in unverified(revision.recipe))
        if told:
            self.alerts["Unverified"] = "; ".join(told)

    def _compare_traffic(self) -> None:
        """Live shares of the strata beside those of the snapshot that gives them."""
        if self.routing.config is None:
            return
        snapshot, drift = self.routing.config.stable_composition().strata.digest, self.spec.drift
        told = (self.draft.resource.get("status") or {}).get("traffic") or ()
        found = shares(snapshot, self.draft.observed.routers, drift, told)
        self.fields["traffic"] = [asdict(share) for share in found]
        if (text := alert(found, drift)) is not None:
            self.alerts[DRIFTED] = text

    def _keep_serving(self) -> None:
        """What serves is kept whole: a child deleted by hand comes back, whatever the gate says of the next one."""
        serving = [revision for revision in self.known if revision.name in self.routing.revisions]
        for revision in serving:
            resting = self.routing.resting(revision.name)
            ensure_backends(self.draft, self.deployment, revision.recipe, self.settings, resting)
            if revision.note(PREPARING) is not None:  # an operator died before it could take the mark off
                self.draft.annotate(revision.stored, {PREPARING: None})
        if serving:
            self.routing.ensure(serving)
            ensure_entrances(self.draft, self.deployment)
            self.alerts |= closed_entrances(self.draft, self.deployment)

    def _evaluations(self) -> list[Object]:
        """Those of this namespace, and the signed ones of other clusters that the models bring with them."""
        found = self.draft.observed.references.items()
        own = [item for key, item in found if key.kind == "RelevanceEval"]
        models = [item for key, item in found if key.kind == "RelevanceModel"]
        signed, ends = evaluations_of(models, self.settings.trusted_keys, self.draft.now)
        for at in ends:
            self.draft.wake(at)
        return [*own, *signed]

    def _admit(self, target: Revision, verdicts: Verdicts) -> None:
        """Halts unless the gate lets the composition in. Once in, it stays in: expiry alerts and never evicts."""
        if target.admitted:
            self._prepare_again(target)
            return
        if not verdicts.passed:
            raise Halt(State.GATE_BLOCKED, "GateBlocked", "; ".join(verdicts.missing))
        evidence = json.dumps(verdicts.evidence, sort_keys=True)
        self.draft.annotate(target.stored, {ADMITTED: evidence, PREPARING: timestamp(self.draft.now), FAILED: None})

    def _prepare_again(self, target: Revision) -> None:
        """A revision of the history that is pinned, or tried again, has the time to prepare that a new one has."""
        if target.name not in self.routing.revisions and target.note(PREPARING) is None:
            self.draft.annotate(target.stored, {PREPARING: timestamp(self.draft.now)})

    def _roll_out(self, target: Revision) -> Finding:
        rolling = State.ROLLING_OUT if self.routing.stable else State.WORKING
        if target.name not in self.routing.revisions:
            self._check_deadline(target)
        if (waits := self.surge.check(target)) is not None:
            return Finding(rolling, waits.reason, waits.message)
        generation = ensure_generation(self.draft, self.deployment, target, self.fields, self.settings)
        if generation.failure is not None:
            return self._fail(target, generation.failure["reason"], f"head build: {generation.failure['message']}")
        if not generation.ready:
            wait = generation.wait
            self.fields["failure"] = wait.failure() if wait else None
            return Finding(rolling, wait.reason if wait else "BuildingHead", generation.message)
        if (waits := self.surge.make_room(target)) is not None:
            return Finding(rolling, waits.reason, waits.message)
        states = ensure_backends(self.draft, self.deployment, target.recipe, self.settings)
        self.fields["tiers"] = tier_fields(target, states)
        if lost := self._lost(states):
            return self._fail(target, "PredictorFailed", lost)
        if waiting := self._not_ready(states):
            failure = self.fields.get("failure") or {}
            return Finding(rolling, str(failure.get("reason", "PreparingPredictors")), waiting)
        return self._move_weight(target, rolling)

    def _lost(self, states: Mapping[str, BackendState]) -> str:
        """What predictors say that a composition fails for. One that was Ready once may restart: that only delays it."""
        serving = [revision for revision in self.known if revision.name in self.routing.revisions]
        proven = {part.backend.name for revision in serving for part in revision.parts}
        failed = {name: state for name, state in states.items() if state.failed}
        given_up = {name: state for name, state in failed.items() if state.crashing or name not in proven}
        return "; ".join(f"{name}: {state.message}" for name, state in given_up.items())

    def _move_weight(self, target: Revision, rolling: State) -> Finding:
        serving = [revision for revision in self.known if revision.name in {target.name, *self.routing.revisions}]
        self.routing.ensure((*serving, target))
        rollout = next_config(
            self.deployment,
            self.routing.config,
            target,
            acked=self.routing.acked,
            age=self.routing.age,
            seen=self._seen(target),
        )
        self.fields["step"] = rollout.step
        if self.routing.write(rollout.config):
            self.draft.annotate(target.stored, {PREPARING: None})
        elif not self.routing.acked:
            self.draft.wake(self.draft.now + POLL)
            return Finding(rolling, "AwaitingRouters", self.routing.describe())
        weight = next((greatest(c.weights) for c in rollout.config.compositions if c.revision == target.name), 0)
        has = f"{target.name} has {weight} % of the queries"
        return (
            Finding(rolling, "MovingWeight", has)
            if rollout.hold is None
            else self._held(target, rollout.hold, rolling, has)
        )

    def _seen(self, target: Revision) -> Seen:
        """What is known of a candidate."""
        observed = self.draft.observed
        return Seen(
            statistics=statistics_of(target.name, observed.routers),
            measurements=observed.measurements,
            evaluations={key.name: item for key, item in observed.references.items() if key.kind == "RelevanceEval"},
            names=names(self.deployment, self.routing.stable or "", target.name),
            models=frozenset(part.backend.model.digest or "" for part in target.recipe.predictors.values()),
        )

    def _held(self, target: Revision, hold: Hold, rolling: State, has: str) -> Finding:
        if hold.failed:
            return self._fail(target, hold.reason, hold.message)
        if hold.wake_after is not None:
            self.draft.wake(self.draft.now + hold.wake_after)
        by_a_person = hold.reason in ("Paused", "AwaitingApproval")
        return Finding(State.SUSPENDED if by_a_person else rolling, hold.reason, f"{has}; {hold.message}")

    def _serve(self, target: Revision, verdicts: Verdicts) -> Finding:
        """The target is stable: let the former composition go, then say so."""
        states = ensure_backends(self.draft, self.deployment, target.recipe, self.settings)
        self.fields["tiers"] = tier_fields(target, states)
        if not verdicts.passed:
            self.alerts["VerdictExpired"] = "; ".join(verdicts.missing)
        if verdicts.overridden:
            self.alerts["VerdictOverridden"] = "; ".join(verdicts.overridden)
        if (waits := self.surge.restore()) is not None:
            return Finding(State.ROLLING_OUT, waits.reason, waits.message)
        keep = seconds(self.spec.rollout.keep_for)
        settled = self.routing.settle(keep)
        if not self.routing.acked or not settled:
            self.draft.wake(self.draft.now + POLL)
            return Finding(State.ROLLING_OUT, "AwaitingRouters", self.routing.describe())
        former = self._kept(target, keep)
        release_backends(self.draft, {*states, *(part.backend.name for one in former for part in one.parts)})
        forget_builds(self.draft)
        kept = {target.name, *(one.name for one in former)}
        forget_oldest(self.draft, self.known, self.spec.revision_history_limit, kept)
        if waiting := self._not_ready(states):
            return Finding(State.ROLLING_OUT, "PredictorsDegraded", waiting)
        pinned = " (pinned)" if self.spec.rollout.pin_revision else ""
        if not pinned:
            self.strata.advance(target.recipe.strata)
            self._tell_builds()
        until = f"; {former[0].name} is kept within rollout.keepFor {self.spec.rollout.keep_for}" if former else ""
        return Finding(State.SERVING, "Serving", f"{target.name}{pinned} answers all queries{until}")

    def _kept(self, target: Revision, keep: timedelta) -> list[Revision]:
        """Former compositions that routers still have; they are no candidates."""
        found = [one for one in self.known if one.name in self.routing.revisions - {target.name}]
        if found:
            self.draft.wake(self.draft.now + keep - self.routing.age)
            names = {one.name for one in found}
            rows = self.fields["revisions"]
            told = [{**row, "outcome": "Kept"} if row["revision"] in names else row for row in rows]
            self.fields |= {"candidate": None, "weight": None, "revisions": told}
        return found

    def _not_ready(self, states: Mapping[str, BackendState]) -> str:
        """What predictors that are not Ready say; the first that is hindered is the failure in status."""
        lacking = {name: state for name, state in states.items() if not state.ready}
        failures = (state.wait.failure() for state in lacking.values() if state.wait)
        self.fields["failure"] = next((found for found in failures if found), None)
        return "; ".join(f"{name}: {state.message}" for name, state in lacking.items())

    def _check_deadline(self, target: Revision) -> None:
        since = target.note(PREPARING)
        if since is None:
            return
        end = moment(since) + seconds(self.spec.rollout.prepare_deadline)
        if self.draft.now < end:
            self.draft.wake(end)
            return
        text = f"not prepared within rollout.prepareDeadline {self.spec.rollout.prepare_deadline}"
        finding = self._fail(target, "PrepareDeadlineExceeded", text)
        raise Halt(finding.state, finding.reason, finding.message)

    def _fail(self, target: Revision, reason: str, message: str) -> Finding:
        """Remember the failure: the composition is not tried again until the spec or runToken changes."""
        failure = {"reason": reason, "message": message[:1500], "runToken": self.spec.run_token}
        self.draft.annotate(target.stored, {FAILED: json.dumps(failure), PREPARING: None})
        return self._rolled_back(target, failure)

    def _rolled_back(self, target: Revision, failure: Mapping[str, Any]) -> Finding:
        reason, text = str(failure["reason"]), f"{target.name}: {failure['message']}"
        self.fields["failure"] = {"reason": reason, "message": text}
        if self.spec.rollout.on_failure == "Pause":
            then = "weights and predictors stay as they are; change the spec or runToken, or set rollout.pinRevision"
            return Finding(State.STALLED, "RolloutPaused", f"{reason}: {text}; {then}")
        if self.routing.stable is None:
            release_backends(self.draft, set())
            return Finding(State.STALLED, reason, f"{text}; change the spec or runToken to try again")
        if (waits := self.surge.restore()) is not None:
            text = f"{text}; {waits.message}"
        elif self.routing.settle() and self.routing.acked:
            kept = [revision for revision in self.known if revision.name == self.routing.stable]
            release_backends(self.draft, {part.backend.name for one in kept for part in one.parts})
        else:
            self.draft.wake(self.draft.now + POLL)
        return Finding(State.ROLLED_BACK, "RolledBack", f"{self.routing.stable} serves; {reason}: {text}")
