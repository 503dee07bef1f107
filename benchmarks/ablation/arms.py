"""What the arms are, and what each of them leaves of a pair. Pure.

Every arm is think-first on the same pairs and gold labels. A capability that an arm lacks is missing where it works:

- Knowledge: no step whose demand the query names by an alias: without knowing its meaning that step cannot be taken.
- Visual: no words of the picture in the prompt, in training and when scored, and no step whose evidence stands there.
- Rules: rule mode None: no rules in the prompt, in training and when scored, and no citation in the trace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lore_core.jobs import Capability, RuleMode
from lore_core.records import Pair, TraceStep

Capabilities = frozenset[Capability]
NONE: Final[Capabilities] = frozenset()
EVERY: Final[Capabilities] = frozenset(Capability)

PLAIN: Final = "plain"
CELLS: Final = {Capability.KNOWLEDGE: "knowledge", Capability.VISUAL: "image", Capability.RULES: "rule"}
"""The cell of each capability: pairs that need it and no other."""
JUDGED: Final = (PLAIN, *CELLS.values())
SEVERAL: Final = "several"


@dataclass(frozen=True)
class Tuned:
    """An arm that is fine-tuned from the base model."""

    name: str
    capabilities: Capabilities


SFT: Final = Tuned("SFT", NONE)
KNOWLEDGE: Final = Tuned("+ knowledge", frozenset({Capability.KNOWLEDGE}))
VISUAL: Final = Tuned("+ visual", frozenset({Capability.KNOWLEDGE, Capability.VISUAL}))
RULES: Final = Tuned("+ rules", EVERY)
WITHOUT_KNOWLEDGE: Final = Tuned("without knowledge", EVERY - {Capability.KNOWLEDGE})
WITHOUT_VISUAL: Final = Tuned("without visual", EVERY - {Capability.VISUAL})
TUNED: Final = (SFT, KNOWLEDGE, VISUAL, RULES, WITHOUT_KNOWLEDGE, WITHOUT_VISUAL)
"""Without rules is the arm `+ visual` itself."""
ALIGNED: Final = "+ align"
LONGER: Final = "SFT, as many more steps"
"""The two arms that go on from `+ rules`."""


@dataclass(frozen=True)
class Contrast:
    """One arm against another; `own` is the cell that the difference between them is about, None for all pairs."""

    name: str
    arm: str
    against: str
    own: str | None = None


CONTRASTS: Final = (
    Contrast("+ knowledge", KNOWLEDGE.name, SFT.name, "knowledge"),
    Contrast("+ visual", VISUAL.name, KNOWLEDGE.name, "image"),
    Contrast("+ rules", RULES.name, VISUAL.name, "rule"),
    Contrast("all but knowledge", RULES.name, WITHOUT_KNOWLEDGE.name, "knowledge"),
    Contrast("all but visual", RULES.name, WITHOUT_VISUAL.name, "image"),
    Contrast("all but rules", RULES.name, VISUAL.name, "rule"),
    Contrast("+ align", ALIGNED, RULES.name),
    Contrast("+ align against SFT, as many more steps", ALIGNED, LONGER),
)


def rule_mode(capabilities: Capabilities) -> RuleMode:
    """Which rules an arm's prompts show."""
    return RuleMode.RETRIEVED if Capability.RULES in capabilities else RuleMode.NONE


def cell(pair: Pair) -> str:
    """The judged cell of a pair, or that it needs several capabilities."""
    return pair.needs.cell if pair.needs.cell in JUDGED else SEVERAL


def withheld(pair: Pair, capabilities: Capabilities) -> Pair:
    """What is left of a pair for an arm with these capabilities; rules are left out by the arm's rule mode.

    The picture itself goes in any case: visual is the route by words.
    """
    shown = pair.model_copy(update={"image_base64": ""})
    trace: Iterable[TraceStep] = pair.trace
    if Capability.VISUAL not in capabilities:
        shown = shown.model_copy(update={"vqa_result": ""})
        trace = _seen(shown)
    if Capability.KNOWLEDGE not in capabilities:
        said = frozenset(pair.query.split())
        trace = (step for step in trace if step.demand in said)
    return shown.model_copy(update={"trace": tuple(trace)})


def _seen(pair: Pair) -> Iterable[TraceStep]:
    """The steps whose evidence stands in the pair's own text."""
    words = frozenset(" ".join((pair.title, *pair.cpv_sku.values())).split())
    return (step for step in pair.trace if step.evidence in words)


def padded_steps(steps: int, whole: Sequence[int], left: Sequence[int]) -> int:
    """Steps that train as many tokens with the answers `left` as `steps` do with the `whole` ones; both are token counts."""
    return round(steps * (sum(whole) / len(whole)) / (sum(left) / len(left)))
