"""A stand-in teacher: the world's rule engine answering chat requests, with seeded faults. It is no language model.

It reads the user message's JSON only. Gold never reaches it except as `givenAnswer`, which it ignores; what it knows are the
fact lines and the rule set. Which fault a request gets depends on seed and request alone, so the ledger can be compared with
what the checker let through.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.benchmark.oracle import Oracle
from lore_core.benchmark.vocabulary import ALIASES, BESIDE, BY_NAME, COMPANION, KIND, SHOWS
from lore_core.records import Pair, TraceStep, trace_label
from lore_core.rules import RuleSet

_PATH_FIELDS: Final = ("term", "dimension", "demand")


class Fault(StrEnum):
    """What is done to an answer. The first four are wrong steps: the label is restated from them, so it looks sound."""

    INVENTED_EVIDENCE = "invented evidence"
    COMPANION_EVIDENCE = "the companion's value"
    FLIPPED_VERDICT = "flipped verdict"
    WRONG_RULE = "wrong rule"
    WRONG_LABEL = "wrong label"
    LEAK = "speaks of the answer"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Shares of answers that get a fault; a wrong step is one of four kinds, equally often."""

    step: float = 0.10
    label: float = 0.05
    leak: float = 0.02
    garbage: float = 0.02


NO_FAULTS: Final = FaultRates(0, 0, 0, 0)
_STEPS: Final = (Fault.INVENTED_EVIDENCE, Fault.COMPANION_EVIDENCE, Fault.FLIPPED_VERDICT, Fault.WRONG_RULE)


class RuleTeacher:
    """Answers requests. `ledger` holds the fault that was really made, by the request's content address."""

    def __init__(self, oracle: Oracle, rules: RuleSet, rates: FaultRates = NO_FAULTS, seed: int = 17) -> None:
        self._oracle, self._rules, self._rates, self._seed = oracle, rules, rates, seed
        self.ledger: dict[str, Fault] = {}

    def answer(self, body: Mapping[str, Any]) -> str:
        """The content of the assistant's message. Raises ValueError or KeyError for a request that is none of ours."""
        text = body["messages"][-1]["content"]
        question = json.loads(text)
        key = ledger_key(body)
        stream = random.Random(f"{self._seed}/{key}")
        fault = self._drawn(stream, question["task"])
        if fault is Fault.GARBAGE:
            self.ledger[key] = fault
            return stream.choice(("I think the item fits quite well.", '{"steps": [', '{"answer": 4}', "", "null"))
        if question["task"] == "knowledge":
            path = self._oracle.path(question["query"])
            return json.dumps({"path": [dict(zip(_PATH_FIELDS, demand, strict=True)) for demand in path]})
        return json.dumps(self._judged(question, fault, key, stream))

    def _drawn(self, stream: random.Random, task: str) -> Fault | None:
        place = stream.random() - self._rates.garbage
        if place < 0:
            return Fault.GARBAGE
        if task == "knowledge":
            return None
        for fault, rate in (
            (stream.choice(_STEPS), self._rates.step),
            (Fault.WRONG_LABEL, self._rates.label),
            (Fault.LEAK, self._rates.leak),
        ):
            place -= rate
            if place < 0:
                return fault
        return None

    def _judged(
        self, question: Mapping[str, Any], fault: Fault | None, key: str, stream: random.Random
    ) -> dict[str, Any]:
        pair = _pair(question)
        path = [(d["term"], d["dimension"], d["demand"]) for d in question["path"]] or self._oracle.path(pair.query)
        right = self._oracle.steps(pair, path)
        steps = self._spoilt(right, pair, fault, stream) if fault else right
        label = trace_label(steps).value
        if fault is Fault.WRONG_LABEL:
            label = stream.choice([other for other in ("L1", "L2", "L3", "L4") if other != label])
        if fault is not None and (steps != right or fault is Fault.WRONG_LABEL):
            self.ledger[key] = fault
        return {"steps": [step.model_dump() for step in steps], "label": label}

    def _spoilt(
        self, steps: tuple[TraceStep, ...], pair: Pair, fault: Fault, stream: random.Random
    ) -> tuple[TraceStep, ...]:
        place = stream.randrange(len(steps))
        step = steps[place]
        match fault:
            case Fault.INVENTED_EVIDENCE:
                step = step.model_copy(update={"evidence": ALIASES[step.evidence]})
            case Fault.COMPANION_EVIDENCE:
                step = self._of_companion(pair, step)
            case Fault.FLIPPED_VERDICT:
                others = ("match", "other") if step.dimension == KIND else ("match", "near", "conflict")
                step = step.model_copy(update={"verdict": stream.choice([v for v in others if v != step.verdict])})
            case Fault.WRONG_RULE:
                step = step.model_copy(
                    update={"rule": stream.choice([r.id for r in self._rules.rules if r.id != step.rule])}
                )
            case Fault.LEAK:
                step = step.model_copy(
                    update={"demand": f"{step.demand}, as the given answer {trace_label(steps)} says"}
                )
        return (*steps[:place], step, *steps[place + 1 :])

    def _of_companion(self, pair: Pair, step: TraceStep) -> TraceStep:
        """The step judged by the other thing's value; unchanged where the record names none."""
        beside = _companion(pair, step.dimension)
        if not beside or beside == step.evidence or step.dimension == KIND:
            return step
        rule = next((rule for rule in self._rules.rules if rule.id == step.rule), None)
        return self._oracle.step(step.dimension, step.demand, beside, rule)


def ledger_key(body: Mapping[str, Any]) -> str:
    """Content address of a request, the same that the client's log uses."""
    return sha256_digest(canonical_json(body)).removeprefix("sha256:")


def _pair(question: Mapping[str, Any]) -> Pair:
    item = question["item"]
    return Pair.model_validate(
        {
            "id": "asked", "item_id": "asked", "subset": "asked", "groundtruth": "L1", "query": question["query"],
            "market": question["market"], "title": item["title"], "shop_name": item["shop"],
            "cpv_sku": item["attributes"], "vqa_result": item["picture"],
        }
    )  # fmt: skip


def _companion(pair: Pair, dimension: str) -> str:
    if dimension in pair.cpv_sku:
        return pair.cpv_sku[dimension].partition(COMPANION)[2].strip()
    beside = pair.vqa_result.removeprefix(SHOWS).partition(BESIDE)[2].split()
    return next((word for word in beside if dimension in BY_NAME and word in BY_NAME[dimension].values), "")
