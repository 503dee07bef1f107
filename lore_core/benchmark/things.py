"""What the world is made of, apart from its wording: things, offers of two things, queries, and the judge over them."""

from collections.abc import Mapping
from dataclasses import dataclass

from lore_core.benchmark.rulebook import LENIENT_STEPS, is_strict, rule_id
from lore_core.benchmark.vocabulary import BY_NAME, CENTRAL, KIND
from lore_core.records.label import Label
from lore_core.records.pair import TraceStep
from lore_core.records.verdict import Verdict, trace_label


@dataclass(frozen=True)
class Thing:
    """A kind and the value it has on each stated dimension."""

    kind: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Offer:
    """An item: the thing it is, and a companion whose words make every item of a query overlap with it equally.

    A pictured offer shows kind and the drawn dimensions in its picture alone.
    """

    item_id: str
    main: Thing
    companion: Thing
    shop: str
    pictured: bool


@dataclass(frozen=True)
class Demand:
    """A query before it is worded: what is wanted, in the order it is asked for, and which terms are said by alias."""

    kind: str
    values: Mapping[str, str]
    aliased: frozenset[str]
    template: str


def judge(demand: Demand, offer: Offer, market: str) -> tuple[TraceStep, ...]:
    """The structured trace: the kind first, which ends it if it is another, then each demand in the query's order."""
    same = demand.kind == offer.main.kind
    verdict = Verdict.MATCH if same else Verdict.OTHER
    steps = [TraceStep(dimension=KIND, demand=demand.kind, evidence=offer.main.kind, verdict=verdict.value)]
    if same:
        steps += [_step(demand, offer, name, market) for name in demand.values]
    return tuple(steps)


def gold(demand: Demand, offer: Offer, market: str) -> Label:
    """The label the trace gives."""
    return trace_label(judge(demand, offer, market))


def _step(demand: Demand, offer: Offer, name: str, market: str) -> TraceStep:
    wanted, found = demand.values[name], offer.main.values[name]
    verdict, rule = compare(demand.kind, name, wanted, found, market)
    return TraceStep(dimension=name, demand=wanted, evidence=found, rule=rule, verdict=verdict.value)


def compare(kind: str, name: str, wanted: str, found: str, market: str) -> tuple[Verdict, str]:
    """The verdict on one demand and the id of the rule that was needed for it (empty for none)."""
    steps = BY_NAME[name].steps(wanted, found)
    if steps == 0:
        return Verdict.MATCH, ""
    if market == CENTRAL:
        return (Verdict.NEAR if steps == 1 else Verdict.CONFLICT), ""
    if steps > LENIENT_STEPS:
        return Verdict.CONFLICT, ""
    strict = is_strict(market, kind, name)
    return (Verdict.CONFLICT if strict else Verdict.NEAR), rule_id(market, name, strict)
