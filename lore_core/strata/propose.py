"""`lore strata propose`: a snapshot of the log as it is now, published whole or not at all, set beside the one that serves.

Nothing here decides whether it may serve: the report says how far it is from the live one, and the operator holds that
against the guards of the spec.
"""

import tempfile
from pathlib import Path
from typing import Any

from lore_core.artifacts.manifest import Manifest
from lore_core.artifacts.store import file_digest, open_store, publish, verify
from lore_core.jobs.report import Result
from lore_core.jobs.reporter import Reporter
from lore_core.jobs.strata import SnapshotRecipe, StrataBuildConfig
from lore_core.strata.boundaries import Boundaries, Rule
from lore_core.strata.build import Built, Recipe, build
from lore_core.strata.log import log_files
from lore_core.strata.pins import Pin, pinned
from lore_core.strata.rows import RowRules, Window
from lore_core.strata.snapshot import StrataSnapshot, traffic_shares
from lore_core.strata.traffic import TrafficRules, Trend


def run_proposal(config: StrataBuildConfig, reporter: Reporter) -> Result:
    """The whole job. Raises LogError, SnapshotError, ArtifactError, RecordError; each has a documented `reason`."""
    store = open_store(config.output)
    if store.exists():
        manifest = store.manifest()
        reporter.started({"live": manifest.inputs["live"]})
        return _report(reporter, config, manifest, reused=True)
    with tempfile.TemporaryDirectory(prefix="lore-strata-") as folder:
        work = Path(folder)
        inputs = {"live": verify(config.live, work / "live").digest}
        live = StrataSnapshot.open(work / "live")
        files = log_files(config.log.uri, work / "log", config.log.credentials)
        reporter.started(dict(inputs))
        inputs |= {f"log-{number}": file_digest(path)[0] for number, path in enumerate(files)}
        built = build(files, recipe_of(config.recipe), work / "out", work / "duckdb", live)
        summary = comparison(built, live, traffic_shares(work / "live"))
        publish(work / "out", config.output, "strata", inputs=inputs, metadata=summary)
    return _report(reporter, config, store.manifest(), reused=False)


def recipe_of(settings: SnapshotRecipe) -> Recipe:
    """The recipe that a spec's words mean. Raises ValueError, RecordError for a query pinned twice."""
    half_life, trend = settings.half_life_days, settings.trend
    dated = settings.window_days is not None or half_life is not None
    window = Window(settings.window_days or Window.days, float(half_life) if half_life else None) if dated else None
    rows = RowRules(window, settings.bot_limit, float(settings.max_broken_share))
    return Recipe(
        boundaries=Boundaries(settings.head, settings.torso, Rule(settings.rule.lower())),
        traffic=TrafficRules(rows, Trend(float(trend.factor), trend.days, trend.least) if trend else None),
        columns=settings.columns.model_dump(exclude_none=True),
        pins=pinned(enumerate((Pin(query=p.query, stratum=p.stratum) for p in settings.pins), start=1), "recipe.pins"),
        hysteresis=settings.hysteresis,
        memory=settings.memory,
    )


def comparison(built: Built, live: StrataSnapshot, live_shares: dict[Any, float] | None) -> dict[str, Any]:
    """What a person or a guard needs to judge a proposal; shares are of all requests, churn is of the live head's queries."""
    requests = sum(count.requests for count in built.counts.values())
    changed = max(built.moved.get("headEntered", 0), built.moved.get("headLeft", 0))
    return {
        "requests": requests,
        "queries": {stratum: count.queries for stratum, count in built.counts.items()},
        "shares": {stratum: _decimal(count.requests / (requests or 1)) for stratum, count in built.counts.items()},
        "liveShares": {stratum: _decimal(share) for stratum, share in (live_shares or {}).items()},
        "headChurn": _decimal(changed / max(1, live.sizes()["head"])),
        "moved": dict(built.moved),
        "log": {name: value for name, value in built.log.items() if value is not None},
    }


def _decimal(share: float) -> str:
    return f"{share:.4f}"


def _report(reporter: Reporter, config: StrataBuildConfig, manifest: Manifest, *, reused: bool) -> Result:
    result = Result(uri=config.output.uri, digest=manifest.digest, reused=reused)
    reporter.succeeded(result, dict(manifest.metadata))
    return result
