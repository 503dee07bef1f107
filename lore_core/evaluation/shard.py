"""Scoring one shard of a benchmark: its parts one by one, those that are there already left alone."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from lore_core.artifacts import Manifest
from lore_core.evaluation.answering import Answerer, Scorer, answer, render
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.generated import Generator
from lore_core.evaluation.hosted import ask_all, asked_how
from lore_core.evaluation.inputs import Inputs, LocalModel, check_config, fetch, resolve
from lore_core.evaluation.leaks import FIELD, leak_fields
from lore_core.evaluation.parts import Parts, in_parts, part_count, part_size
from lore_core.jobs import EvaluateConfig
from lore_core.jobs.reporter import Counted, Reporter
from lore_core.prompts import ModelKit, RuleSource
from lore_core.records import Pair
from lore_core.scoring.client import VllmClient
from lore_core.scoring.engine import engine_args, gpu_present
from lore_core.scoring.server import LocalServer


@dataclass(frozen=True)
class Endpoint:
    """A vLLM server that already runs: base url without path, the name it serves the model under, requests at once."""

    url: str
    model: str
    concurrency: int = 32


_Answers = Callable[[list[Pair]], list[AnswerRow]]


def score(
    config: EvaluateConfig,
    manifests: dict[str, Manifest],
    inputs: Inputs,
    shard: int,
    reporter: Reporter,
    endpoint: Endpoint | None,
) -> int:
    """Score the parts `shard`, `shard + shards`, … that are missing; returns how many pairs were scored."""
    parts, size = Parts(config, manifests), part_size(inputs.survey.pairs)
    mine = range(shard, part_count(inputs.survey.pairs), config.shards)
    missing = [number for number in mine if not parts.there(number)]
    progress = Counted(reporter, _pairs_of(inputs, mine), _pairs_of(inputs, mine) - _pairs_of(inputs, missing))
    if not missing:
        return 0
    with _answering(config, inputs, endpoint, progress) as (answers, how):
        for number, pairs in in_parts(inputs.benchmark.pairs(), size):
            if number in missing:
                parts.put(number, _with_leaks(answers(pairs), pairs, inputs.training), how)
    return _pairs_of(inputs, missing)


def _pairs_of(inputs: Inputs, parts: range | list[int]) -> int:
    size, pairs = part_size(inputs.survey.pairs), inputs.survey.pairs
    return sum(min(size, pairs - number * size) for number in parts)


@contextlib.contextmanager
def _answering(
    config: EvaluateConfig, inputs: Inputs, endpoint: Endpoint | None, progress: Counted
) -> Iterator[tuple[_Answers, dict[str, JsonValue]]]:
    """What answers pairs, and under which decoding parameters."""
    if inputs.model is None:
        yield lambda pairs: asyncio.run(ask_all(config, inputs.rules, pairs, progress)), asked_how(config)
        return
    model, at = inputs.model, config.served_at
    running = endpoint or (Endpoint(at.url, at.model, at.concurrency) if at else None)
    with _server(config, model, running) as served:
        how = decoding(config, model, running)
        yield lambda pairs: asyncio.run(_answered(config, model.kit, inputs.rules, pairs, served, progress)), how


async def _answered(
    config: EvaluateConfig, kit: ModelKit, rules: RuleSource, pairs: list[Pair], served: Endpoint, progress: Counted
) -> list[AnswerRow]:
    async with VllmClient(kit, served.url, served.model, timeout=600.0, concurrency=served.concurrency) as client:
        answerer: Answerer = Scorer(client)
        if config.generation is not None:
            answerer = Generator(kit, rules, client, config.generation)
        return await answer(pairs, render(pairs, kit, rules), answerer, progress)


def _with_leaks(rows: list[AnswerRow], pairs: list[Pair], training: tuple[str, ...] | None) -> list[AnswerRow]:
    if training is None:
        return rows
    leaks = leak_fields(pairs, training)
    fields = [{**row.fields, FIELD: leak} for row, leak in zip(rows, leaks, strict=True)]
    return [row.model_copy(update={"fields": found}) for row, found in zip(rows, fields, strict=True)]


@contextlib.contextmanager
def _server(config: EvaluateConfig, model: LocalModel, running: Endpoint | None) -> Iterator[Endpoint]:
    if running is not None:
        yield running
        return
    assert config.profile is not None  # the config holds: a model has one
    with LocalServer(model.folder, config.profile) as served:
        yield Endpoint(served.base_url, served.model)


def decoding(config: EvaluateConfig, model: LocalModel, running: Endpoint | None) -> dict[str, JsonValue]:
    """The effective decoding parameters. The flags of a running server are not ours to know, and the report says so."""
    contract = model.kit.contract
    found: dict[str, JsonValue] = {
        "layout": contract.layout.value,
        "protocol": "GeneratedAnswer" if config.generation else "LabelScore",
        "temperature": 0,
        "labelTokenIds": list(contract.verbaliser.token_ids),
        "maxPromptTokens": contract.truncation.max_prompt_tokens,
        "server": "endpoint, flags unknown" if running else "local",
    }
    if config.generation is not None:
        found["generation"] = config.generation.model_dump(mode="json", by_alias=True)
    if contract.trace is not None:
        found |= {"maxTraceTokens": contract.trace.max_tokens, "stop": contract.trace.stop_token}
    if running is None and config.profile is not None:
        found["engineArgs"] = list[JsonValue](engine_args(config.profile, contract.layout, cpu=not gpu_present()))
    return found


def score_shard(config: EvaluateConfig, shard: int, reporter: Reporter, endpoint: Endpoint | None = None) -> int:
    """`lore evaluate --shard`: one pod's share. It reports progress and how it failed; a verdict comes from the reduce step."""
    check_config(config)
    manifests = resolve(config)
    reporter.started({field: manifest.digest for field, manifest in manifests.items()})
    with tempfile.TemporaryDirectory(prefix="lore-shard-") as scratch:
        return score(config, manifests, fetch(config, manifests, Path(scratch)), shard, reporter, endpoint)
