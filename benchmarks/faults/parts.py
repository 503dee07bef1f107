"""The parts of a fault run, wherever its routers are: a load, something that fails meanwhile, and what must hold of it."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from benchmarks.faults.load import Judge, Load, Tally
from benchmarks.faults.world import fallbacks, questions

Scenario = Callable[[Load], Coroutine[Any, Any, None]]
_FALLBACKS = "lore_router_fallbacks_total"


class Parts:
    """Runs parts one after another and keeps what did not hold.

    `ready` names the routers that may be asked, `metric` sums a counter over all of them.
    """

    def __init__(
        self,
        ready: Callable[[], Sequence[str]],
        metric: Callable[[str], Awaitable[int]],
        judge: Judge,
        requests: int,
        rate: float,
    ) -> None:
        self._ready, self._metric, self._judge = ready, metric, judge
        self._requests, self._rate = requests, rate
        self.pause = max(5, requests // 50)
        self.failures: list[str] = []
        self.tallies: list[Tally] = []

    async def counted(self, name: str, share: float, scenario: Scenario) -> None:
        """A part in which nobody may notice anything, and all fallbacks are counted."""
        before = await self._metric(_FALLBACKS)
        tally = await self.quiet(name, share, scenario)
        counted, seen = await self._metric(_FALLBACKS) - before, fallbacks(tally.answers)
        print(f"{name:<16} fallbacks: {seen} seen in answers, {counted} counted by the routers", flush=True)
        self.hold(counted == seen, f"{name}: {counted} fallbacks counted, {seen} seen")

    async def quiet(self, name: str, share: float, scenario: Scenario) -> Tally:
        """A part in which nobody may notice anything. Routers that leave take their counters along."""
        load = self._load()
        tally = await self._loaded(name, share, load, scenario)
        self.hold(tally.errors == 0, f"{name}: {tally.errors} errors")
        return tally

    async def killed(
        self,
        name: str,
        share: float,
        retries: int,
        victim: str,
        kill: Callable[[], Awaitable[float]],
        slow: Callable[[], Awaitable[None]],
    ) -> None:
        """A router dies with requests in flight on it: `slow` sees to that, `kill` says from when nothing could reach it."""
        gone = 0.0

        async def scenario(load: Load) -> None:
            nonlocal gone
            await slow()
            await load.passed(self.pause)
            gone = await kill()
            await load.passed(self.pause)

        tally = await self._loaded(name, share, self._load(retries), scenario)
        others = [loss for loss in tally.lost if loss.url != victim or loss.sent > gone]
        self.hold(not others, f"{name}: lost beside those in flight on the killed router: {others[:3]}")
        self.hold(tally.errors == len(tally.lost), f"{name}: refused or wrong answers")
        if retries:
            self.hold(not tally.lost, f"{name}: {len(tally.lost)} lost")
            self.hold(tally.retried > 0, f"{name}: nothing was in flight on the killed router")

    def hold(self, holds: bool, failure: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.failures.append(failure)

    def _load(self, retries: int = 0) -> Load:
        return Load(self._ready, questions(), self._judge, rate=self._rate, retries=retries)

    async def _loaded(self, name: str, share: float, load: Load, scenario: Scenario) -> Tally:
        tally = await load.run(round(self._requests * share), scenario(load))
        self.tallies.append(tally)
        print("\n".join([f"{name:<16} {tally}", *(f"  {problem}" for problem in tally.problems())]), flush=True)
        return tally
