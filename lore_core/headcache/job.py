"""`lore head build`: score the candidates with a served model and publish one complete generation, or nothing."""

import asyncio
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts.manifest import Manifest, canonical_json
from lore_core.artifacts.ref import ArtifactRef
from lore_core.artifacts.store import open_store, publish, verify
from lore_core.headcache.candidates import Wanted, WantedPair, read_candidates, wanted_pairs
from lore_core.headcache.generation import (
    BIN_NAME,
    FORMAT_VERSION,
    JSON_NAME,
    HeadEntry,
    HeadGeneration,
    generation_bytes,
)
from lore_core.headcache.items import read_features
from lore_core.headcache.reuse import SCORER, Scorer, known_scores, newest_generation, remember
from lore_core.jobs.config import HeadBuildConfig
from lore_core.jobs.errors import JobError
from lore_core.jobs.report import Progress, Result
from lore_core.jobs.reporter import Reporter
from lore_core.prompts import ModelKit, PromptTooLong, RenderedPrompt, RuleSource
from lore_core.scoring.client import VllmClient
from lore_core.scoring.scores import LabelScores
from lore_core.scoring.server import LocalServer, ServedModel
from lore_core.strata.normaliser import NORMALISER_VERSION

BATCH: Final = 256

Score = Callable[[Sequence[RenderedPrompt]], LabelScores]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Candidate pairs wanted and scored; the share decides whether the generation is published."""

    wanted: int
    scored: int
    unknown_items: int

    @property
    def share(self) -> float:
        """Scored share; a generation without candidates covers nothing."""
        return self.scored / self.wanted if self.wanted else 0.0

    def summary(self) -> dict[str, Any]:
        """As it stands in `head.json` and in the report."""
        return {
            "wanted": self.wanted,
            "scored": self.scored,
            "unknownItems": self.unknown_items,
            "share": f"{self.share:.6f}",
        }


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Fetched, verified inputs: folders, and the digests that were found."""

    model: Path
    candidates: Path
    items: Path
    rules: Path | None
    digests: dict[str, str]


def run_head_build(config: HeadBuildConfig, reporter: Reporter) -> Result:
    """The whole job. Raises JobError, ArtifactError, RecordError, ServerError; each has a documented `reason`."""
    if (found := _already_there(config)) is not None:
        return _report(reporter, config.output, found, reused=True)
    with tempfile.TemporaryDirectory(prefix="lore-head-") as work:
        inputs = _fetch(config, Path(work))
        kit = ModelKit.load(inputs.model)
        wanted = wanted_pairs(read_candidates(inputs.candidates), dict(read_features(inputs.items)))
        rules = RuleSource.load(kit.contract.rule_mode, inputs.rules)
        scorer = _scorer_of(config, kit, inputs)
        earlier = newest_generation(config.workspace, scorer, Path(work) / "earlier")
        entries, changed = _split(wanted, earlier)
        reused = len(entries)
        reporter.started(inputs.digests, total_steps=len(changed.pairs))
        if changed.pairs:
            with LocalServer(inputs.model, config.profile, name="head") as served:
                entries += score_pairs(changed, kit, rules, _scorer(kit, served), reporter)
        coverage = Coverage(wanted.total, len(entries), wanted.unknown_items)
        _require(coverage, float(config.min_coverage))
        made = _publish(config, scorer, kit, inputs, entries, coverage, Path(work) / "generation")
    remember(config.workspace, scorer, made)
    return _report(reporter, made, open_store(made).manifest(), reused=False, reused_pairs=reused)


def _scorer_of(config: HeadBuildConfig, kit: ModelKit, inputs: _Inputs) -> Scorer:
    digests = inputs.digests
    prompt = kit.contract.prompt_digest
    return Scorer(digests["model"], prompt, digests.get("ruleSet", ""), config.profile.content_digest())


def _split(wanted: Wanted, earlier: HeadGeneration | None) -> tuple[list[HeadEntry], Wanted]:
    """Entries that an earlier generation has, and the pairs that are left to score."""
    if earlier is None:
        return [], wanted
    known = list(known_scores(wanted.pairs, earlier))
    changed = tuple(pair for pair, entry in known if entry is None)
    return [entry for _, entry in known if entry is not None], Wanted(changed, wanted.unknown_items)


def score_pairs(
    wanted: Wanted, kit: ModelKit, rules: RuleSource, score: Score, reporter: Reporter
) -> Iterator[HeadEntry]:
    """An entry for every pair whose prompt can be rendered and whose score is a number, in batches of `BATCH`."""
    for start in range(0, len(wanted.pairs), BATCH):
        rendered = list(_rendered(wanted.pairs[start : start + BATCH], kit, rules))
        scores = score([prompt for _, prompt in rendered])
        for (pair, _), row in zip(rendered, scores.probabilities.tolist(), strict=True):
            if all(map(math.isfinite, row)):
                yield HeadEntry(pair.query, pair.item, pair.content, tuple(row))
        done = min(start + BATCH, len(wanted.pairs))
        reporter.progress(Progress(step=done, total_steps=len(wanted.pairs), unit="pairs"))


def _rendered(
    pairs: Sequence[WantedPair], kit: ModelKit, rules: RuleSource
) -> Iterator[tuple[WantedPair, RenderedPrompt]]:
    for pair in pairs:
        try:
            yield pair, kit.render(pair.record, rules(pair.record))
        except PromptTooLong:
            continue  # counted: the pair is wanted and not scored


def _scorer(kit: ModelKit, served: ServedModel) -> Score:
    async def all_of(prompts: Sequence[RenderedPrompt]) -> LabelScores:
        async with VllmClient(kit, served.base_url, served.model) as client:
            return await client.score(prompts)

    return lambda prompts: asyncio.run(all_of(prompts))


def _already_there(config: HeadBuildConfig) -> Manifest | None:
    store = open_store(config.output)
    return store.manifest() if store.exists() else None


def _fetch(config: HeadBuildConfig, work: Path) -> _Inputs:
    refs = {"model": config.model, "candidates": config.candidates, "items": config.items, "ruleSet": config.rule_set}
    digests = {name: verify(ref, work / name).digest for name, ref in refs.items() if ref is not None}
    rules = work / "ruleSet" if config.rule_set is not None else None
    return _Inputs(work / "model", work / "candidates", work / "items", rules, digests)


def _require(coverage: Coverage, least: float) -> None:
    if coverage.share < least:
        raise JobError(
            "CoverageTooLow",
            f"{coverage.scored} of {coverage.wanted} candidate pairs were scored ({coverage.share:.4f}, minCoverage {least}); "
            f"{coverage.unknown_items} name items that the items snapshot lacks: refresh items or candidates",
            field="minCoverage",
        )


def _publish(
    config: HeadBuildConfig,
    scorer: Scorer,
    kit: ModelKit,
    inputs: _Inputs,
    entries: list[HeadEntry],
    coverage: Coverage,
    folder: Path,
) -> ArtifactRef:
    folder.mkdir()
    (folder / BIN_NAME).write_bytes(generation_bytes(entries))
    (folder / JSON_NAME).write_bytes(canonical_json(_description(scorer, kit, coverage)))
    metadata = {"coverage": coverage.summary()}
    return publish(folder, config.output, "head", inputs=inputs.digests, metadata=metadata)


def _description(scorer: Scorer, kit: ModelKit, coverage: Coverage) -> dict[str, Any]:
    return {
        "formatVersion": FORMAT_VERSION,
        "normaliser": NORMALISER_VERSION,
        "coverage": coverage.summary(),
        "model": scorer.model,
        "prompt": scorer.prompt,
        SCORER: scorer.description(),
        "calibration": kit.contract.calibration.model_dump(mode="json", by_alias=True),
    }


def _report(reporter: Reporter, ref: ArtifactRef, manifest: Manifest, *, reused: bool, reused_pairs: int = 0) -> Result:
    result = Result(uri=ref.uri, digest=manifest.digest, reused=reused)
    summary = dict(manifest.metadata) | ({} if reused else {"reusedPairs": reused_pairs})
    reporter.succeeded(result, summary)
    return result
