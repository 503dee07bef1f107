"""Reading a sampled think-first answer by token ids: trace, stop, label. Nothing a text says can pass for either."""

from collections.abc import Sequence
from dataclasses import dataclass

from lore_core.prompts import ContractError, ModelKit
from lore_core.records import LABELS, Label, TraceStep, Verdict

_LEAST, _MOST = 4, 5
_STEP = ";"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled answer. `label` is None where none stands right after the stop; `tokens` counts what was generated."""

    trace: str
    label: Label | None
    tokens: int

    @property
    def parsed(self) -> bool:
        """Whether a label was found."""
        return self.label is not None


def read_rollout(kit: ModelKit, ids: Sequence[int]) -> Rollout:
    """From generated ids: up to the first stop is the trace, then the forced prefix and one of the four label tokens."""
    bounds, labels = kit.contract.trace, kit.contract.verbaliser
    if bounds is None:
        raise ContractError(f"trace: layout {kit.contract.layout} has none, so there is no rollout to read")
    found = list(ids)
    if bounds.stop_token_id not in found:
        return Rollout(kit.encoder.decode(found), None, len(found))
    stop = found.index(bounds.stop_token_id)
    after = found[stop + 1 :]
    prefix = list(labels.prefix_ids)
    spoken = after[len(prefix)] if after[: len(prefix)] == prefix and len(after) > len(prefix) else None
    label = LABELS[labels.token_ids.index(spoken)] if spoken in labels.token_ids else None
    return Rollout(kit.encoder.decode(found[:stop]), label, len(found))


def read_steps(trace: str) -> tuple[TraceStep, ...] | None:
    """The steps of a trace as training words them (`dimension demand evidence [rule] verdict ; …`); None where one is not.

    Words are single tokens here; a step of four words cites no rule.
    """
    steps = [_step(part.split()) for part in trace.split(_STEP)]
    return None if None in steps else tuple(step for step in steps if step is not None)


def _step(words: list[str]) -> TraceStep | None:
    if not _LEAST <= len(words) <= _MOST or words[-1] not in set(Verdict):
        return None
    rule = words[3] if len(words) == _MOST else ""
    return TraceStep(dimension=words[0], demand=words[1], evidence=words[2], rule=rule, verdict=words[-1])
