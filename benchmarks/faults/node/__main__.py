"""`python -m benchmarks.faults.node`: answers of a deployment on the one-node cluster while what serves them fails.

The operator, KServe, the routers with their loaders and the Service are the real ones; predictors are InferenceServices whose
server is a stub (`api_server.py`), so that every score is known and misbehaviour can be told. Requests go to the Service's
endpoints in turn, as a client with its own balancing sends them. Predictors hang, answer 500 or garbage, break off and are
killed; a composition is promoted and the next one rolled back; another replaces a predictor without room for two; the two routers
are restarted in turn; one is killed. It fails where a caller got no answer, or one that mixes compositions, or where routers
counted other fallbacks than answers show.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.load import Load
from benchmarks.faults.node.cluster import Cluster
from benchmarks.faults.node.world import CLAIM, NAME, Bound, NodeWorld, model
from benchmarks.faults.parts import Parts
from benchmarks.faults.predictor import MISBEHAVIOUR
from hack.cluster.errors import ClusterError
from hack.demo import data, seed, steps
from hack.demo.target import Target, target

SHORT: Final = {"requests": 400, "rate": 20.0}
_REPLICAS: Final = 2
_AT_ONCE: Final[dict[str, Any]] = {"steps": []}
_QUICKLY: Final = {"steps": [{"weight": 50, "for": "2s"}]}
_GRADUALLY: Final = {"steps": [{"weight": 10, "for": "5s"}, {"weight": 50, "for": "5s"}]}
_JUDGED: Final = {"steps": [{"weight": 50, "for": "1h", "analysis": {"minSamples": 30, "maxFallbackPercent": 20}}]}
_ONE_FOR_THE_OTHER: Final = {"surge": "PerTier", "steps": _GRADUALLY["steps"]}
_LABELS: Final = {"pod-security.kubernetes.io/enforce": "restricted"}


class Run:
    """The parts of the run, one after another, on one deployment."""

    def __init__(self, world: NodeWorld, cluster: Cluster, requests: int, rate: float) -> None:
        self._world, self._cluster, self._judge = world, cluster, Bound({})
        self._parts = Parts(cluster.ready, cluster.metric, self._judge, requests, rate)
        self._pause, self._stable = self._parts.pause, "r1"

    async def all(self) -> list[str]:
        """Every part; what did not hold."""
        await self._served("r1", _AT_ONCE)
        await self._cluster.routers(_REPLICAS)
        await self._parts.counted("predictors", 0.4, self._predictors)
        await self._parts.counted("compositions", 0.2, self._compositions)
        await self._parts.counted("no room for two", 0.1, self._replaced)
        await self._rest()
        return self._parts.failures

    async def short(self) -> list[str]:
        """The same faults with less waiting: predictors fail while the next composition is promoted."""
        await self._served("r1", _AT_ONCE)
        await self._cluster.routers(_REPLICAS)
        await self._parts.counted("all at once", 0.5, self._at_once)
        await self._rest()
        return self._parts.failures

    async def _rest(self) -> None:
        await self._parts.quiet("restarts", 0.1, self._restarts)
        await self._cluster.routers(_REPLICAS)
        await self._killed("kill", 0)
        await self._killed("kill, one retry", 1)
        await self._names_hold()

    async def _served(self, composition: str, how: dict[str, Any]) -> str:
        """A composition is asked for and takes over; its revision."""
        await self._cluster.apply(self._world.deployment(composition, how))
        torso = model(composition, "torso")

        def serving(status: dict[str, Any]) -> bool:
            models = {tier.get("model") for tier in status.get("tiers", ())}
            return torso in models and _reason(status, "Ready") == "Serving"

        return str((await self._cluster.until(f"{composition} serves", serving))["stable"])

    async def _predictors(self, load: Load) -> None:
        for name in ("torso-r1", "tail-r1"):
            for mode in MISBEHAVIOUR:
                await self._cluster.behave(name, mode)
                await load.passed(self._pause)
                await self._cluster.behave(name, "well")
                await load.passed(self._pause)
        for name in ("torso-r1", "tail-r1"):
            await self._cluster.kill_predictor(name)
        await load.passed(self._pause)
        for name in ("torso-r1", "tail-r1"):
            await self._cluster.predictor(name)
        await load.passed(self._pause)

    async def _compositions(self, load: Load) -> None:
        """r2 is promoted while its torso fails now and then; r3, whose torso breaks once it has queries, is rolled back."""
        await self._has_queries("r2", _GRADUALLY)
        await self._cluster.behave("torso-r2", "garbage")
        await load.passed(self._pause)
        await self._cluster.behave("torso-r2", "well")
        stable = await self._served("r2", _GRADUALLY)
        await load.passed(self._pause)
        await self._has_queries("r3", _JUDGED)
        await self._cluster.behave("torso-r3", "garbage")
        found = await self._cluster.until(
            "r3 is rolled back", lambda status: _reason(status, "Stalled") == "RolledBack"
        )
        self._parts.hold(found["stable"] == stable, f"compositions: {found['stable']} serves after the roll back")
        await self._served("r2", _AT_ONCE)
        await load.passed(self._pause)
        self._stable = "r2"

    async def _has_queries(self, composition: str, how: dict[str, Any]) -> None:
        await self._cluster.apply(self._world.deployment(composition, how))
        await self._cluster.until(f"{composition} has queries", lambda status: (status.get("weight") or 0) > 0)

    async def _replaced(self, load: Load) -> None:
        """r4's torso comes where r2's was; the tail answers for it meanwhile."""
        await self._cluster.apply(self._world.deployment("r4", _ONE_FOR_THE_OTHER))
        await self._cluster.until("the torso rests", lambda status: _reason(status, "TierResting") != "")
        await load.passed(self._pause)
        await self._served("r4", _ONE_FOR_THE_OTHER)
        await load.passed(self._pause)
        self._stable = "r4"

    async def _at_once(self, load: Load) -> None:
        await self._cluster.apply(self._world.deployment("r2", _QUICKLY))
        for name, mode in zip(("torso-r1", "tail-r1") * 2, MISBEHAVIOUR, strict=True):
            await self._cluster.behave(name, mode)
            await load.passed(self._pause)
            await self._cluster.behave(name, "well")
        await self._cluster.kill_predictor("torso-r1")
        await self._served("r2", _QUICKLY)
        await load.passed(self._pause)
        self._stable = "r2"

    async def _restarts(self, load: Load) -> None:
        await self._cluster.restart_routers()
        await load.passed(self._pause)

    async def _killed(self, name: str, retries: int) -> None:
        victim = self._cluster.ready()[0]
        pod = self._cluster.router_at(victim)
        restarts = await self._cluster.restarts(pod)
        models = [model(self._stable, tier) for tier in ("torso", "tail")]

        async def slow() -> None:
            for one in models:
                await self._cluster.behave(one, "slow")

        await self._parts.killed(name, 0.1, retries, victim, lambda: self._cluster.kill_router(victim), slow)
        await self._cluster.restarted(pod, restarts)
        await self._cluster.routers(_REPLICAS)
        for one in models:
            await self._cluster.behave(one, "well")

    async def _names_hold(self) -> None:
        """Every revision that answered had the scores of the composition that the operator recorded under its name."""
        recorded = await self._cluster.compositions()
        for revision, found in self._judge.compositions.items():
            torso = recorded[revision].predictors["torso"].backend.model_name if revision in recorded else "nothing"
            self._parts.hold(torso == model(found, "torso"), f"{revision} answered as {found}, recorded is {torso}")
        answered = sorted(self._judge.compositions.values())
        print(f"answered by the compositions {', '.join(answered)}", flush=True)
        self._parts.hold(len(answered) == len(set(answered)) > 1, f"compositions that answered: {answered}")


def _reason(status: dict[str, Any], condition: str) -> str:
    found = (one["reason"] for one in status.get("conditions", ()) if one["type"] == condition)
    return next(found, "")


async def run(on: Target, image: str, requests: int, rate: float, *, short: bool) -> list[str]:
    """What did not hold, of a run in a namespace of its own. `image` has Python and `lore`: the routers' own will do."""
    if on.node is None:
        raise ClusterError("this kills processes on the node of hack/: unset KUBECONFIG")
    with _namespace(on) as namespace, tempfile.TemporaryDirectory(prefix="lore-faults-") as folder:
        world = NodeWorld(Path(folder), namespace, image)
        await asyncio.to_thread(_fill, on, namespace, image, world)
        async with Cluster(on.node, on.kubectl, namespace, NAME).watched() as cluster:
            started = Run(world, cluster, requests, rate)
            return await (started.short() if short else started.all())


def _fill(on: Target, namespace: str, image: str, world: NodeWorld) -> None:
    on.provide_volume(namespace, CLAIM)
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM, "namespace": namespace}}
    on.kubectl.apply({**claim, "spec": spec}, *world.objects())
    seed.seed(on.kubectl, namespace, CLAIM, image, data.Data(world.folders))


@contextmanager
def _namespace(on: Target) -> Iterator[str]:
    name = f"{NAME}-{secrets.token_hex(3)}"
    on.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _LABELS}})
    try:
        yield name
    finally:
        on.kubectl("delete", "namespace", name, "--wait=false")
        on.kubectl("delete", f"persistentvolume/{name}-{CLAIM}", "--wait=false", "--ignore-not-found")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.node", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=25.0, help="requests a second")
    parser.add_argument("--short", action="store_true", help="fewer requests, and no roll back")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    args = parser.parse_args()
    wanted = SHORT if args.short else {"requests": args.requests, "rate": args.rate}
    with target(args.keep) as on:
        image = steps.install_platform(on)["router"]
        failures = asyncio.run(run(on, image, int(wanted["requests"]), wanted["rate"], short=args.short))
    print("\n".join(failures) or "no answer lost, none mixed, every fallback counted")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
