"""Balanced blocks: six queries and six items, every query and every item with one pair of each label.

A block has two kinds and three patterns of demands. Each pattern owns decisive dimensions; on them the three items of one
kind match, are near, or conflict, in a Latin square over the patterns. The fourth item of a query has the words of its near
item with the two kinds swapped. An item shows each word of the queries exactly once, in its main thing or in its companion,
so overlap is equal within every quadruple and only who has the value decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lore_core.benchmark.rulebook import is_strict
from lore_core.benchmark.stream import Stream, hashed
from lore_core.benchmark.things import Demand, Offer, Thing
from lore_core.benchmark.vocabulary import (
    BY_NAME,
    CENTRAL,
    DIMENSIONS,
    HELD_OUT_TEMPLATES,
    KIND,
    MARKETS,
    MOTIFS,
    PICTURED,
    PRODUCTS,
    SHOPS,
    TEMPLATES,
    WRITTEN,
    kind_group,
    novel,
)

PATTERNS: Final = 3
_KIND_ALIAS_PERCENT: Final = 20
_TRIES: Final = 40
# Combinations of a kind and its demanded values belong to one split each, by hash.
BUCKETS: Final = {"train": range(8), "tune": range(8, 10), "calibration": range(10, 12), "gate": range(12, 16)}


class Fit(StrEnum):
    """How a main value stands to the demanded one; for `match` also how the companion's value does."""

    NEAR = "near"
    FAR = "far"
    MATCH_BESIDE_NEAR = "match, companion near"
    MATCH_BESIDE_FAR = "match, companion far"


@dataclass(frozen=True)
class Plan:
    """What a subset's blocks look like."""

    name: str
    decisive: int
    common: int
    knowledge_percent: int
    pictured: bool = False
    markets: tuple[str, ...] = (CENTRAL,)

    @property
    def ruled(self) -> bool:
        """Whether gold differs between the markets."""
        return len(self.markets) > 1


@dataclass(frozen=True)
class Block:
    """Six demands, six offers, and which offers each demand is judged with."""

    demands: tuple[Demand, ...]
    offers: tuple[Offer, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Pattern:
    """One pattern of demands: values, the dimensions that decide, the fits of its match, near and conflicting item."""

    values: dict[str, str]
    decisive: tuple[str, ...]
    fits: tuple[tuple[Fit, ...], ...]
    aliased: frozenset[str]


def draw_block(plan: Plan, split: str, seed: int, number: int) -> Block:
    """The block of that number, the same for equal arguments."""
    stream = Stream(f"block-1/{seed}/{split}/{plan.name}/{number}")
    while True:
        block = _try_block(stream, plan, split, f"{split}-{plan.name}-{number:04d}")
        if block is not None:
            return block


def _try_block(stream: Stream, plan: Plan, split: str, prefix: str) -> Block | None:
    """A block, or None where the kinds and dimensions drawn leave a pattern no combination that belongs to the split."""
    kinds = _kinds(stream, plan)
    groups, common = _dimensions(stream, plan, kinds)
    shared = {name: stream.pick(BY_NAME[name].values) for name in common}
    drawn = [_pattern(stream, plan, split, kinds, group, shared) for group in groups]
    patterns = [pattern for pattern in drawn if pattern is not None]
    if len(patterns) < PATTERNS:
        return None
    offers = _offers(stream, plan, kinds, patterns, shared, prefix)
    templates = HELD_OUT_TEMPLATES if split == "gate" else TEMPLATES
    demands = tuple(
        Demand(kind, _in_any_order(stream, pattern.values), pattern.aliased, stream.pick(templates))
        for kind in kinds
        for pattern in patterns
    )
    return Block(demands, offers, tuple(_edges()))


def _kinds(stream: Stream, plan: Plan) -> list[str]:
    group = stream.below(2)
    return stream.shuffled([kind for kind in (MOTIFS if plan.pictured else PRODUCTS) if kind_group(kind) == group])[:2]


def _edges() -> list[tuple[int, int]]:
    """Demand (side, pattern) meets the three offers of its side and the near offer of the other side."""
    found = []
    for side in range(2):
        for pattern in range(PATTERNS):
            own = [(side * PATTERNS + pattern, side * PATTERNS + offer) for offer in range(PATTERNS)]
            near = (pattern + 1) % PATTERNS
            found += [*own, (side * PATTERNS + pattern, (1 - side) * PATTERNS + near)]
    return found


def _dimensions(stream: Stream, plan: Plan, kinds: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Three groups of decisive dimensions, and the common ones."""
    if plan.ruled:
        return _opposed(stream, kinds)[:PATTERNS], []
    if plan.pictured:
        return [(name,) for name in stream.shuffled(PICTURED)], stream.shuffled(WRITTEN)[: plan.common]
    names = stream.shuffled([dimension.name for dimension in DIMENSIONS])
    used = PATTERNS * plan.decisive
    groups = [tuple(names[start : start + plan.decisive]) for start in range(0, used, plan.decisive)]
    return groups, names[used : used + plan.common]


def _opposed(stream: Stream, kinds: Sequence[str]) -> list[tuple[str, ...]]:
    """Pairs of dimensions on which each market is strict about one and lenient about the other, for both kinds."""
    codes: dict[tuple[bool, ...], list[str]] = {}
    for name in stream.shuffled([dimension.name for dimension in DIMENSIONS]):
        codes.setdefault(tuple(is_strict(MARKETS[0], kind, name) for kind in kinds), []).append(name)
    pairs: list[tuple[str, ...]] = []
    for code in ((True, True), (True, False)):
        opposite = tuple(not strict for strict in code)
        pairs += zip(codes.get(code, []), codes.get(opposite, []), strict=True)
    return stream.shuffled(pairs)


def _pattern(
    stream: Stream, plan: Plan, split: str, kinds: Sequence[str], group: tuple[str, ...], shared: dict[str, str]
) -> _Pattern | None:
    wanted = stream.shuffled(list(shared))[: stream.below(len(shared) + 1)]
    aliased = _aliased(stream, plan, split, kinds, group)
    for _ in range(_TRIES):
        values = {name: _value(stream, split, name, name in aliased) for name in group}
        values |= {name: shared[name] for name in wanted}
        if all(bucket(kind, values) in BUCKETS[split] for kind in kinds):
            return _Pattern(values, group, _fits(stream, plan), aliased)
    return None


def _aliased(stream: Stream, plan: Plan, split: str, kinds: Sequence[str], group: tuple[str, ...]) -> frozenset[str]:
    """Which part of the demand is said by alias: nothing, a decisive dimension, or the kind."""
    if not stream.chance(plan.knowledge_percent):
        return frozenset()
    kind_fits = not plan.ruled and all(novel(kind) == (split == "gate") for kind in kinds)
    if kind_fits and stream.chance(_KIND_ALIAS_PERCENT):
        return frozenset({KIND})
    return frozenset({stream.pick(group)})


def _value(stream: Stream, split: str, name: str, aliased: bool) -> str:
    values = BY_NAME[name].values
    return stream.pick([value for value in values if novel(value) == (split == "gate")] if aliased else values)


def bucket(kind: str, values: Mapping[str, str]) -> int:
    """Which sixteenth of the combinations a kind with some demanded values belongs to."""
    return (hashed(f"combination/{'/'.join(sorted(values.values()))}") + 8 * kind_group(kind)) % 16


def _fits(stream: Stream, plan: Plan) -> tuple[tuple[Fit, ...], ...]:
    """Fits of the three items of a pattern, on its decisive dimensions: L4, L3, L2 (ruled: by market)."""
    match = (Fit.MATCH_BESIDE_FAR, Fit.MATCH_BESIDE_NEAR)
    far = Fit.MATCH_BESIDE_FAR
    if plan.ruled:
        return (
            (stream.pick(match), stream.pick(match)),
            (Fit.NEAR, stream.pick(match)),
            (stream.pick(match), Fit.NEAR),
        )
    if plan.decisive == 1:
        return (far,), (Fit.NEAR,), (Fit.FAR,)
    near = stream.pick([(Fit.NEAR, stream.pick(match)), (stream.pick(match), Fit.NEAR), (Fit.NEAR, Fit.NEAR)])
    conflict = stream.pick([(Fit.FAR, far), (far, Fit.FAR), (Fit.NEAR, Fit.FAR), (Fit.FAR, Fit.NEAR)])
    # The matching item carries the same two words a dimension as the conflicting one, so words alone cannot tell them apart.
    same_words = tuple(Fit.MATCH_BESIDE_NEAR if fit is Fit.NEAR else far for fit in conflict)
    return same_words, near, conflict


def _offers(
    stream: Stream, plan: Plan, kinds: Sequence[str], patterns: Sequence[_Pattern], shared: dict[str, str], prefix: str
) -> tuple[Offer, ...]:
    shop = stream.pick(SHOPS)
    beside = {name: _other(stream, name, value) for name, value in shared.items()}
    found = []
    for side in range(2):
        for place in range(PATTERNS):
            main, companion = dict(shared), dict(beside)
            for owner, pattern in enumerate(patterns):
                decisive = _in_rule_order(plan, kinds[side], pattern.decisive)
                for name, fit in zip(decisive, pattern.fits[(place - owner) % PATTERNS], strict=True):
                    main[name], companion[name] = _fitted(stream, plan, name, pattern.values[name], fit)
            if plan.pictured:
                _fill_picture(stream, main, companion)
            things = Thing(kinds[side], _ordered(main)), Thing(kinds[1 - side], _ordered(companion))
            found.append(Offer(f"{prefix}-{side * PATTERNS + place}", *things, shop, plan.pictured))
    return tuple(found)


def _in_rule_order(plan: Plan, kind: str, decisive: tuple[str, ...]) -> tuple[str, ...]:
    """Where rules differ, the dimension that the first market is strict about comes first: so items stay balanced."""
    reverse = plan.ruled and not is_strict(MARKETS[0], kind, decisive[0])
    return decisive[::-1] if reverse else decisive


def _fitted(stream: Stream, plan: Plan, name: str, wanted: str, fit: Fit) -> tuple[str, str]:
    """The main thing's value and the companion's; exactly one of them is the demanded one."""
    reach = 2 if plan.ruled else 1
    values = BY_NAME[name].values
    near = [value for value in values if 0 < BY_NAME[name].steps(wanted, value) <= reach]
    far = [value for value in values if BY_NAME[name].steps(wanted, value) > reach]
    other = stream.pick(near if fit in (Fit.NEAR, Fit.MATCH_BESIDE_NEAR) else far)
    return (other, wanted) if fit in (Fit.NEAR, Fit.FAR) else (wanted, other)


def _other(stream: Stream, name: str, value: str) -> str:
    return stream.pick([other for other in BY_NAME[name].values if other != value])


def _fill_picture(stream: Stream, main: dict[str, str], companion: dict[str, str]) -> None:
    """A picture always shows every drawn dimension; those that nothing demands are drawn at random."""
    for name in PICTURED:
        if name not in main:
            main[name] = stream.pick(BY_NAME[name].values)
            companion[name] = _other(stream, name, main[name])


def _ordered(values: dict[str, str]) -> dict[str, str]:
    return {dimension.name: values[dimension.name] for dimension in DIMENSIONS if dimension.name in values}


def _in_any_order(stream: Stream, values: dict[str, str]) -> dict[str, str]:
    return {name: values[name] for name in stream.shuffled(list(values))}
