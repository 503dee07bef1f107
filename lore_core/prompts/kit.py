"""The one renderer of the platform: training, evaluation, the head job and the router all call `ModelKit.render`."""

from collections.abc import Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Final

from lore_core.prompts.contract import (
    CONTRACT_NAME,
    ContractError,
    ControlSegment,
    PromptLayout,
    ServingContract,
)
from lore_core.prompts.encoder import TextEncoder
from lore_core.prompts.fields import NO_RULES, PromptRecord, PromptRules
from lore_core.prompts.render import Part, Piece, RenderedPrompt, beside, compiled, fit, pieces

_PLACEHOLDERS: Final = ("<|image_pad|>", "<|video_pad|>")


class ModelKit:
    """What is needed to talk to one model: its serving contract and its tokenizer. Loads no weights."""

    def __init__(self, contract: ServingContract, encoder: TextEncoder) -> None:
        """Raises ContractError where the tokenizer is not the one the contract was made for."""
        self.contract, self.encoder = contract, encoder
        self._shows_pictures = contract.image_tokens is not None
        if contract.tokenizer != encoder.digest:
            raise ContractError(
                f"tokenizer: digest is {encoder.digest}, the contract is bound to {contract.tokenizer}; "
                "publish model and tokenizer together"
            )
        missing = [
            s.token for s in contract.segments if isinstance(s, ControlSegment) and not encoder.has_control(s.token)
        ]
        if missing:
            raise ContractError(f"template: the tokenizer has no control tokens {missing}; use another template")
        self._parts = compiled(contract.template, encoder.encode, encoder.control)
        if contract.layout is PromptLayout.LABEL_FIRST and contract.verbaliser.prefix_ids:
            self._parts += (Piece(None, contract.verbaliser.prefix_ids),)
        towers = contract.towers
        self._of_query = compiled(towers.query_template, encoder.encode, encoder.control) if towers else None

    @classmethod
    def load(cls, folder: Path) -> "ModelKit":
        """From a model artifact's folder; needs the `tokenizers` library alone. Raises ContractError."""
        return cls(ServingContract.read(folder / CONTRACT_NAME), TextEncoder.load(folder))

    def render(self, record: PromptRecord, rules: PromptRules = NO_RULES) -> RenderedPrompt:
        """The prompt of one record, at most `truncation.maxPromptTokens` ids. Raises PromptTooLong for an endless query.

        Label-first prompts end with the forced label prefix, so the next token is the label's; think-first ones end where
        the trace begins. Of a two-tower each sequence has at most so many ids, and neither depends on the other's text.
        """
        if self._of_query is not None:
            return beside(*(self._fitted(parts, record, rules) for parts in (self._of_query, self._parts)))
        return self._fitted(self._parts, record, rules, record.image_base64 if self._shows_pictures else "")

    def _fitted(
        self, parts: Sequence[Part], record: PromptRecord, rules: PromptRules, image: str = ""
    ) -> RenderedPrompt:
        found = pieces(parts, record, rules, self.encoder.encode, image)
        return fit(found, self.contract.truncation)

    def label_position(self, prompt: RenderedPrompt, trace: tuple[int, ...]) -> tuple[int, ...]:
        """The ids up to the label of a think-first answer: prompt, trace, the trace's stop, the forced label prefix."""
        if self.contract.trace is None:
            raise ContractError(f"trace: layout {self.contract.layout} has none")
        stop = self.contract.trace.stop_token_id
        body = trace[: trace.index(stop)] if stop in trace else trace
        return (*prompt.token_ids, *body, stop, *self.contract.verbaliser.prefix_ids)

    def trace_text(self, trace: tuple[int, ...]) -> str:
        """The words of a generated trace, up to its stop."""
        stop = self.contract.trace.stop_token_id if self.contract.trace else None
        return self.encoder.decode(trace[: trace.index(stop)] if stop in trace else trace)

    def words(self, ids: Sequence[int]) -> str:
        """Ids as the text that a server tokenizes itself: controls by name, and nothing else that it would take for one."""
        runs = groupby(ids, self.encoder.control_ids.__contains__)
        return "".join(
            "".join(map(self.encoder.name, run)) if control else self.encoder.defused(self.encoder.decode(list(run)))
            for control, run in runs
        )

    @cached_property
    def unsaid(self) -> tuple[int, ...]:
        """Ids that stand for pictures, which no answer may have: read again, it would ask for a picture that is not there."""
        names = _PLACEHOLDERS if self._shows_pictures else ()
        return tuple(self.encoder.control(name) for name in names if self.encoder.has_control(name))

    @cached_property
    def max_sequence(self) -> int:
        """Longest sequence a server sees for this model, in tokens: prompt, picture, trace with its stop, label."""
        contract = self.contract
        trace = contract.trace.max_tokens + 1 if contract.trace else 0
        shown = contract.truncation.max_prompt_tokens + (contract.image_tokens or 0)
        return shown + trace + len(contract.verbaliser.prefix_ids) + 1
