"""The synthesize stage: from annotated pairs to the same pairs with a teacher's checked traces, published whole."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef, publish
from lore_core.jobs.config import Endpoint, SynthesizeConfig
from lore_core.jobs.errors import JobError
from lore_core.jobs.report import Progress
from lore_core.jobs.reporter import Reporter
from lore_core.records import Pair, label_schema_digest, write_pairs
from lore_core.records.jsonl import write_jsonl
from lore_core.rules import RuleSet
from lore_core.synthesis.accounts import Accounts, page, rates, share
from lore_core.synthesis.client import TeacherClient, Usage
from lore_core.synthesis.consensus import outvoted
from lore_core.synthesis.limits import Budget, Clock, Pace
from lore_core.synthesis.log import RequestLog
from lore_core.synthesis.progressive import Mode, Outcome, Progression
from lore_core.synthesis.reasons import Reason

KIND: Final = "pairs"
FOLDER: Final = "synthesis"
"""Folder of what is no pair: provenance, rejected pairs, the report."""
_LEAST_BREAK: Final = 8


@dataclass(frozen=True)
class Synthesis:
    """The outcomes of all pairs that were tried, in their order, and what they took."""

    outcomes: tuple[Outcome, ...]
    untried: int
    report: dict[str, JsonValue]

    @property
    def accepted(self) -> list[Outcome]:
        """Those with a trace."""
        return [outcome for outcome in self.outcomes if outcome.trace is not None]


async def synthesize(
    config: SynthesizeConfig, pairs: Sequence[Pair], rules: RuleSet | None, reporter: Reporter, clock: Clock
) -> Synthesis:
    """Ask, check and count. Raises JobError where the teacher stays away, refuses us, or nothing passes."""
    spec = config.spec
    log, budget, pace = RequestLog(config.requests), Budget(spec.token_budget), Pace(spec.requests_per_minute, clock)
    async with httpx.AsyncClient(timeout=spec.timeout_seconds, trust_env=False) as http:

        def client(endpoint: Endpoint) -> TeacherClient:
            return TeacherClient(endpoint, http, log, budget, pace, clock, spec.max_tries)

        teacher, vision = client(spec.teacher), client(spec.vision) if spec.vision else None
        accounts = Accounts()
        progression = Progression(spec, teacher, vision, rules, accounts)
        crowd = _Crowd(spec.concurrency, reporter, len(pairs))
        try:
            outcomes = await crowd.all(pairs, progression.blind)
            told = await crowd.all(_to_tell(outcomes, spec.gold_conditioned_percent), progression.told)
        finally:
            await asyncio.gather(*(client.close() for client in (teacher, vision) if client is not None))
    untried = len(pairs) - len(outcomes)
    replaced = {outcome.pair.id: outcome for outcome in told if outcome.trace is not None}
    merged = _agreeing([replaced.get(outcome.pair.id, outcome) for outcome in outcomes])
    usage = [client.usage for client in (teacher, vision) if client is not None]
    return Synthesis(tuple(merged), untried, _report(merged, untried, accounts, usage, budget))


def _to_tell(outcomes: Sequence[Outcome], percent: int) -> list[Pair]:
    """Pairs whose samples all failed, as many as may be accepted without passing the bound on gold-conditioned data."""
    accepted = sum(outcome.trace is not None for outcome in outcomes)
    failed = [o.pair for o in outcomes if o.trace is None and not o.unavailable and o.reason is not Reason.BUDGET_SPENT]
    return failed[: accepted * percent // (100 - percent)]


def _agreeing(outcomes: Sequence[Outcome]) -> list[Outcome]:
    traces = {o.pair.id: (o.pair, o.trace) for o in outcomes if o.trace is not None}
    against = outvoted(traces)
    return [
        Outcome(o.pair, o.mode, o.requests, reason=Reason.OUTVOTED) if o.pair.id in against else o for o in outcomes
    ]


class _Crowd:
    """Works on many pairs at once and stops where too many in a row got no answer."""

    def __init__(self, size: int, reporter: Reporter, total: int) -> None:
        self._size, self._reporter, self._total = size, reporter, total
        self._done, self._silent = 0, 0

    async def all(self, pairs: Iterable[Pair], work: Callable[[Pair], Awaitable[Outcome]]) -> list[Outcome]:
        """Outcomes in the pairs' order; from a spent budget on, pairs are left untried and have none."""
        found: dict[int, Outcome] = {}
        queue = iter(enumerate(pairs))

        async def worker() -> None:
            for place, pair in queue:
                outcome = await work(pair)
                if outcome.reason is Reason.BUDGET_SPENT:
                    return
                found[place] = outcome
                self._note(outcome)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._size):
                    group.create_task(worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the first failure cancelled the others
        return [found[place] for place in sorted(found)]

    def _note(self, outcome: Outcome) -> None:
        self._done += 1
        self._silent = self._silent + 1 if outcome.unavailable else 0
        self._reporter.progress(Progress(step=min(self._done, self._total), total_steps=self._total, unit="pairs"))
        if self._silent >= max(_LEAST_BREAK, 2 * self._size):
            raise JobError(
                "TeacherUnavailable",
                f"teacher: {self._silent} pairs in a row got no answer ({outcome.reason}) after {self._done} of {self._total}; "
                "what was answered is kept and not paid again: look at the endpoint and start the stage again",
                field="spec.teacher",
            )


def _report(
    outcomes: Sequence[Outcome], untried: int, accounts: Accounts, usage: Sequence[Usage], budget: Budget
) -> dict[str, JsonValue]:
    accepted = [outcome for outcome in outcomes if outcome.trace is not None]
    told = sum(outcome.mode is Mode.GOLD_CONDITIONED for outcome in accepted)
    tokens = sum(use.prompt_tokens + use.completion_tokens for use in usage)
    return {
        "pairs": len(outcomes) + untried,
        "accepted": len(accepted),
        "acceptRate": share(len(accepted), len(outcomes)),
        "untried": untried,
        "budgetSpent": budget.refused,
        "goldConditioned": told,
        "outvoted": sum(outcome.reason is Reason.OUTVOTED for outcome in outcomes),
        "requests": sum(use.asked for use in usage),
        "reusedRequests": sum(use.reused for use in usage),
        "tokens": tokens,
        "tokensPerAccepted": f"{tokens / max(1, len(accepted)):.1f}",
        "estimatedUsage": sum(use.estimated for use in usage),
        **accounts.summary(),
        "labels": rates((o.pair.groundtruth.value, o.trace is not None) for o in outcomes),
        "industries": rates((o.pair.industry, o.trace is not None) for o in outcomes),
        "cells": rates((o.pair.needs.cell, o.trace is not None) for o in outcomes),
    }


def publish_pairs(
    config: SynthesizeConfig, found: Synthesis, data: Path, inputs: dict[str, str], folder: Path
) -> ArtifactRef:
    """Fill `folder` and publish it: accepted pairs as train, the other splits as they were, provenance beside them."""
    if not found.accepted:
        raise JobError(
            "NothingAccepted",
            f"no trace of {len(found.outcomes)} pairs passed ({json.dumps(found.report['capabilities'])}); "
            "look at the teacher's answers in teacher-requests, or give another teacher",
            field="spec.teacher",
        )
    (folder / FOLDER).mkdir(parents=True)
    counts: dict[str, JsonValue] = {"train": write_pairs(folder / "train.jsonl", map(_traced, found.accepted))}
    for path in sorted(data.glob("*.jsonl")):
        if path.name != "train.jsonl":
            (folder / path.name).write_bytes(path.read_bytes())
    write_jsonl(folder / FOLDER / "provenance.jsonl", (_provenance(config, outcome) for outcome in found.accepted))
    write_jsonl(folder / FOLDER / "rejected.jsonl", (_rejection(o) for o in found.outcomes if o.trace is None))
    (folder / FOLDER / "report.json").write_text(json.dumps(found.report, indent=1), encoding="utf-8")
    (folder / FOLDER / "report.html").write_text(
        page(f"Synthesis {config.job}/{config.stage}", found.report), encoding="utf-8"
    )
    about: dict[str, JsonValue] = {
        "labelSchema": label_schema_digest(),
        "counts": counts,
        "teacher": config.spec.teacher.model,
    }
    return publish(folder, config.output, KIND, inputs, about)


def _traced(outcome: Outcome) -> Pair:
    update = {"trace": outcome.trace, "vqa_result": outcome.pair.vqa_result or outcome.picture}
    return outcome.pair.model_copy(update=update)


def _provenance(config: SynthesizeConfig, outcome: Outcome) -> dict[str, JsonValue]:
    about = {"id": outcome.pair.id, "mode": outcome.mode.value, "teacher": config.spec.teacher.model}
    return {**about, "requests": list(outcome.requests)}


def _rejection(outcome: Outcome) -> dict[str, JsonValue]:
    where = {"id": outcome.pair.id, "mode": outcome.mode.value, "capability": outcome.capability.value}
    return {**where, "reason": str(outcome.reason), "requests": list(outcome.requests)}
