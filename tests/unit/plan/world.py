"""A namespace in memory: it carries plans out as the engine does, and plays Job controller, pods and garbage collector."""

import copy
import itertools
import json
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from lore_core.jobs import Phase, Progress, Report, Result
from lore_operator.api.v1alpha1 import API_VERSION
from lore_operator.children.labels import owner_of
from lore_operator.children.settings import Images, Settings
from lore_operator.plan.conditions import timestamp
from lore_operator.plan.types import Apply, Delete, Object, ObjectKey, Observed, Plan, Reference

SETTINGS = Settings(Images("trainer@sha256:1", "server@sha256:2", "router@sha256:3"), version="1.0")
START = datetime(2026, 11, 1, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


class Crash(Exception):
    """The operator dies before its next write."""


@dataclass
class World:
    """`planner` is a decision module. `objects` are all objects of one namespace by (kind, name)."""

    planner: Any
    resource: Object
    objects: dict[ObjectKey, Object] = field(default_factory=dict)
    now: datetime = START
    created: list[ObjectKey] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    stored: int = 0
    settings: Settings = SETTINGS

    def copy(self) -> "World":
        """Another world in the same state."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        return World(own.pop("planner"), **copy.deepcopy(own))

    def observed(self) -> Observed:
        own = (self.resource["kind"], self.resource["metadata"]["name"])
        mine = {key: item for key, item in self.objects.items() if owner_of(item) == own and key.kind != "Pod"}
        pods = tuple(item for key, item in self.objects.items() if owner_of(item) == own and key.kind == "Pod")
        wanted = self.planner.references(self.resource)
        found = {
            key: item
            for key, item in self.objects.items()
            if Reference(*key) in wanted or Reference(key.kind, None) in wanted
        }
        return copy.deepcopy(Observed(mine, pods, found))

    def plan(self, observed: Observed | None = None) -> Plan:
        plan: Plan = self.planner.plan(
            copy.deepcopy(self.resource), observed or self.observed(), self.now, self.settings
        )
        return plan

    def step(self, crash_before: int | None = None, stale: Observed | None = None) -> Plan:
        """One pass. With `crash_before` the operator dies before that write (counted over applies, deletes, status).

        With `stale` it decides on an old view first; like the engine it looks again before it changes or deletes.
        """
        observed, budget = stale or self.observed(), itertools.count()
        plan = self.plan(observed)
        if stale and (plan.delete or any(item.on_live or item.key in stale.children for item in plan.apply)):
            observed = self.observed()
            plan = self.plan(observed)
        for _ in range(8):
            taken = self._carry_out(plan.apply, observed, budget, crash_before)
            if taken is None:
                break
            live = self.observed()
            observed = Observed({**live.children, taken: self.objects[taken]}, live.pods, live.references)
            plan = self.plan(observed)
        for deletion in plan.delete:
            self._write(budget, crash_before)
            self._delete(deletion)
        if self.resource.get("status") != plan.status:
            self._write(budget, crash_before)
            self.resource["status"] = copy.deepcopy(plan.status)
            self.events += [event.reason for event in plan.events]
        return plan

    def settle(self, most: int = 30) -> Plan:
        """Passes until one changes nothing."""
        for _ in range(most):
            before = copy.deepcopy((self.objects, self.resource))
            plan = self.step()
            self.collect()
            if before == (self.objects, self.resource):
                return plan
        raise AssertionError("the decision does not come to rest")

    def _carry_out(
        self, applies: tuple[Apply, ...], observed: Observed, budget: Any, crash_before: int | None
    ) -> ObjectKey | None:
        for wanted in applies:
            self._write(budget, crash_before)
            if wanted.key in observed.children:
                if not wanted.create_only:
                    self._merge(self.objects[wanted.key], wanted.object)
            elif wanted.key in self.objects:
                return wanted.key
            else:
                self.add(wanted.object)
                self.created.append(wanted.key)
        return None

    @staticmethod
    def _write(budget: Any, crash_before: int | None) -> None:
        if next(budget) == crash_before:
            raise Crash

    def add(self, item: Object) -> Object:
        """An object as the API server would store it."""
        stored, self.stored = copy.deepcopy(item), self.stored + 1
        version = {"resourceVersion": str(self.stored), "creationTimestamp": timestamp(self.now), "generation": 1}
        stored["metadata"] |= {"uid": f"uid-{self.stored}", **version}
        self.objects[ObjectKey(stored["kind"], stored["metadata"]["name"])] = stored
        return stored

    @staticmethod
    def _merge(stored: Object, wanted: Object) -> None:
        for key, value in wanted.items():
            if isinstance(value, dict) and isinstance(stored.get(key), dict):
                World._merge(stored[key], value)
            else:
                stored[key] = copy.deepcopy(value)

    def _delete(self, deletion: Delete) -> None:
        found = self.objects.get(deletion.key)
        if found and found["metadata"]["uid"] == deletion.uid:
            found["metadata"]["deletionTimestamp"] = timestamp(self.now)

    def collect(self) -> None:
        """Pods of a dying Job stop, then the Job goes."""
        for key in [key for key, item in self.objects.items() if item["metadata"].get("deletionTimestamp")]:
            del self.objects[key]

    def pass_time(self, amount: timedelta) -> None:
        self.now += amount

    def find(self, kind: str, name: str) -> Object:
        return self.objects[ObjectKey(kind, name)]

    def has(self, kind: str, name: str) -> bool:
        return ObjectKey(kind, name) in self.objects

    def names(self, kind: str) -> list[str]:
        return sorted(key.name for key in self.objects if key.kind == kind)

    def report(self, job: str, report: Report) -> None:
        """What the pod of `job` writes."""
        self.find("ConfigMap", f"{job}-report").setdefault("data", {})["report.json"] = report.to_json()

    def end_job(self, job: str, type_: str = "Complete", message: str = "", reason: str = "") -> None:
        condition = {"type": type_, "status": "True", "reason": reason, "message": message}
        self.find("Job", job)["status"] = {"conditions": [condition | {"lastTransitionTime": timestamp(self.now)}]}

    def succeed(self, job: str, letter: str = "a", summary: dict[str, Any] | None = None, reused: bool = False) -> None:
        """The pod of `job` delivers its result and ends."""
        self.report_success(job, letter, summary, reused)
        self.end_job(job)

    def report_success(
        self, job: str, letter: str = "a", summary: dict[str, Any] | None = None, reused: bool = False
    ) -> None:
        """The pod of `job` delivers its result."""
        result = Result(uri=f"pvc://lore/runs/{job}", digest=digest(letter), reused=reused)
        done = Progress(step=10, total_steps=10, loss="0.5")
        times = {"started_at": self.now, "last_updated": self.now}
        self.report(job, Report(phase=Phase.SUCCEEDED, progress=done, result=result, summary=summary or {}, **times))

    def fail_pod(self, job: str, reason: str = "Error", exit_code: int = 1, message: str = "") -> None:
        """A pod of `job` dies, and the Job with it."""
        labels = self.find("Job", job)["spec"]["template"]["metadata"]["labels"]
        ended = {"exitCode": exit_code, "reason": reason, "message": message, "finishedAt": timestamp(self.now)}
        self.add(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{job}-0-x", "labels": {**labels, "batch.kubernetes.io/job-name": job}},
                "spec": {"nodeName": "node-1"},
                "status": {
                    "phase": "Failed",
                    "containerStatuses": [{"name": "lore", "state": {"terminated": ended}}],
                },
            }
        )
        self.end_job(job, "Failed", "exit code", "PodFailurePolicy")


def resource(kind: str, name: str, spec: dict[str, Any]) -> Object:
    metadata = {"name": name, "namespace": "team", "uid": f"uid-of-{name}", "generation": 1}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def condition(plan_or_status: Any, type_: str) -> dict[str, Any] | None:
    status = plan_or_status.status if isinstance(plan_or_status, Plan) else plan_or_status
    return next((item for item in status["conditions"] if item["type"] == type_), None)


def statuses(plan: Plan) -> dict[str, str]:
    """Type -> status of all conditions, with the reason of Ready."""
    found = {item["type"]: item["status"] for item in plan.status["conditions"]}
    ready = condition(plan, "Ready")
    assert ready is not None
    return found | {"reason": ready["reason"]}


def config_of(world: World, job: str) -> dict[str, Any]:
    return dict(json.loads(world.find("ConfigMap", job)["data"]["config.json"]))
