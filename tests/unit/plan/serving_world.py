"""The namespace in memory with KServe and routers in it: a test says when a predictor is Ready and when routers follow."""

import copy
import itertools
import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

from unit.plan.world import SETTINGS, World, digest, resource

from lore_core.router.config import RevisionStatistics, RouterConfig, RouterState, SnapshotTraffic
from lore_operator.children.labels import owner_labels
from lore_operator.children.settings import Settings
from lore_operator.plan import deployment
from lore_operator.plan.questions import queries
from lore_operator.plan.types import Measurement, Object, ObjectKey, Observed, Plan, RouterEndpoint

BENCHMARK, GATES, RULES = digest("b"), digest("9"), digest("4")
SPEC: dict[str, Any] = {
    "strata": {"uri": "pvc://lore/strata", "digest": digest("1")},
    "items": {"uri": "pvc://lore/items", "digest": digest("2")},
    "ruleSet": {"uri": "pvc://lore/rules", "digest": RULES},
    "workspace": {"uri": "pvc://lore/runs"},
    "tiers": [
        {"stratum": "head", "cache": {"candidates": {"uri": "pvc://lore/candidates", "digest": digest("3")}}},
        {"stratum": "torso", "predictor": {"modelRef": {"name": "student"}}, "budget": "50ms", "fallback": ["tail"]},
        {"stratum": "tail", "predictor": {"modelRef": {"name": "llm"}}, "budget": "300ms"},
    ],
    "gate": {"requirements": [{"name": "quality", "benchmarkDigest": BENCHMARK, "gateSetDigest": GATES}]},
}


@dataclass
class ServingWorld(World):
    """`routers` are Ready endpoints and the config hash that each serves; each tells the same `statistics` and `traffic`.

    `prometheus` has the answers to the queries that it is asked; to others it says that there is no data.
    """

    routers: dict[str, str | None] = field(default_factory=dict)
    statistics: dict[str, RevisionStatistics] = field(default_factory=dict)
    traffic: SnapshotTraffic | None = None
    prometheus: dict[str, Measurement] = field(default_factory=dict)
    settings: Settings = SETTINGS
    versions: int = 100

    def copy(self) -> "ServingWorld":
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        return ServingWorld(own.pop("planner"), **copy.deepcopy(own))

    def observed(self) -> Observed:
        found = super().observed()
        served = {
            key: copy.deepcopy(item)
            for key, item in self.objects.items()
            if key.kind == "InferenceService" and self._mine(item)
        }
        made = {
            child: copy.deepcopy(self.objects[child])
            for key in served
            for child in (ObjectKey("Deployment", f"{key.name}-predictor"), ObjectKey("PodDisruptionBudget", key.name))
            if child in self.objects
        }
        states = tuple(
            RouterEndpoint(name, RouterState(config_hash=served_hash, statistics=self.statistics, traffic=self.traffic))
            for name, served_hash in sorted(self.routers.items())
        )
        whole = replace(found, children={**found.children, **served, **made}, routers=states)
        nothing = Measurement(problem="the query found no data")
        asked = {query: self.prometheus.get(query, nothing) for query in queries(self.resource, whole)}
        return replace(whole, measurements=asked)

    def _mine(self, item: Object) -> bool:
        owners = item["metadata"].get("ownerReferences") or []
        return any(owner["uid"] == self.resource["metadata"]["uid"] for owner in owners)

    def plan(self, observed: Observed | None = None) -> Plan:
        return deployment.plan(copy.deepcopy(self.resource), observed or self.observed(), self.now, self.settings)

    def step(self, crash_before: int | None = None, stale: Observed | None = None) -> Plan:
        observed, budget = stale or self.observed(), itertools.count()
        plan = self.plan(observed)
        if plan.writes and stale:
            observed = self.observed()
            plan = self.plan(observed)
        for _ in range(8):
            taken = self._carry_out(plan.apply, observed, budget, crash_before)
            if taken is None:
                break
            live = self.observed()
            observed = replace(live, children={**live.children, taken: copy.deepcopy(self.objects[taken])})
            plan = self.plan(observed)
        for patch in plan.patch:
            self._write(budget, crash_before)
            self.patch(patch.key, patch.body)
        for deletion in plan.delete:
            self._write(budget, crash_before)
            found = self.objects.get(deletion.key)
            if found and deletion.resource_version in (None, found["metadata"]["resourceVersion"]):
                self._delete(deletion)
        if self.resource.get("status") != plan.status:
            self._write(budget, crash_before)
            self.resource["status"] = copy.deepcopy(plan.status)
            self.events += [event.reason for event in plan.events]
        return plan

    def patch(self, key: ObjectKey, body: Object) -> None:
        """A merge patch with its version as precondition."""
        stored = self.objects[key]
        assert stored["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"], "Conflict"
        self._merge(stored, body)
        notes = stored["metadata"].get("annotations") or {}
        stored["metadata"]["annotations"] = {name: value for name, value in notes.items() if value is not None}
        self._moved(stored)

    def add(self, item: Object) -> Object:
        stored = super().add(item)
        self._moved(stored)
        return stored

    def _moved(self, stored: Object) -> None:
        self.versions += 1
        stored["metadata"]["resourceVersion"] = str(self.versions)

    def edit(self, **changes: Any) -> None:
        """Change the spec, as a user does."""
        self.resource["spec"] |= copy.deepcopy(changes)
        self.resource["metadata"]["generation"] += 1

    def edit_tier(self, stratum: str, **predictor: Any) -> None:
        """Change one tier's predictor."""
        tiers = copy.deepcopy(self.resource["spec"]["tiers"])
        next(tier for tier in tiers if tier["stratum"] == stratum)["predictor"] |= predictor
        self.edit(tiers=tiers)

    def backends(self) -> list[str]:
        """InferenceServices that exist."""
        return self.names("InferenceService")

    def kserve_works(self) -> None:
        """KServe brings every InferenceService up."""
        for name in self.backends():
            self.find("InferenceService", name)["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
            key = ObjectKey("Deployment", f"{name}-predictor")
            if key not in self.objects:
                self.add({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": key.name}})
            counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
            self.objects[key] |= {"spec": {"replicas": 1}, "status": counts}

    def fall(self, name: str, *, again_and_again: bool = False) -> None:
        """The container of a predictor is killed; KServe calls that a failed load, whatever went before."""
        self.find("InferenceService", name)["status"] = {
            "modelStatus": {"transitionStatus": "BlockedByFailedLoad"},
            "conditions": [{"type": "Ready", "status": "False"}],
        }
        labels = {"serving.kserve.io/inferenceservice": name, **owner_labels("RelevanceDeployment", "search")}
        backing_off = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}} if again_and_again else {}
        killed = {"name": "kserve-container", "ready": False, "lastState": {"terminated": {"exitCode": 137}}}
        pod = {"kind": "Pod", "metadata": {"name": f"{name}-predictor-0", "labels": labels}}
        self.add(pod | {"status": {"containerStatuses": [killed | backing_off]}})

    def recover(self) -> None:
        """Predictors that fell are Ready again."""
        for key in [key for key in self.objects if key.kind == "Pod" and key.name.endswith("-predictor-0")]:
            del self.objects[key]
        self.kserve_works()

    def kserve_cleans_up(self) -> None:
        """What KServe made for a deleted InferenceService goes with it."""
        for name in self.names("Deployment"):
            if name.endswith("-predictor") and name.removesuffix("-predictor") not in self.backends():
                del self.objects[ObjectKey("Deployment", name)]
        alive = {item["metadata"]["uid"] for item in self.objects.values()} | {self.resource["metadata"]["uid"]}
        for name in self.names("PodDisruptionBudget"):
            owners = self.find("PodDisruptionBudget", name)["metadata"]["ownerReferences"]
            if not any(owner["uid"] in alive for owner in owners):
                del self.objects[ObjectKey("PodDisruptionBudget", name)]

    def config(self) -> RouterConfig:
        """What routers are told."""
        return RouterConfig.model_validate_json(self.find("ConfigMap", "search-router")["data"]["router.json"])

    def routers_follow(self) -> None:
        """Two routers are Ready and serve the config as it is."""
        if self.has("ConfigMap", "search-router"):
            self.routers = dict.fromkeys(("router-0", "router-1"), self.config().content_digest())

    def weights(self) -> dict[str, int]:
        """Percent of the queries by model of the tail tier's revision."""
        return {item.revision: item.weights.tail for item in self.config().compositions}


def world(*, verdicts: bool = True, **changes: Any) -> ServingWorld:
    found = ServingWorld(deployment, resource("RelevanceDeployment", "search", json.loads(json.dumps(SPEC)) | changes))
    found.add(model("llm", "a"))
    found.add(model("student", "c", role="Classifier"))
    if verdicts:
        found.add(evaluation("llm-eval", "a"))
        found.add(evaluation("student-eval", "c"))
    return found


def model(name: str, letter: str, role: str = "Generative") -> Object:
    return resource(
        "RelevanceModel", name, {"uri": f"pvc://lore/{name}-{letter}", "digest": digest(letter), "role": role}
    )


def evaluation(name: str, letter: str, verdict: str | None = "Passed", **status: Any) -> Object:
    """An evaluation of the model with that digest under the default profile."""
    from lore_operator.api.v1alpha1.common import ServingProfile

    profile = ServingProfile().resolved(SETTINGS.images.server).content_digest()
    found = {"verdict": verdict, "model": {"digest": digest(letter)}, "profileDigest": profile}
    found |= {
        "benchmarkDigest": BENCHMARK,
        "gateSetDigest": GATES,
        "rulesDigest": RULES,
        "evidence": {"digest": digest("e")},
    }
    return resource("RelevanceEval", name, {}) | {"status": found | status}


def build_head(w: ServingWorld, letter: str = "d") -> None:
    """The head job that runs delivers its generation."""
    done = {name for name in w.names("Job") if w.find("Job", name).get("status")}
    for job in {name for name in w.names("Job") if "-head-" in name} - done:
        w.succeed(job, letter, {"coverage": {"share": "0.998000"}})


def advance(w: ServingWorld) -> None:
    """Everybody outside the operator does what is asked of them."""
    build_head(w)
    w.kserve_works()
    w.routers_follow()
    w.kserve_cleans_up()


def serve(w: ServingWorld, most: int = 40) -> Plan:
    """Until nothing moves any more."""
    for _ in range(most):
        before = copy.deepcopy((w.objects, w.resource, w.routers))
        plan = w.step()
        w.collect()
        advance(w)
        if before == (w.objects, w.resource, w.routers):
            return plan
    raise AssertionError("the rollout does not come to rest")
