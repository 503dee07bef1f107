"""A steady load on routers that keeps account of every request: answered, lost, refused or wrong.

Requests leave at a fixed rate whatever became of the earlier ones. `python -m benchmarks.faults.load --url URL` runs it against
any router; a judge says what is wrong with an answer, and `Consistent` is the one that needs to know no scores.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

Question = dict[str, Any]
"""A body of `POST /v1/relevance`."""
Judge = Callable[[Question, dict[str, Any]], str | None]
"""What is wrong with the answer to a question, or None."""
_SECONDS = 30.0
_SHOWN = 5


@dataclass(frozen=True)
class Loss:
    """A request whose answer never came: which router had it, when it was sent (`time.monotonic`), what was seen."""

    url: str
    sent: float
    problem: str


@dataclass
class Tally:
    """What became of all requests."""

    sent: int = 0
    answers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By stratum, tier and revision."""
    lost: list[Loss] = field(default_factory=list)
    retried: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Requests that the caller got no answer to, or a wrong one."""
        return len(self.lost) + self.refused.total() + len(self.wrong)

    def __str__(self) -> str:
        tiers: Counter[str] = Counter()
        for (_, tier, _), count in self.answers.items():
            tiers[tier] += count
        by_tier = ", ".join(f"{tier} {count}" for tier, count in sorted(tiers.items()))
        median, most = (statistics.median(self.seconds), max(self.seconds)) if self.seconds else (0.0, 0.0)
        return (
            f"{self.sent} requests: {len(self.lost)} lost, {self.refused.total()} refused, {len(self.wrong)} wrong, "
            f"{self.retried} retried; answered by {by_tier}; median {median * 1000:.1f} ms, longest {most * 1000:.0f} ms"
        )

    def problems(self) -> list[str]:
        """The first few of each kind, in words."""
        lost = [f"lost on {loss.url}: {loss.problem}" for loss in self.lost[:_SHOWN]]
        return [*lost, *(f"status {status}: {n}" for status, n in self.refused.items()), *self.wrong[:_SHOWN]]


class Consistent:
    """Judges without knowing any score: one query and item under one revision and tier always has the same probabilities.

    Where the models of two compositions score differently, an answer mixed from both breaks this. `tolerance` is that of
    the predictors themselves, whose last bits may depend on the batch.
    """

    def __init__(self, tolerance: float = 1e-3) -> None:
        self._tolerance = tolerance
        self._seen: dict[tuple[str, str, str, str], list[float]] = {}

    def __call__(self, question: Question, answer: dict[str, Any]) -> str | None:
        """A Judge."""
        for item in answer["items"]:
            place = (answer["revision"], item["tier"], question["query"], item["id"])
            before = self._seen.setdefault(place, item["probabilities"])
            if any(abs(a - b) > self._tolerance for a, b in zip(before, item["probabilities"], strict=True)):
                return f"{' '.join(place)}: {item['probabilities']}, and {before} before"
        return None


class Load:
    """`rate` requests a second, to the routers in turn that `routers` names at that moment.

    A connection that is refused cost nobody an answer: the next router gets the request. What was sent and not answered is
    sent again at most `retries` times, to the next router.
    """

    def __init__(
        self,
        routers: Callable[[], Sequence[str]],
        questions: Sequence[Question],
        judge: Judge,
        *,
        rate: float,
        retries: int = 0,
    ) -> None:
        self.tally = Tally()
        self._routers, self._judge, self._rate, self._retries = routers, judge, rate, retries
        self._questions = itertools.cycle([(question, json.dumps(question).encode()) for question in questions])
        self._turn = itertools.count()
        self._progress = asyncio.Condition()
        self._done = 0

    async def run(self, at_least: int, meanwhile: Coroutine[Any, Any, None] | None = None) -> Tally:
        """Send until `at_least` requests are sent and `meanwhile` is over; returns once all are answered or lost."""
        loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        scenario = asyncio.ensure_future(meanwhile) if meanwhile is not None else None
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            start = loop.time()
            while self.tally.sent < at_least or (scenario is not None and not scenario.done()):
                await asyncio.sleep(max(0.0, start + self.tally.sent / self._rate - loop.time()))
                self.tally.sent += 1
                tasks.add(task := asyncio.ensure_future(self._one(session, *next(self._questions))))
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        if scenario is not None:
            await scenario
        return self.tally

    async def passed(self, requests: int) -> None:
        """Wait until so many more requests are over."""
        async with self._progress:
            until = self._done + requests
            await self._progress.wait_for(lambda: self._done >= until)

    async def _one(self, session: aiohttp.ClientSession, question: Question, body: bytes) -> None:
        started = time.monotonic()
        await self._sent(session, question, body)
        self.tally.seconds.append(time.monotonic() - started)
        async with self._progress:
            self._done += 1
            self._progress.notify_all()

    async def _sent(self, session: aiohttp.ClientSession, question: Question, body: bytes) -> None:
        retries, loss, tried = self._retries, Loss("", time.monotonic(), "no router is ready"), set[str]()
        while (url := self._next(tried)) is not None:
            sent = time.monotonic()
            try:
                async with session.post(f"{url}/v1/relevance", data=body) as response:
                    self._note(question, response.status, response.headers, await response.json(content_type=None))
                    return
            except aiohttp.ClientConnectorError as error:
                loss = Loss(url, sent, str(error))
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                loss = Loss(url, sent, f"{type(error).__name__}: {error}")
                if not retries:
                    break
                retries -= 1
                self.tally.retried += 1
            tried.add(url)
        self.tally.lost.append(loss)

    def _next(self, tried: set[str]) -> str | None:
        """The router whose turn it is, of those not tried yet; where there is but one, it is asked twice."""
        routers = self._routers()
        fresh = [url for url in routers if url not in tried] or (
            list(routers) if len(tried) == len(routers) == 1 else []
        )
        return fresh[next(self._turn) % len(fresh)] if fresh else None

    def _note(self, question: Question, status: int, headers: Any, answer: dict[str, Any]) -> None:
        if status != 200:
            self.tally.refused[status] += 1
            return
        self.tally.answers[answer["stratum"], answer["tier"], answer["revision"]] += 1
        said = (headers.get("x-lore-stratum"), headers.get("x-lore-revision"))
        problem = self._judge(question, answer)
        if said != (answer["stratum"], answer["revision"]):
            problem = f"headers {said} beside {answer['stratum']}, {answer['revision']}"
        if problem is not None:
            self.tally.wrong.append(problem)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.load", description=__doc__)
    parser.add_argument(
        "--url", action="append", required=True, help="base address of a router or its Service; repeatable"
    )
    parser.add_argument("--questions", type=Path, required=True, help="JSON lines: bodies of /v1/relevance")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--retries", type=int, default=0)
    args = parser.parse_args()
    questions = [json.loads(line) for line in args.questions.read_text(encoding="utf-8").splitlines() if line.strip()]
    tally = asyncio.run(
        Load(lambda: args.url, questions, Consistent(), rate=args.rate, retries=args.retries).run(args.requests)
    )
    print("\n".join([str(tally), *tally.problems()]))
    return 1 if tally.errors else 0


if __name__ == "__main__":
    sys.exit(main())
