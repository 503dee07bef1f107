"""What TRL logs at each step, by our names."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lore_core.training.alignment.guards import Measurement
from lore_core.training.history import LOSS, History

_NAMES: Final = {
    LOSS: LOSS,
    "reward": "reward",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "length",
    **{f"rewards/{part}/mean": f"reward.{part}" for part in ("label", "format", "length", "citation")},
    "rewards/margins": "margin",
    "rewards/chosen": "chosen",
    "rewards/rejected": "rejected",
}


def by_our_names(logged: Mapping[str, Any]) -> dict[str, float]:
    """The values of one step that curves are drawn of."""
    return {name: float(logged[theirs]) for theirs, name in _NAMES.items() if theirs in logged}


def history_of(logged: Iterable[Mapping[str, Any]], measured: Iterable[Measurement]) -> History:
    """The curves of a whole run, with those of the guards."""
    found = History()
    for entry in logged:
        found.add(int(entry["step"]), by_our_names(entry))
    for one in measured:
        found.add(one.step, one.values)
    return found
