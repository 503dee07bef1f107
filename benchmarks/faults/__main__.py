"""`python -m benchmarks.faults`: two router processes under steady load while what is around them fails.

Predictors are real HTTP servers that are killed, hang, answer 500 or garbage or break off; a composition is promoted and one is
rolled back; routers are replaced in turn and drained; one is killed. Printed for each part: what became of every request. It fails
where a caller got no answer, or one that mixes compositions, or where the routers counted other fallbacks than answers show.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.faults.fleet import Fleet
from benchmarks.faults.load import Load
from benchmarks.faults.parts import Parts
from benchmarks.faults.predictor import MISBEHAVIOUR
from benchmarks.faults.world import World, judge
from lore_core.router.shelf import NOT_FETCHED

REPLICAS = 2
SHORT = {"requests": 400, "rate": 100.0}
DRAIN_SECONDS = 0.5


class Run:
    """The parts of the run, one after another, on one fleet."""

    def __init__(self, world: World, fleet: Fleet, requests: int, rate: float) -> None:
        self._world, self._fleet = world, fleet
        self._parts = Parts(fleet.ready, fleet.metric, judge, requests, rate)
        self._pause = self._parts.pause

    async def all(self) -> list[str]:
        """Every part; what did not hold."""
        await self._parts.counted("predictors", 0.5, self._predictors)
        await self._parts.counted("compositions", 0.2, self._compositions)
        odd = [reason for reason in self._fleet.waits() if not reason.endswith(NOT_FETCHED)]
        self._parts.hold(not odd, f"a configuration waited for more than the loader: {odd[:3]}")
        await self._parts.quiet("restarts", 0.1, self._restarts)
        await self._killed("kill", 0)
        await self._killed("kill, one retry", 1)
        return self._parts.failures

    async def _predictors(self, load: Load) -> None:
        torso, tail = self._world.predictors["r1", "torso"], self._world.predictors["r1", "tail"]
        for predictor in (torso, tail):
            for mode in MISBEHAVIOUR:
                await predictor.behave(mode)
                await load.passed(self._pause)
                await predictor.behave("well")
                await load.passed(self._pause)
        await torso.kill()
        await load.passed(self._pause)
        await tail.kill()
        await load.passed(self._pause)
        await asyncio.gather(torso.start(), tail.start())
        await load.passed(self._pause)

    async def _compositions(self, load: Load) -> None:
        """r2 is promoted while its torso fails now and then; then r1 is tried again and rolled back."""
        promotion = [("r1", (100, 0)), ("r1", (50, 50)), ("r2", (0, 100))]
        roll_back = [("r2", (40, 60)), ("r2", (0, 100)), ("r2", (None, 100))]
        for number, (stable, weights) in enumerate([*promotion, *roll_back]):
            given = {f"r{n}": weight for n, weight in enumerate(weights, 1) if weight is not None}
            config = self._world.config(stable, given)
            self._world.write(config)
            await self._world.predictors["r2", "torso"].behave("garbage" if number % 2 else "well")
            await self._fleet.acknowledged(config.content_digest())
            await load.passed(self._pause)
        await self._world.predictors["r2", "torso"].behave("well")
        await load.passed(self._pause)

    async def _restarts(self, load: Load) -> None:
        for replica in list(self._fleet.replicas):
            await self._fleet.add()
            status = await self._fleet.drain(replica)
            self._parts.hold(status == 0, f"restarts: a drained router left with status {status}")
            await load.passed(self._pause)

    async def _killed(self, name: str, retries: int) -> None:
        victim = self._fleet.replicas[0]

        async def kill() -> float:
            gone = await self._fleet.kill(victim)
            await self._fleet.add()
            return gone

        async def slow() -> None:
            for predictor in self._world.predictors.values():
                await predictor.behave("slow")

        await self._parts.killed(name, 0.1, retries, victim.url, kill, slow)


async def run(requests: int, rate: float) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="lore-faults-") as folder:
        for revision in ("r1", "r2"):
            (Path(folder) / revision).mkdir()
        world = World(Path(folder))
        world.write(world.config("r1", {"r1": 100}))
        await asyncio.gather(*(predictor.start() for predictor in world.predictors.values()))
        try:
            async with Fleet(Path(folder), DRAIN_SECONDS).running(REPLICAS) as fleet:
                return await Run(world, fleet, requests, rate).all()
        finally:
            for predictor in world.predictors.values():
                await predictor.kill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--short", action="store_true", help="for CI: fewer requests, every fault")
    args = parser.parse_args()
    wanted = SHORT if args.short else {"requests": args.requests, "rate": args.rate}
    failures = asyncio.run(run(int(wanted["requests"]), wanted["rate"]))
    print("\n".join(failures) or "no answer lost, none mixed, every fallback counted")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
