"""`lore evaluate`, step by step: inputs, server, answers, gates, evidence."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef, Manifest, open_store
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.attesting import ATTESTATION, attest, check_signing_key
from lore_core.evaluation.evidence import (
    SCORES,
    EvidenceReport,
    check_comparable,
    publish_evidence,
    write_answers,
    write_report,
)
from lore_core.evaluation.gates import apply, combine, number
from lore_core.evaluation.inputs import Inputs, check_config, fetch, resolve, reusable
from lore_core.evaluation.judging import Answers, compare
from lore_core.evaluation.parts import Parts, check_whole, merged, part_count, part_size
from lore_core.evaluation.scores import score_rows
from lore_core.evaluation.shard import Endpoint, score
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.summary import Timing, summary, timing
from lore_core.jobs import EvaluateConfig, Result
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import Reporter


def evaluate(config: EvaluateConfig, reporter: Reporter, endpoint: Endpoint | None = None) -> Result:
    """Run one evaluation and report it; an equal one that is already there is reported and nothing is scored.

    Parts that were scored before are not scored again. Without `endpoint` a server is started here. Raises ArtifactError,
    JobError, ServerError or ScoringError.
    """
    return _evaluate(config, reporter, endpoint, range(1))


def reduce(config: EvaluateConfig, reporter: Reporter) -> Result:
    """Judge what the shards have scored. Raises JobError where a part is missing: a part of a benchmark is no verdict."""
    return _evaluate(config, reporter, None, range(0))


def _evaluate(config: EvaluateConfig, reporter: Reporter, endpoint: Endpoint | None, scored_here: range) -> Result:
    check_config(config)
    check_signing_key(config.signing)
    if (found := reusable(config)) is not None:
        return _reported(config, reporter, found.report, found.digest)
    manifests = resolve(config)
    reporter.started({field: manifest.digest for field, manifest in manifests.items()})
    with tempfile.TemporaryDirectory(prefix="lore-evaluate-") as scratch:
        root = Path(scratch)
        inputs = fetch(config, manifests, root)
        _check_champion(config, inputs)
        for shard in scored_here:
            score(config.model_copy(update={"shards": len(scored_here)}), manifests, inputs, shard, reporter, endpoint)
        _check_unchanged(config, manifests)
        rows, decoding = _put_together(config, manifests, inputs, root)
        scores = compare(rows, inputs.champion, config.resamples, config.seed)
        report = judge(config, inputs, scores, Totals.of(rows()), decoding)
        write_report(root / "evidence", report)
        published = publish_evidence(root / "evidence", config.output, report)
    return _reported(config, reporter, report, str(published.digest), timing(scores))


def _put_together(
    config: EvaluateConfig, manifests: dict[str, Manifest], inputs: Inputs, root: Path
) -> tuple[Answers, dict[str, JsonValue]]:
    """Fetch all parts and write the evidence's answers.

    Returns what reads them, with the time that evidence leaves out, and the decoding parameters they were made under.
    """
    count = part_count(inputs.survey.pairs)
    decoding = Parts(config, manifests).fetch(count, root / "parts")
    check_whole(inputs.benchmark.pairs(), part_size(inputs.survey.pairs), root / "parts")
    (root / "evidence").mkdir()
    write_answers(root / "evidence" / SCORES, merged(root / "parts", count))
    return lambda: merged(root / "parts", count), decoding


def _reported(
    config: EvaluateConfig, reporter: Reporter, report: EvidenceReport, digest: str, measured: Timing | None = None
) -> Result:
    result = Result(uri=config.output.uri, digest=digest, reused=measured is None)
    signed = attest(config.signing, report, digest, datetime.now(UTC)) if config.signing else None
    if signed is not None:
        open_store(config.output).write_bytes(ATTESTATION, signed.encode())
    reporter.succeeded(result, summary(report, ArtifactRef(uri=result.uri, digest=digest), measured, signed))
    return result


def _check_unchanged(config: EvaluateConfig, before: dict[str, Manifest]) -> None:
    """Refuse a verdict whose inputs were re-pointed while it was computed: nobody could say what it is about."""
    for field, manifest in resolve(config).items():
        if manifest.digest != before[field].digest:
            raise JobError(
                "InputsChanged",
                f"{field}: was {before[field].digest} when the evaluation began and is {manifest.digest} now; evaluate again",
                field=field,
            )


def _check_champion(config: EvaluateConfig, inputs: Inputs) -> None:
    if config.champion is not None and inputs.champion is not None:
        benchmark = config.benchmark
        check_comparable(
            inputs.champion.report, inputs.bound, benchmark.rule_mode, benchmark.subsets, config.champion.evidence.uri
        )


@dataclass(frozen=True)
class Totals:
    """What a report counts of answers beside its metrics."""

    unparsable: int = 0
    truncated: int = 0
    mean_outside: float = 0.0

    @classmethod
    def of(cls, rows: Iterable[AnswerRow]) -> "Totals":
        """Counted over answers as they come, in the order of their ids, so that the sum is the same whatever the shards."""
        unparsable = truncated = count = 0
        outside = 0.0
        for row in rows:
            count += 1
            unparsable += row.answer is None
            truncated += row.truncated
            outside += row.outside
        return cls(unparsable, truncated, outside / max(count, 1))


def judge(
    config: EvaluateConfig,
    inputs: Inputs,
    scores: Slice,
    totals: Totals,
    decoding: dict[str, JsonValue],
) -> EvidenceReport:
    """Scores, gates and verdict; pure. Raises JobError where not every pair of the benchmark has an answer."""
    if len(scores.candidate) != inputs.survey.pairs:
        raise JobError(
            "AnswersMissing",
            f"{len(scores.candidate)} of {inputs.survey.pairs} pairs have an answer; a part of a benchmark is no verdict",
        )
    name = config.champion.name if config.champion else None
    gates = apply(config.gates, scores, champion_name=name, rule_mode=config.benchmark.rule_mode)
    verdict, why = combine(gates)
    return EvidenceReport(
        evaluation=config.evaluation,
        model_name=config.model_name,
        champion_name=name,
        bound=inputs.bound,
        profile=config.profile,
        decoding=decoding,
        rule_mode=config.benchmark.rule_mode,
        subsets=config.benchmark.subsets,
        rair_total=inputs.rair_total,
        verdict=verdict,
        why=why,
        gates=tuple(gates),
        scores=tuple(score_rows(scores)),
        pairs=len(scores.candidate),
        queries=scores.candidate.queries,
        unparsable=totals.unparsable,
        truncated=totals.truncated,
        mean_outside=str(number(totals.mean_outside)),
        resamples=config.resamples,
        seed=config.seed,
    )
