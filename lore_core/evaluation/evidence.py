"""Evidence: what a verdict is, what it is bound to, and the answers it was computed from, as one artifact.

`report.json` holds the verdict, the gates, the scores and the digests of everything that could change them; `scores.jsonl` holds
one line a pair. The artifact's digest covers both, so a verdict cannot be carried over to other bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from lore_core.artifacts import ArtifactRef, Digest, publish, verify
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.gates import GateOutcome, Outcome
from lore_core.evaluation.scores import ScoreRow
from lore_core.jobs.config import Decimal, RuleMode, ServingProfile, WireModel
from lore_core.jobs.errors import JobError
from lore_core.records.jsonl import read_records, write_jsonl

KIND: Final = "evidence"
REPORT: Final = "report.json"
SCORES: Final = "scores.jsonl"


class EvidenceError(JobError):
    """Evidence that cannot be used here; the message names the digest that differs and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__("EvidenceRefused", message)


class Bound(WireModel):
    """Digests of what the verdict holds for; with any other it says nothing.

    `contract` is the file `lore-contract.json` with the verbaliser, `prompt` the part of it that can change a prompt.
    `profile` is the digest of the serving profile, `training_data` that of the pairs the leak check compared with,
    `generation` that of the generated-answer protocol's settings where answers were generated whole. An `endpoint` is who was
    asked: its model has no bytes that could be named, so it has no model digest and no profile.
    """

    model: Digest | None = None
    endpoint: Digest | None = None
    tokenizer: Digest | None = None
    contract: Digest | None = None
    prompt: Digest
    label_schema: Digest
    rules: Digest | None = None
    benchmark: Digest
    gate_set: Digest
    training_data: Digest | None = None
    champion: Digest | None = None
    profile: Digest | None = None
    generation: Digest | None = None

    @model_validator(mode="after")
    def _one_subject(self) -> "Bound":
        given = {self.model is None, self.tokenizer is None, self.contract is None, self.profile is None}
        if len(given) != 1 or (self.model is None) == (self.endpoint is None):
            raise ValueError("bound: to a model with tokenizer, contract and profile, or to an endpoint")
        return self


class EvidenceReport(WireModel):
    """The content of `report.json`."""

    format_version: Literal[1] = 1
    evaluation: str
    model_name: str
    champion_name: str | None = None
    bound: Bound
    profile: ServingProfile | None = None
    decoding: dict[str, JsonValue]
    rule_mode: RuleMode
    subsets: tuple[str, ...]
    rair_total: str | None = None
    verdict: Outcome
    why: str
    gates: tuple[GateOutcome, ...]
    scores: tuple[ScoreRow, ...]
    pairs: int = Field(ge=1)
    queries: int = Field(ge=1)
    unparsable: int = Field(ge=0)
    truncated: int = Field(ge=0)
    mean_outside: Decimal
    resamples: int
    seed: int


@dataclass(frozen=True)
class Evidence:
    """An evidence artifact on local disk, every byte verified."""

    folder: Path
    digest: str
    report: EvidenceReport

    def answers(self) -> Iterator[AnswerRow]:
        """The answers in pair id order, streamed."""
        return (row for _, row in read_records(self.folder / SCORES, AnswerRow))


def write_answers(path: Path, answers: Iterable[AnswerRow]) -> None:
    """Write answers one a line, in the order given."""
    write_jsonl(path, (row.model_dump(mode="json", by_alias=True, exclude_none=True) for row in answers))


def write_report(folder: Path, report: EvidenceReport) -> None:
    """Write the report beside the answers."""
    text = report.model_dump_json(by_alias=True, exclude_none=True, indent=1)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")


def publish_evidence(folder: Path, to: ArtifactRef, report: EvidenceReport) -> ArtifactRef:
    """Publish what `write` left in `folder`."""
    inputs = report.bound.model_dump(
        mode="json", include={"model", "endpoint", "rules", "benchmark", "champion"}, exclude_none=True
    )
    return publish(folder, to, KIND, inputs=inputs, metadata={"verdict": report.verdict.value})


def read(ref: ArtifactRef, into: Path) -> Evidence:
    """Fetch and verify an evidence artifact. Raises ArtifactError where bytes do not match, EvidenceError for another kind."""
    manifest = verify(ref, into)
    if manifest.kind != KIND:
        raise EvidenceError(f"{ref.uri}: is a {manifest.kind}, not evidence; name an evaluation's evidence")
    try:
        report = EvidenceReport.model_validate_json((into / REPORT).read_bytes())
    except (OSError, ValidationError) as error:
        raise EvidenceError(f"{ref.uri}/{REPORT}: not a report of this version: {error}") from error
    return Evidence(into, manifest.digest, report)


def check_bound(report: EvidenceReport, expected: dict[str, str | None], uri: str) -> None:
    """Refuse evidence that is bound to other digests than those expected; a None is not checked.

    Keys are the fields of `Bound`. Raises EvidenceError naming each field, both digests.
    """
    found = report.bound.model_dump(mode="json")
    wrong = [
        f"{name} is {found[name]}, expected {digest}"
        for name, digest in expected.items()
        if digest not in (None, found[name])
    ]
    if wrong:
        raise EvidenceError(f"{uri}: evidence is bound to something else: {'; '.join(wrong)}; evaluate again")


def check_comparable(
    champion: EvidenceReport, bound: Bound, rule_mode: RuleMode, subsets: Sequence[str], uri: str
) -> None:
    """Refuse a champion whose answers were given to other questions: benchmark, label schema, rule mode or subsets differ."""
    check_bound(champion, {"benchmark": bound.benchmark, "label_schema": bound.label_schema}, uri)
    if champion.rule_mode is not rule_mode:
        raise EvidenceError(
            f"{uri}: the champion saw rules by mode {champion.rule_mode}, this evaluation uses {rule_mode}; "
            "evaluate the champion under the same ruleMode"
        )
    if missing := sorted(set(subsets) - set(champion.subsets)):
        raise EvidenceError(f"{uri}: the champion was not scored on {', '.join(missing)}; evaluate it on these subsets")
