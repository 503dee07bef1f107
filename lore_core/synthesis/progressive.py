"""One pair through the capabilities in their order: path, picture text, trace. Each sees what the one before produced."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lore_core.jobs.config import Capability, SynthesizeStage
from lore_core.records import Pair, TraceStep
from lore_core.rules import Rule, RuleSet, retrieve
from lore_core.synthesis.accounts import Accounts
from lore_core.synthesis.answers import Unreadable, read_path, read_picture, read_steps
from lore_core.synthesis.checks import check_path, check_picture, check_trace
from lore_core.synthesis.client import TeacherClient, Unanswered
from lore_core.synthesis.reasons import UNAVAILABLE, Reason
from lore_core.synthesis.tasks import Decoding, Demand, Request, ask_path, ask_picture, ask_steps

_NO_PICTURE: Final = "no picture"
_NOT_WORDED: Final = "picture without words and no vision endpoint"


class Mode(StrEnum):
    """Whether the teacher was told the label."""

    BLIND = "Blind"
    GOLD_CONDITIONED = "GoldConditioned"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a pair. `trace` is None where `reason` says why; `requests` are the keys of all that it took."""

    pair: Pair
    mode: Mode
    requests: tuple[str, ...]
    trace: tuple[TraceStep, ...] | None = None
    picture: str = ""
    capability: Capability = Capability.RULES
    reason: Reason | None = None

    @property
    def unavailable(self) -> bool:
        """Whether the teacher gave no answer at all."""
        return self.reason in UNAVAILABLE


class Rejected(Exception):
    """A capability's work did not pass; carries which one and why."""

    def __init__(self, capability: Capability, reason: Reason) -> None:
        super().__init__(f"{capability}: {reason}")
        self.capability, self.reason = capability, reason


class Progression:
    """Synthesises traces of single pairs, counting what each capability came to."""

    def __init__(
        self,
        stage: SynthesizeStage,
        teacher: TeacherClient,
        vision: TeacherClient | None,
        rules: RuleSet | None,
        accounts: Accounts,
    ) -> None:
        self._stage, self._teacher, self._vision, self._rules, self._accounts = stage, teacher, vision, rules, accounts
        knobs = float(stage.temperature), stage.max_answer_tokens
        self._decoding = Decoding(stage.teacher.model, *knobs)
        self._seeing = Decoding(stage.vision.model, *knobs) if stage.vision else None

    async def blind(self, pair: Pair) -> Outcome:
        """pass@N: the first of N samples that passes, else the last one's reason."""
        asked: list[str] = []
        for sample in range(self._stage.samples):
            outcome = await self._attempt(pair, sample, Mode.BLIND, asked)
            if outcome.trace is not None or outcome.reason in UNAVAILABLE | {Reason.BUDGET_SPENT}:
                break
        return outcome

    async def told(self, pair: Pair) -> Outcome:
        """One more sample, with the label given."""
        return await self._attempt(pair, self._stage.samples, Mode.GOLD_CONDITIONED, [])

    async def _attempt(self, pair: Pair, sample: int, mode: Mode, asked: list[str]) -> Outcome:
        try:
            path = await self._path(pair, sample, asked)
            picture = await self._picture(pair, asked)
            trace = await self._trace(pair, path, picture, sample, mode, asked)
        except Rejected as error:
            return Outcome(pair, mode, tuple(asked), capability=error.capability, reason=error.reason)
        return Outcome(pair, mode, tuple(asked), trace, picture)

    async def _path(self, pair: Pair, sample: int, asked: list[str]) -> tuple[Demand, ...]:
        if Capability.KNOWLEDGE not in self._stage.capabilities:
            return ()
        request = ask_path(pair, self._decoding, sample)
        text = await self._ask(self._teacher, Capability.KNOWLEDGE, request, asked)
        try:
            path = read_path(text)
        except Unreadable:
            raise self._rejected(Capability.KNOWLEDGE, Reason.GARBAGE) from None
        self._judge(Capability.KNOWLEDGE, check_path(path, pair.query))
        return path

    async def _picture(self, pair: Pair, asked: list[str]) -> str:
        """The words that the record has, else those of the vision endpoint; a pair without either goes on without."""
        if Capability.VISUAL not in self._stage.capabilities:
            return ""
        if pair.vqa_result:
            self._judge(Capability.VISUAL, check_picture(pair.vqa_result))
            return pair.vqa_result
        if not pair.image_base64 or self._vision is None or self._seeing is None:
            self._accounts.note(_NOT_WORDED if pair.image_base64 else _NO_PICTURE)
            return ""
        text = await self._ask(self._vision, Capability.VISUAL, ask_picture(pair, self._seeing), asked)
        try:
            picture = read_picture(text)
        except Unreadable:
            raise self._rejected(Capability.VISUAL, Reason.GARBAGE) from None
        self._judge(Capability.VISUAL, check_picture(picture))
        return picture

    async def _trace(
        self, pair: Pair, path: Sequence[Demand], picture: str, sample: int, mode: Mode, asked: list[str]
    ) -> tuple[TraceStep, ...]:
        rules = self._shown(pair)
        told = mode is Mode.GOLD_CONDITIONED
        request = ask_steps(pair, path, picture, rules, self._decoding, sample, told)
        text = await self._ask(self._teacher, Capability.RULES, request, asked)
        try:
            steps, label = read_steps(text)
        except Unreadable:
            raise self._rejected(Capability.RULES, Reason.GARBAGE) from None
        self._judge(Capability.RULES, check_trace(pair, path, picture, rules, steps, label))
        return steps

    def _shown(self, pair: Pair) -> tuple[Rule, ...]:
        if self._rules is None or Capability.RULES not in self._stage.capabilities:
            return ()
        found = retrieve(self._rules, pair.query, pair.market, pair.cpv_sku)
        return (*found.by_query, *found.by_item)

    async def _ask(self, client: TeacherClient, capability: Capability, request: Request, asked: list[str]) -> str:
        asked.append(request.key)
        try:
            return (await client.ask(request)).text
        except Unanswered as error:
            raise self._rejected(capability, error.reason) from None

    def _judge(self, capability: Capability, wrong: Reason | None) -> None:
        if wrong is not None:
            raise self._rejected(capability, wrong)
        self._accounts.passed(capability)

    def _rejected(self, capability: Capability, reason: Reason) -> Rejected:
        self._accounts.rejected(capability, reason)
        return Rejected(capability, reason)
