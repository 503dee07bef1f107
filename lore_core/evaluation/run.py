"""`lore evaluate`, step by step: inputs, server, answers, gates, evidence."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef, Manifest, open_store
from lore_core.evaluation.answering import Answerer, Scorer, answer, render
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.attesting import ATTESTATION, attest, check_signing_key
from lore_core.evaluation.evidence import (
    EvidenceReport,
    check_comparable,
    publish_evidence,
    write,
)
from lore_core.evaluation.gates import apply, combine, number
from lore_core.evaluation.generated import Generator
from lore_core.evaluation.inputs import Inputs, check_config, fetch, resolve, reusable
from lore_core.evaluation.judging import compare
from lore_core.evaluation.leaks import FIELD
from lore_core.evaluation.scores import score_rows
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.summary import Timing, summary, timing
from lore_core.jobs import EvaluateConfig, Progress, Result
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import Reporter
from lore_core.prompts import RenderedPrompt
from lore_core.scoring.client import VllmClient
from lore_core.scoring.engine import engine_args, gpu_present
from lore_core.scoring.server import LocalServer


@dataclass(frozen=True)
class Endpoint:
    """A vLLM server that already runs: base url without path, and the name it serves the model under."""

    url: str
    model: str


def evaluate(config: EvaluateConfig, reporter: Reporter, endpoint: Endpoint | None = None) -> Result:
    """Run one evaluation and report it; an equal one that is already there is reported and nothing is scored.

    Without `endpoint` a server is started here. Raises ArtifactError, JobError, ServerError or ScoringError.
    """
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
        prompts = render(inputs.pairs, inputs.kit, inputs.rules)
        answers = _marked(_answers(config, inputs, prompts, endpoint, reporter.progress), inputs.leaks)
        _check_unchanged(config, manifests)
        scores = compare(answers, inputs.champion, config.resamples, config.seed)
        report = judge(config, inputs, scores, answers, decoding(config, inputs, endpoint))
        (root / "evidence").mkdir()
        write(root / "evidence", report, answers)
        published = publish_evidence(root / "evidence", config.output, report)
    return _reported(config, reporter, report, str(published.digest), timing(scores))


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


def _answers(
    config: EvaluateConfig,
    inputs: Inputs,
    prompts: Sequence[RenderedPrompt | None],
    endpoint: Endpoint | None,
    progress: Callable[[Progress], None],
) -> list[AnswerRow]:
    progress(Progress(step=0, total_steps=len(inputs.pairs), unit="pairs"))
    with _server(config, inputs, endpoint) as served:
        return asyncio.run(_answered(config, inputs, prompts, served, progress))


async def _answered(
    config: EvaluateConfig,
    inputs: Inputs,
    prompts: Sequence[RenderedPrompt | None],
    served: Endpoint,
    progress: Callable[[Progress], None],
) -> list[AnswerRow]:
    async with VllmClient(inputs.kit, served.url, served.model, timeout=600.0) as client:
        answerer: Answerer = Scorer(client)
        if config.generation is not None:
            answerer = Generator(inputs.kit, inputs.rules, client, config.generation)
        return await answer(inputs.pairs, prompts, answerer, progress)


@contextlib.contextmanager
def _server(config: EvaluateConfig, inputs: Inputs, endpoint: Endpoint | None) -> Iterator[Endpoint]:
    if endpoint is not None:
        yield endpoint
        return
    with LocalServer(inputs.model, config.profile) as served:
        yield Endpoint(served.base_url, served.model)


def decoding(config: EvaluateConfig, inputs: Inputs, endpoint: Endpoint | None) -> dict[str, JsonValue]:
    """The effective decoding parameters. The flags of an endpoint are not ours to know, and the report says so."""
    contract = inputs.kit.contract
    found: dict[str, JsonValue] = {
        "layout": contract.layout.value,
        "protocol": "GeneratedAnswer" if config.generation else "LabelScore",
        "temperature": 0,
        "labelTokenIds": list(contract.verbaliser.token_ids),
        "maxPromptTokens": contract.truncation.max_prompt_tokens,
        "server": "endpoint, flags unknown" if endpoint else "local",
    }
    if config.generation is not None:
        found["generation"] = config.generation.model_dump(mode="json", by_alias=True)
    if contract.trace is not None:
        found |= {"maxTraceTokens": contract.trace.max_tokens, "stop": contract.trace.stop_token}
    if endpoint is None:
        found["engineArgs"] = list[JsonValue](engine_args(config.profile, contract.layout, cpu=not gpu_present()))
    return found


def _marked(answers: Sequence[AnswerRow], leaks: Sequence[str] | None) -> list[AnswerRow]:
    if leaks is None:
        return list(answers)
    fields = [{**row.fields, FIELD: leak} for row, leak in zip(answers, leaks, strict=True)]
    return [row.model_copy(update={"fields": found}) for row, found in zip(answers, fields, strict=True)]


def judge(
    config: EvaluateConfig,
    inputs: Inputs,
    scores: Slice,
    answers: Sequence[AnswerRow],
    decoding: dict[str, JsonValue],
) -> EvidenceReport:
    """Scores, gates and verdict; pure. Raises JobError where not every pair of the benchmark has an answer."""
    if len(scores.candidate) != len(inputs.pairs):
        raise JobError(
            "AnswersMissing",
            f"{len(scores.candidate)} of {len(inputs.pairs)} pairs have an answer; a part of a benchmark is no verdict",
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
        verdict=verdict,
        why=why,
        gates=tuple(gates),
        scores=tuple(score_rows(scores)),
        pairs=len(scores.candidate),
        queries=scores.candidate.queries,
        unparsable=sum(row.answer is None for row in answers),
        truncated=sum(row.truncated for row in answers),
        mean_outside=str(number(sum(row.outside for row in answers) / len(answers))),
        resamples=config.resamples,
        seed=config.seed,
    )
