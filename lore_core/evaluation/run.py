"""`lore evaluate`, step by step: inputs, server, answers, gates, evidence."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef
from lore_core.evaluation.answering import answer, render
from lore_core.evaluation.evidence import (
    AnswerRow,
    Evidence,
    EvidenceError,
    EvidenceReport,
    check_comparable,
    publish_evidence,
    write,
)
from lore_core.evaluation.gates import apply, combine, number
from lore_core.evaluation.inputs import Inputs, check_config, fetch, resolve, reusable
from lore_core.evaluation.metrics import LABELS, UNPARSABLE
from lore_core.evaluation.scores import score_rows
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.summary import summary
from lore_core.evaluation.table import PairTable
from lore_core.jobs import EvaluateConfig, Progress, Result
from lore_core.jobs.reporter import Reporter
from lore_core.prompts import RenderedPrompt
from lore_core.records import Pair
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
    if (found := reusable(config)) is not None:
        return _reported(config, reporter, found.report, found.digest, reused=True)
    manifests = resolve(config)
    reporter.started({field: manifest.digest for field, manifest in manifests.items()})
    with tempfile.TemporaryDirectory(prefix="lore-evaluate-") as scratch:
        root = Path(scratch)
        inputs = fetch(config, manifests, root)
        _check_champion(config, inputs)
        prompts = render(inputs.pairs, inputs.kit, inputs.rules)
        answers = _answers(config, inputs, prompts, endpoint, reporter.progress)
        report = judge(config, inputs, answers, decoding(config, inputs, endpoint))
        (root / "evidence").mkdir()
        write(root / "evidence", report, answers)
        published = publish_evidence(root / "evidence", config.output, report)
    return _reported(config, reporter, report, str(published.digest), reused=False)


def _reported(
    config: EvaluateConfig, reporter: Reporter, report: EvidenceReport, digest: str, *, reused: bool
) -> Result:
    result = Result(uri=config.output.uri, digest=digest, reused=reused)
    reporter.succeeded(result, summary(report, ArtifactRef(uri=result.uri, digest=digest)))
    return result


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
        return asyncio.run(_answered(inputs, prompts, served, progress))


async def _answered(
    inputs: Inputs,
    prompts: Sequence[RenderedPrompt | None],
    served: Endpoint,
    progress: Callable[[Progress], None],
) -> list[AnswerRow]:
    async with VllmClient(inputs.kit, served.url, served.model, timeout=600.0) as client:
        return await answer(inputs.pairs, prompts, client, progress)


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
        "temperature": 0,
        "labelTokenIds": list(contract.verbaliser.token_ids),
        "maxPromptTokens": contract.truncation.max_prompt_tokens,
        "server": "endpoint, flags unknown" if endpoint else "local",
    }
    if contract.trace is not None:
        found |= {"maxTraceTokens": contract.trace.max_tokens, "stop": contract.trace.stop_token}
    if endpoint is None:
        found["engineArgs"] = list[JsonValue](engine_args(config.profile, contract.layout, cpu=not gpu_present()))
    return found


def judge(
    config: EvaluateConfig, inputs: Inputs, answers: Sequence[AnswerRow], decoding: dict[str, JsonValue]
) -> EvidenceReport:
    """Scores, gates and verdict from the answers; reads nothing but the champion's answers."""
    candidate = pair_table(inputs.pairs, answers)
    champion = champion_table(inputs.pairs, inputs.champion) if inputs.champion else None
    scores = Slice(candidate, champion, config.resamples, config.seed)
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
        pairs=len(candidate),
        queries=candidate.queries,
        unparsable=sum(row.answer is None for row in answers),
        truncated=sum(row.truncated for row in answers),
        mean_outside=str(number(sum(row.outside for row in answers) / len(answers))),
        resamples=config.resamples,
        seed=config.seed,
    )


def pair_table(pairs: Sequence[Pair], answers: Sequence[AnswerRow]) -> PairTable:
    """The table of some pairs and their answers, which stand in the same order."""
    columns = [_fields(pair) for pair in pairs]
    return PairTable.build(
        [pair.id for pair in pairs],
        [pair.query for pair in pairs],
        [pair.groundtruth.grade - 1 for pair in pairs],
        [UNPARSABLE if row.answer is None else LABELS.index(row.answer) for row in answers],
        {name: [column[name] for column in columns] for name in (columns[0] if columns else {})},
        [pair.flip_group or "" for pair in pairs],
    )


def _fields(pair: Pair) -> dict[str, str]:
    needs = {f"needs.{name}": str(needed).lower() for name, needed in pair.needs}
    return {
        "subset": pair.subset,
        "market": pair.market,
        "industry": pair.industry,
        "cell": pair.needs.cell,
        **needs,
    }


def champion_table(pairs: Sequence[Pair], champion: Evidence) -> PairTable:
    """The champion's answers to these pairs, matched by id. Raises EvidenceError where one is missing or its gold differs."""
    answers = {row.id: row for row in champion.answers()}
    for pair in pairs:
        row = answers.get(pair.id)
        if row is None or row.gold != pair.groundtruth.value:
            raise EvidenceError(
                f"champion evidence {champion.digest}: pair {pair.id!r} is missing or has another gold label, though the "
                "benchmark digest is the same; evaluate the champion again"
            )
    return pair_table(pairs, [answers[pair.id] for pair in pairs])
