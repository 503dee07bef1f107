"""What the router counts, per stratum."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from lore_core.router.answering import Answer
from lore_core.router.config import Stratum
from lore_core.router.counting import Count, Durations
from lore_core.router.guard import CircuitOpen, Shed
from lore_core.router.predictor import Effort, Resting
from lore_core.router.shadow import Comparison

_PASSED_OVER = frozenset({Shed.__name__, CircuitOpen.__name__, Resting.__name__})
_LOWEST_HALF, _HIGHEST_HALF = 2, 8
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RouterMetrics:
    """All metrics of one router, in a registry of its own. `waiting` are the questions that predictors are working on."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.waiting = 0
        by_tier = ("stratum", "tier")
        self._answers = self._count("answers", "Answered queries", *by_tier, "revision")
        self._items = self._count("items", "Answered items", *by_tier, "source")
        self._pairs = self._count("head_pairs", "Pairs looked up in the head", "result")
        self._fallbacks = self._count("fallbacks", "Tiers that gave no answer", *by_tier, "reason")
        self._shed = self._count("shed", "Tiers passed over without being asked", *by_tier, "reason")
        self._seconds = Durations(
            "lore_router_answer_seconds", "Time to an answer", by_tier, _BUCKETS, registry=self.registry
        )
        self._tokens = self._count("tokens", "Tokens of prompts sent and of traces received", *by_tier, "kind")
        self._predictor_seconds = self._count(
            "predictor_seconds", "Seconds of all requests to predictors together", *by_tier
        )
        self._again = self._count("second_attempts", "Requests sent once more", *by_tier, "kind")
        self._grades = self._count("grades", "Items by grade, to the nearest half", *by_tier, "grade")
        self._shadowed = self._count(
            "shadow_items", "Mirrored items that both compositions scored", "stratum", "result"
        )
        self._apart = self._count("shadow_grade_difference", "Sum of their grades' differences", "stratum")
        self._clients = self._count("clients", "Requests of clients with a token", "client", "result")
        self._spans = self._count("spans", "Spans that ended, by what became of them", "result")
        # Counted by the log's thread.
        self._served = Counter(
            "lore_router_served_log",
            "Requests for the served log, by what became of them",
            ["result"],
            registry=self.registry,
        )
        self._refused = self._count("refused", "Requests refused", "status")
        self._shares = Gauge(
            "lore_router_snapshot_share",
            "Share of traffic in the log of the stable snapshot",
            ["stratum"],
            registry=self.registry,
        )
        self.swaps = Counter("lore_router_config_swaps", "Configurations that began to serve", registry=self.registry)
        self.load_failures = Counter(
            "lore_router_config_failures", "Configurations that could not be read or loaded", registry=self.registry
        )
        in_flight = Gauge("lore_router_in_flight", "Questions waiting for a predictor", registry=self.registry)
        in_flight.set_function(lambda: self.waiting)

    def _count(self, name: str, documentation: str, *labels: str) -> Count:
        return Count(f"lore_router_{name}", documentation, labels, self.registry)

    def answered(self, answer: Answer, seconds: float) -> None:
        """One answered query."""
        stratum, tier = answer.stratum, answer.tier
        self._answers.add(1, stratum, tier, answer.revision)
        self._seconds.observe(seconds, stratum, tier)
        self._answered_items(answer)
        for asked, effort in answer.efforts.items():
            self._spent(stratum, asked, effort)
        if answer.looked_up:
            missed = answer.looked_up - answer.hits - answer.stale
            for result, count in (("hit", answer.hits), ("stale", answer.stale), ("miss", missed)):
                self._pairs.add(count, result)
        for fallback in answer.fallbacks:
            self._fallbacks.add(1, stratum, fallback.tier, fallback.reason)
            if fallback.reason in _PASSED_OVER:
                self._shed.add(1, stratum, fallback.tier, fallback.reason)

    def _answered_items(self, answer: Answer) -> None:
        """By tier and source, and the distribution of grades: outside of 1 to 4, as a calibration may give, at the ends."""
        stratum = answer.stratum
        pairs = list(zip(answer.tiers, answer.sources, strict=True))
        for tier, source in set(pairs):
            self._items.add(pairs.count((tier, source)), stratum, tier, source)
        halves = [round(2 * grade) for grade in answer.grades]
        for half in set(halves):
            self._grades.add(halves.count(half), stratum, answer.tier, _half(half))

    def _spent(self, stratum: str, tier: str, effort: Effort) -> None:
        self._predictor_seconds.add(effort.seconds, stratum, tier)
        self._tokens.add(effort.prompt_tokens, stratum, tier, "prompt")
        if effort.output_tokens:
            self._tokens.add(effort.output_tokens, stratum, tier, "output")
        if effort.retries:
            self._again.add(effort.retries, stratum, tier, "retry")
        if effort.hedges:
            self._again.add(effort.hedges, stratum, tier, "hedge")

    def mirrored(self, found: Comparison) -> None:
        """One question that a shadowed composition answered, too."""
        self._shadowed.add(found.agreeing, found.stratum, "agree")
        self._shadowed.add(found.items - found.agreeing, found.stratum, "differ")
        self._apart.add(found.grade_difference, found.stratum)

    def serves_snapshot(self, shares: Mapping[Stratum, float] | None) -> None:
        """The shares that the stable composition's snapshot was built from; None where it does not tell them."""
        self._shares.clear()
        for stratum, share in (shares or {}).items():
            self._shares.labels(stratum).set(share)

    def asked_by(self, client: str, *, over: bool) -> None:
        """One request of a client with a token, within its quota or over it."""
        self._clients.add(1, client, "over" if over else "within")

    def spans(self, result: str, count: int) -> None:
        """Spans that were `exported`, `failed` or `dropped`."""
        self._spans.add(count, result)

    def served(self, result: str) -> None:
        """A request for the served log that was `written`, `dropped` or `unnamed`."""
        self._served.labels(result).inc()

    def refused(self, status: int) -> None:
        """One request that was not answered."""
        self._refused.add(1, str(status))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


def _half(half: int) -> str:
    return f"{min(max(half, _LOWEST_HALF), _HIGHEST_HALF) / 2:.1f}"
