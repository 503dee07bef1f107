"""What TRL logs at each step, by our names."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lore_core.training.history import LOSS, History
from lore_core.training.tune import PREFIX

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
    """The values of one step that curves are drawn of: TRL's under our names, and our own of the tune split."""
    theirs = {name: float(logged[key]) for key, name in _NAMES.items() if key in logged}
    return {**theirs, **{name: float(value) for name, value in logged.items() if name.startswith(PREFIX)}}


def history_of(logged: Iterable[Mapping[str, Any]]) -> History:
    """The curves of a whole run."""
    found = History()
    for entry in logged:
        found.add(int(entry["step"]), by_our_names(entry))
    return found


def last_look(logged: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What was measured last of the tune split."""
    return {name: float(value) for entry in logged for name, value in entry.items() if name.startswith(PREFIX)}
