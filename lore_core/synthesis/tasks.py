"""What a teacher is asked, one task a capability: pure functions from a pair to a chat request.

The system message says what to do, the user message is one JSON object. Gold is in it only under `givenAnswer`
(gold-conditioned mode); a record's own rule_list never is, since it may name the label.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.records import LABEL_DEFINITIONS, Pair
from lore_core.rules import Rule

KIND: Final = "kind"
"""The dimension of the category that a query asks for; its verdict `other` ends a trace."""

_JSON_ONLY: Final = "Answer with one JSON object and nothing else."
_KNOWLEDGE: Final = (
    "Task knowledge. Say what the shopping query demands. For each demand give the words of the query (`term`, verbatim), the "
    f"attribute it is about (`dimension`; `{KIND}` for the category) and what it means in catalogue words (`demand`). "
    'Format: {"path": [{"term": "…", "dimension": "…", "demand": "…"}]}. ' + _JSON_ONLY
)
_VISUAL: Final = (
    "Task visual. Word what the product picture shows: the things, their colours, patterns, numbers; the main thing first. "
    'Format: {"picture": "…"}. ' + _JSON_ONLY
)
_FOLLOW: Final = (
    "Task rules. Judge the item demand by demand along `path`, the category first. A step has the dimension and the demand, the "
    "item's `evidence` (verbatim from title, attributes or picture text), the id of the rule that decided (`rule`, empty for "
    "none) and the verdict: match, near, conflict; `other` for another category, which ends the judgement. Then the label: "
    + " ".join(f"{label}: {text}." for label, text in LABEL_DEFINITIONS.items())
    + ' Format: {"steps": [{"dimension": "…", "demand": "…", "evidence": "…", "rule": "", "verdict": "…"}], "label": "L?"}. '
    "Never speak of a given answer or of labels inside the steps. " + _JSON_ONLY
)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are drawn; part of what a request is."""

    model: str
    temperature: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Demand:
    """One entry of a path: the query's words, the dimension they are about, what they mean."""

    term: str
    dimension: str
    demand: str


@dataclass(frozen=True)
class Request:
    """One chat completion. Its key is the digest of the body, so equal questions are asked and paid once."""

    body: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Content address."""
        return sha256_digest(canonical_json(self.body)).removeprefix("sha256:")

    @property
    def most_tokens(self) -> int:
        """No fewer than the request can cost: a token has at least two bytes of its JSON here, pictures apart."""
        words = sum(len(_words(message["content"]).encode()) for message in self.body["messages"])
        return words // 2 + self.most_answer_tokens

    @property
    def most_answer_tokens(self) -> int:
        """The bound that the request sets on its answer."""
        return int(self.body.get("max_tokens") or self.body["max_completion_tokens"])


def ask_path(pair: Pair, decoding: Decoding, sample: int) -> Request:
    """Knowledge: from the query to demands on item attributes. Depends on query and market alone."""
    return _request(decoding, sample, _KNOWLEDGE, {"task": "knowledge", "query": pair.query, "market": pair.market})


def ask_picture(pair: Pair, decoding: Decoding) -> Request:
    """Visual: the main picture in words, asked of a vision endpoint."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pair.image_base64}"}}
    text = {"type": "text", "text": _text({"task": "visual"})}
    return Request(_body(decoding, 0, [{"role": "system", "content": _VISUAL}, _user([text, picture])]))


def ask_steps(
    pair: Pair, path: Sequence[Demand], picture: str, rules: Sequence[Rule], decoding: Decoding, sample: int, told: bool
) -> Request:
    """Rules: the path followed over title, attributes, picture text and rules; `told` adds the gold label."""
    question: dict[str, Any] = {
        "task": "rules",
        "query": pair.query,
        "market": pair.market,
        "path": [{"term": d.term, "dimension": d.dimension, "demand": d.demand} for d in path],
        "item": {"title": pair.title, "shop": pair.shop_name, "attributes": pair.cpv_sku, "picture": picture},
        "rules": [
            {"id": r.id, "summary": r.summary, "principle": r.principle, "details": list(r.details)} for r in rules
        ],
    }
    if told:
        question["givenAnswer"] = pair.groundtruth.value
    return _request(decoding, sample, _FOLLOW, question)


def _request(decoding: Decoding, sample: int, instructions: str, question: Mapping[str, Any]) -> Request:
    messages = [{"role": "system", "content": instructions}, _user(_text(question))]
    return Request(_body(decoding, sample, messages))


def _body(decoding: Decoding, sample: int, messages: list[dict[str, Any]]) -> dict[str, Any]:
    knobs = {"temperature": decoding.temperature, "max_tokens": decoding.max_tokens, "seed": sample}
    return {"model": decoding.model, "messages": messages, **knobs}


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _text(question: Mapping[str, Any]) -> str:
    return json.dumps(question, ensure_ascii=False, sort_keys=True)


def _words(content: Any) -> str:
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)
