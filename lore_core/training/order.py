"""The order in which fine-tuning sees its pairs: curriculum over the capabilities, balance of labels, queries kept together."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Final

from lore_core.jobs.config import DistillStage, SftSettings
from lore_core.records import Needs, Pair
from lore_core.training.handover import HandOver
from lore_core.training.schedule import Order, Phase

_LAST: Final = 3
"""Phases: nothing but the text, then knowledge, then pictures, then rules too; each keeps what came before."""


def sft_order(pairs: Sequence[Pair], settings: SftSettings) -> Order:
    """The order of an sft stage.

    With a curriculum, that share of the steps is spent on the phases before the last, equally; one without pairs is left
    out. With a hand-over the numbers are those of `HandOver`. Balanced, pairs of rarer labels recur within an epoch until
    every label that occurs does so equally often.
    """
    each = int(settings.optimizer.max_steps * float(settings.curriculum_share) / _LAST)
    phases: list[Phase] = []
    for number in range(_LAST + 1) if each else (_LAST,):
        rows = [row for row, pair in enumerate(pairs) if _phase(pair.needs) <= number]
        if rows:
            chosen = _balanced(pairs, rows) if settings.balance_labels else rows
            groups = _by_query(pairs, chosen) if settings.share_prefix else [(row,) for row in chosen]
            phases.append(Phase(number * each if phases else 0, groups))
    if float(settings.hand_over):
        return HandOver(phases, settings, len(pairs))
    return Order(phases, settings.optimizer, together=settings.share_prefix)


def student_order(pairs: Sequence[Pair], spec: DistillStage) -> Order:
    """The order of a distill stage: the plain one, or a query's pairs together where their margins are learned."""
    if not float(spec.margin_weight):
        return Order.plain(len(pairs), spec.optimizer)
    return Order([Phase(0, _by_query(pairs, range(len(pairs))))], spec.optimizer, together=True)


def _phase(needs: Needs) -> int:
    """When a pair is first seen: by the last capability that it needs."""
    return 3 if needs.rule else 2 if needs.image else 1 if needs.knowledge else 0


def _balanced(pairs: Sequence[Pair], rows: Sequence[int]) -> list[int]:
    by_label: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_label[pairs[row].groundtruth].append(row)
    most = max(map(len, by_label.values()))
    return list(
        chain.from_iterable((found[place % len(found)] for place in range(most)) for found in by_label.values())
    )


def _by_query(pairs: Sequence[Pair], rows: Sequence[int]) -> list[list[int]]:
    """Rows of one query and market side by side: their prompts begin alike, rules included."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        groups[pairs[row].query, pairs[row].market].append(row)
    return list(groups.values())
