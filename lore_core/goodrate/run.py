"""`lore goodrate run`, step by step: sample, judge, people's ratings, estimates, gates, one artifact."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.evaluation.gates import combine
from lore_core.goodrate.gates import apply
from lore_core.goodrate.inputs import Folder, people_ratings, served_rows, texts
from lore_core.goodrate.judge import RUBRIC, judge, shown
from lore_core.goodrate.measurement import (
    SAMPLE,
    Bound,
    Measurement,
    publish_measurement,
    read_measurement,
    score_rows,
    summary,
    write_rows,
)
from lore_core.goodrate.report import ratings
from lore_core.goodrate.rows import Drawn, Rating
from lore_core.goodrate.sampling import cell_of, draw
from lore_core.goodrate.traffic import Traffic
from lore_core.goodrate.values import check
from lore_core.jobs import GoodRateConfig, JudgedEndpoint, Result, gate_set_digest
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import Counted, Reporter


@dataclass(frozen=True)
class Rated:
    """The ratings of one source, and digests of where they come from; the judge's may lack `unreadable` answers."""

    ratings: list[Rating]
    bound: dict[str, str]
    unreadable: int = 0


def measure(config: GoodRateConfig, reporter: Reporter) -> Result:
    """Run one measurement and report it; one of this run that is already there is reported, and nobody is asked.

    Raises ArtifactError or JobError.
    """
    if (found := gate_set_digest(config.gates)) != config.gate_set_digest:
        text = f"gateSetDigest: is {config.gate_set_digest}, the gates' is {found}"
        raise JobError("DigestMismatch", text, field="gateSetDigest")
    with tempfile.TemporaryDirectory(prefix="lore-goodrate-") as scratch:
        root = Path(scratch)
        if open_store(config.output).exists():
            report, digest = read_measurement(config.output, root / "made")
            return _reported(config, reporter, report, digest, reused=True)
        report = _measured(config, reporter, root)
        published = publish_measurement(root / "made", config.output, report)
    return _reported(config, reporter, report, str(published.digest), reused=False)


def _measured(config: GoodRateConfig, reporter: Reporter, root: Path) -> Measurement:
    (root / "made").mkdir()
    reporter.started()
    log = Folder(config.served, root)
    drawn = _drawn(config, log)
    write_rows(root / "made" / SAMPLE, drawn)
    people = _people(config.people, drawn, root) if config.people else None
    judged = _judged(config, config.judge, drawn, reporter, root) if config.judge else None
    for name, rated in (("people", people), ("judge", judged)):
        if rated is not None:
            write_rows(root / "made" / f"{name}.jsonl", rated.ratings)
    return _report(config, log.digest, drawn, people, judged)


def _drawn(config: GoodRateConfig, log: Folder) -> list[Drawn]:
    knobs = config.sampling
    try:
        drawn = draw(served_rows(config, log), knobs.sample_size, knobs.people_size, knobs.seed)
    except ValueError as error:
        raise JobError("BadData", f"served: {log.uri}: {error}", field="served") from error
    if not drawn:
        of = f" of revision {config.revision}" if config.revision else ""
        text = f"served: {log.uri} has no request{of} from {config.first_day} to {config.last_day}; look at the log"
        raise JobError("ServedLogMissing", text, field="served")
    return drawn


def _people(ref: ArtifactRef, drawn: Sequence[Drawn], root: Path) -> Rated:
    folder = Folder(ref, root)
    try:
        found = check(drawn, people_ratings(folder), people=True)
        Traffic(drawn, found, None)  # everything that was drawn for people must be rated, before a judge is paid
    except ValueError as error:
        raise JobError("BadRatings", f"people: {folder.uri}: {error}", field="people") from error
    return Rated(found, {"people": folder.digest})


def _judged(
    config: GoodRateConfig, endpoint: JudgedEndpoint, drawn: Sequence[Drawn], reporter: Reporter, root: Path
) -> Rated:
    assert config.items is not None  # the config holds: a judge has the texts
    items, digest = texts(config.items, drawn, root / "items")
    try:
        wanted = shown(drawn, items)
    except ValueError as error:
        raise JobError("BadData", f"items: {config.items.uri}: {error}", field="items") from error
    progress = Counted(reporter, len(wanted), unit="items")
    found, unreadable = asyncio.run(judge(endpoint, wanted, config.requests, progress))
    return Rated(found, {"items": digest, "judge": endpoint.identity, "rubric": RUBRIC}, unreadable)


def _report(
    config: GoodRateConfig, served: str, drawn: Sequence[Drawn], people: Rated | None, judged: Rated | None
) -> Measurement:
    rated = people.ratings if people else None
    guessed = judged.ratings if judged else None
    traffic = Traffic(drawn, rated, guessed)
    gates = apply(config.gates, traffic)
    verdict, why = combine(gates)
    bound = {name: digest for source in (people, judged) if source for name, digest in source.bound.items()}
    return Measurement(
        evaluation=config.evaluation,
        served=config.served.uri,
        first_day=config.first_day,
        last_day=config.last_day,
        revision=config.revision,
        sampling=config.sampling,
        bound=Bound(served=served, gate_set=config.gate_set_digest, **bound),
        verdict=verdict,
        why=why,
        gates=tuple(gates),
        scores=tuple(score_rows(traffic)),
        requests=sum({cell_of(row): row.population for row in drawn}.values()),
        sampled=len(drawn),
        rated=traffic.rated({})[0],
        unreadable=judged.unreadable if judged else 0,
        ratings=ratings(rated or [], guessed),
    )


def _reported(config: GoodRateConfig, reporter: Reporter, report: Measurement, digest: str, *, reused: bool) -> Result:
    result = Result(uri=config.output.uri, digest=digest, reused=reused)
    reporter.succeeded(result, summary(report, ArtifactRef(uri=result.uri, digest=digest)))
    return result
