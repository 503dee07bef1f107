"""From pairs to token ids with training targets. Pure: rules and renderer are given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, PromptLayout, PromptRules, PromptTooLong, RenderedPrompt, trace_text
from lore_core.prompts.render import Picture
from lore_core.records import LABELS, Label, Pair

IGNORED: Final = -100  # the target that cross-entropy leaves out

PADDING: Final = 0  # the id that fills rows; no position looks at it

RulesFor = Callable[[Pair], PromptRules]
Build = Callable[[RenderedPrompt, Pair], "Example"]


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence: `targets` is as long as `token_ids`; target i is trained at position i, IGNORED elsewhere.

    With a picture they are those of the words around it. A two-tower's are the query's sequence, `of_query` ids long, and the
    item's; its one target is the label's.
    """

    token_ids: tuple[int, ...]
    targets: tuple[int, ...]
    picture: Picture | None = None
    of_query: int = 0


class Examples:
    """The pairs of a stage as training sequences, each rendered when it is first drawn and then kept.

    A rank renders its own share only; `truncated` of `rendered` prompts so far lost tokens to the limit.
    """

    def __init__(self, kit: ModelKit, pairs: Sequence[Pair], rules: RulesFor, build: Build) -> None:
        """Raises JobError naming the first pair whose query alone exceeds the limit."""
        self._kit, self._pairs, self._rules, self._build = kit, pairs, rules, build
        self._built: dict[int, Example] = {}
        self.truncated = 0
        _check_queries(kit, pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Example:
        if (found := self._built.get(index)) is None:
            pair = self._pairs[index]
            prompt = self._kit.render(pair, self._rules(pair))
            self.truncated += prompt.truncated
            found = self._built[index] = self._build(prompt, pair)
        return found

    @property
    def rendered(self) -> int:
        """Number of prompts rendered so far."""
        return len(self._built)


def _check_queries(kit: ModelKit, pairs: Sequence[Pair]) -> None:
    first = {pair.query: pair for pair in reversed(pairs)}
    for query, pair in first.items():
        try:
            kit.render(Pair(id="query", item_id="none", query=query, title="", groundtruth=Label.L1, subset="none"))
        except PromptTooLong as error:
            raise JobError("PromptTooLong", f"pair {pair.id}: {error}", field="query") from error


def answer_ids(kit: ModelKit, pair: Pair) -> list[int]:
    """What the model shall write after the prompt: think-first the trace and its stop, then the label."""
    contract = kit.contract
    label = contract.verbaliser.token_ids[LABELS.index(pair.groundtruth)]
    if contract.layout is not PromptLayout.THINK_FIRST or contract.trace is None:
        return [label]
    return [*trace_ids(kit, pair), contract.trace.stop_token_id, *contract.verbaliser.prefix_ids, label]


def trace_ids(kit: ModelKit, pair: Pair) -> list[int]:
    """Ids of a pair's reasoning trace, without its stop."""
    return kit.encoder.encode(trace_text(pair.trace, kit.contract.rule_mode))


def answered(kit: ModelKit) -> Build:
    """Builds a prompt's example with what the model shall write behind it."""
    return lambda prompt, pair: causal_example(prompt, answer_ids(kit, pair))


def causal_example(prompt: RenderedPrompt, answer: Sequence[int]) -> Example:
    """Prompt and answer in one sequence; only the answer is trained."""
    return Example((*prompt.token_ids, *answer), (*([IGNORED] * len(prompt.token_ids)), *answer), prompt.picture)


def collate(examples: Sequence[Example]) -> dict[str, Any]:
    """Tensors `input_ids`, `attention_mask`, `targets`, each n×longest, padded on the right."""
    import torch

    longest = max(len(example.token_ids) for example in examples)
    ids = torch.full((len(examples), longest), PADDING)
    mask, targets = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        length = len(example.token_ids)
        ids[row, :length] = torch.tensor(example.token_ids)
        targets[row, : len(example.targets)] = torch.tensor(example.targets)
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "targets": targets}
