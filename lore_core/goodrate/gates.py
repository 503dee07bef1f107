"""Gates on GoodRate: decided on the point estimate, and only where people's ratings give it an interval.

A gate's queries are the requests that people rated, its samples the items on them; with fewer than `minQueries` or `minSamples`,
or without an interval, it is Inconclusive. A slice without traffic is what `onMissing` says.
"""

from collections.abc import Sequence
from typing import Final

from lore_core.evaluation.gates import GateOutcome, Outcome, number
from lore_core.goodrate.estimate import Rate
from lore_core.goodrate.traffic import Traffic, slice_name
from lore_core.jobs.evaluation import Gate

_TOLERANCE: Final = 1e-9
"""Estimates are sums of shares; their floating-point error must not decide a gate."""


def apply(gates: Sequence[Gate], traffic: Traffic) -> list[GateOutcome]:
    """The outcome of each gate, in the gates' order."""
    return [_outcome(gate, traffic) for gate in gates]


def _outcome(gate: Gate, traffic: Traffic) -> GateOutcome:
    two_sided = 2 * float(gate.confidence) - 1  # each bound holds at the gate's confidence, as everywhere
    rate, (requests, items) = traffic.rate(gate.metric, gate.where, two_sided), traffic.rated(gate.where)
    outcome, message = _decided(gate, rate, requests, items)
    return GateOutcome(
        name=gate.name,
        severity=gate.severity,
        outcome=outcome,
        message=f"{gate.metric} on {slice_name(gate.where)} {message}",
        metric=gate.metric,
        slice=slice_name(gate.where),
        value=number(rate.value if rate else None),
        low=number(rate.low if rate else None),
        high=number(rate.high if rate else None),
        queries=requests,
        samples=items,
    )


def _decided(gate: Gate, rate: Rate | None, requests: int, items: int) -> tuple[Outcome, str]:
    if rate is None:
        outcome = Outcome.FAILED if gate.on_missing == "Fail" else Outcome.INCONCLUSIVE
        return outcome, f"has no traffic (onMissing: {gate.on_missing})"
    if rate.value is None:
        return (
            Outcome.INCONCLUSIVE,
            f"is not known: {requests} requests rated by people, and no day and stratum may lack them",
        )
    if short := _too_few(gate, rate, requests, items):
        return Outcome.INCONCLUSIVE, f"is {rate.value:.4f}, but {short}"
    return _bounded(gate, rate, rate.value, requests)


def _too_few(gate: Gate, rate: Rate, requests: int, items: int) -> str | None:
    if requests < gate.min_queries:
        return f"{requests} requests rated by people are fewer than minQueries {gate.min_queries}"
    if items < gate.min_samples:
        return f"{items} items rated by people are fewer than minSamples {gate.min_samples}"
    if rate.low is None:
        return "has no interval: of some day and stratum people rated one of several requests"
    return None


def _bounded(gate: Gate, rate: Rate, value: float, requests: int) -> tuple[Outcome, str]:
    floor, bound = gate.min is not None, str(gate.min if gate.min is not None else gate.max)
    held = value >= float(bound) - _TOLERANCE if floor else value <= float(bound) + _TOLERANCE
    relation = {(True, True): "at least", (True, False): "below", (False, True): "at most", (False, False): "above"}
    interval = f"[{rate.low:.4f}, {rate.high:.4f}]"
    message = f"is {value:.4f} {interval}, {relation[floor, held]} {bound}; {requests} requests rated by people"
    return (Outcome.PASSED if held else Outcome.FAILED), message
