"""What the router counts, per stratum."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lore_core.router.answering import Answer
from lore_core.router.config import Stratum
from lore_core.router.guard import CircuitOpen, Shed
from lore_core.router.predictor import Effort, Resting
from lore_core.router.shadow import Comparison

_PASSED_OVER = frozenset({Shed.__name__, CircuitOpen.__name__, Resting.__name__})
_LOWEST_HALF, _HIGHEST_HALF = 2, 8
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RouterMetrics:
    """All metrics of one router, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # `labels` checks and locks at every call; the label values here are few.
        self._child: Callable[..., Any] = cache(lambda metric, *values: metric.labels(*values))
        registry = self.registry
        self._answers = Counter(
            "lore_router_answers", "Answered queries", ["stratum", "tier", "revision"], registry=registry
        )
        self._items = Counter("lore_router_items", "Answered items", ["stratum", "tier", "source"], registry=registry)
        self._pairs = Counter("lore_router_head_pairs", "Pairs looked up in the head", ["result"], registry=registry)
        self._fallbacks = Counter(
            "lore_router_fallbacks", "Tiers that gave no answer", ["stratum", "tier", "reason"], registry=registry
        )
        self._shed = Counter(
            "lore_router_shed",
            "Tiers passed over without being asked",
            ["stratum", "tier", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "lore_router_answer_seconds", "Time to an answer", ["stratum", "tier"], buckets=_BUCKETS, registry=registry
        )
        by_tier = ["stratum", "tier"]
        self._tokens = Counter(
            "lore_router_tokens", "Tokens of prompts sent and of traces received", [*by_tier, "kind"], registry=registry
        )
        self._predictor_seconds = Counter(
            "lore_router_predictor_seconds",
            "Seconds of all requests to predictors together",
            by_tier,
            registry=registry,
        )
        self._again = Counter(
            "lore_router_second_attempts", "Requests sent once more", [*by_tier, "kind"], registry=registry
        )
        self._grades = Counter(
            "lore_router_grades", "Items by grade, to the nearest half", [*by_tier, "grade"], registry=registry
        )
        self._shadowed = Counter(
            "lore_router_shadow_items",
            "Mirrored items that both compositions scored",
            ["stratum", "result"],
            registry=registry,
        )
        self._apart = Counter(
            "lore_router_shadow_grade_difference", "Sum of their grades' differences", ["stratum"], registry=registry
        )
        self._shares = Gauge(
            "lore_router_snapshot_share",
            "Share of traffic in the log of the stable snapshot",
            ["stratum"],
            registry=registry,
        )
        self._clients = Counter(
            "lore_router_clients", "Requests of clients with a token", ["client", "result"], registry=registry
        )
        self._spans = Counter(
            "lore_router_spans", "Spans that ended, by what became of them", ["result"], registry=registry
        )
        self._served = Counter(
            "lore_router_served_log",
            "Requests for the served log, by what became of them",
            ["result"],
            registry=registry,
        )
        self._refused = Counter("lore_router_refused", "Requests refused", ["status"], registry=registry)
        self.swaps = Counter("lore_router_config_swaps", "Configurations that began to serve", registry=registry)
        self.load_failures = Counter(
            "lore_router_config_failures", "Configurations that could not be read or loaded", registry=registry
        )
        self.in_flight = Gauge("lore_router_in_flight", "Questions waiting for a predictor", registry=registry)

    def answered(self, answer: Answer, seconds: float) -> None:
        """One answered query."""
        self._answered(answer.stratum, answer.tier, answer.revision, seconds)
        pairs = list(zip(answer.tiers, answer.sources, strict=True))
        for tier, source in set(pairs):
            self._child(self._items, answer.stratum, tier, source).inc(pairs.count((tier, source)))
        self._graded(answer)
        for tier, effort in answer.efforts.items():
            self._spent(answer.stratum, tier, effort)
        if answer.looked_up:
            missed = answer.looked_up - answer.hits - answer.stale
            for result, count in (("hit", answer.hits), ("stale", answer.stale), ("miss", missed)):
                self._child(self._pairs, result).inc(count)
        for fallback in answer.fallbacks:
            self._child(self._fallbacks, answer.stratum, fallback.tier, fallback.reason).inc()
            if fallback.reason in _PASSED_OVER:
                self._child(self._shed, answer.stratum, fallback.tier, fallback.reason).inc()

    def _answered(self, stratum: str, tier: str, revision: str, seconds: float) -> None:
        self._child(self._answers, stratum, tier, revision).inc()
        self._child(self._seconds, stratum, tier).observe(seconds)

    def _graded(self, answer: Answer) -> None:
        """The distribution of scores. Grades outside of 1 to 4, which a calibration may give, count at the ends."""
        halves = np.rint(2 * answer.grades).clip(_LOWEST_HALF, _HIGHEST_HALF).astype(np.int64)
        for half, count in enumerate(np.bincount(halves).tolist()):
            if count:
                self._child(self._grades, answer.stratum, answer.tier, f"{half / 2:.1f}").inc(count)

    def _spent(self, stratum: str, tier: str, effort: Effort) -> None:
        self._child(self._predictor_seconds, stratum, tier).inc(effort.seconds)
        self._child(self._tokens, stratum, tier, "prompt").inc(effort.prompt_tokens)
        self._child(self._tokens, stratum, tier, "output").inc(effort.output_tokens)
        self._child(self._again, stratum, tier, "retry").inc(effort.retries)
        self._child(self._again, stratum, tier, "hedge").inc(effort.hedges)

    def mirrored(self, found: Comparison) -> None:
        """One question that a shadowed composition answered, too."""
        self._child(self._shadowed, found.stratum, "agree").inc(found.agreeing)
        self._child(self._shadowed, found.stratum, "differ").inc(found.items - found.agreeing)
        self._child(self._apart, found.stratum).inc(found.grade_difference)

    def serves_snapshot(self, shares: Mapping[Stratum, float] | None) -> None:
        """The shares that the stable composition's snapshot was built from; None where it does not tell them."""
        self._shares.clear()
        for stratum, share in (shares or {}).items():
            self._shares.labels(stratum).set(share)

    def asked_by(self, client: str, *, over: bool) -> None:
        """One request of a client with a token, within its quota or over it."""
        self._child(self._clients, client, "over" if over else "within").inc()

    def spans(self, result: str, count: int) -> None:
        """Spans that were `exported`, `failed` or `dropped`."""
        self._spans.labels(result).inc(count)

    def served(self, result: str) -> None:
        """A request for the served log that was `written`, `dropped` or `unnamed`."""
        self._child(self._served, result).inc()

    def refused(self, status: int) -> None:
        """One request that was not answered."""
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
