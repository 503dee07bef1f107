"""A pod's strata build says how far its snapshot is from the live one, and publishes it whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactError, ArtifactRef, publish, verify
from lore_core.artifacts.manifest import MANIFEST_NAME
from lore_core.cli import main
from lore_core.jobs.reporter import FileSink, Reporter
from lore_core.jobs.strata import SnapshotRecipe, StrataBuildConfig
from lore_core.records import RecordError
from lore_core.strata import StrataSnapshot
from lore_core.strata.build import Recipe, build
from lore_core.strata.log import LogError
from lore_core.strata.propose import recipe_of, run_proposal

BEFORE = {"phone": 50, "shoe": 30, "lamp": 15, "odd thing": 5}
NOW = {"phone": 20, "shoe": 60, "lamp": 15, "new thing": 5}
KEY = "sha256:" + "7" * 64


def write_log(path: Path, counts: dict[str, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"query": q, "count": n}) + "\n" for q, n in counts.items()), "utf-8")
    return path


@pytest.fixture
def config(tmp_path: Path) -> StrataBuildConfig:
    log = write_log(tmp_path / "before.jsonl", BEFORE)
    build([log], Recipe(), tmp_path / "live", tmp_path / "work")
    live = publish(tmp_path / "live", ArtifactRef(uri=f"file://{tmp_path}/published"), "strata")
    write_log(tmp_path / "logs" / "2026-11-29.jsonl", {"phone": 20, "shoe": 30})
    write_log(tmp_path / "logs" / "2026-11-30.jsonl", {"shoe": 30, "lamp": 15, "new thing": 5})
    (tmp_path / "logs" / "README.txt").write_text("no log")
    return StrataBuildConfig(
        deployment="search",
        log=ArtifactRef(uri=f"file://{tmp_path}/logs"),
        live=live,
        recipe=SnapshotRecipe(hysteresis="0"),
        workspace=ArtifactRef(uri=f"file://{tmp_path}/runs"),
        input_key=KEY,
    )


def told(config: StrataBuildConfig, file: Path) -> dict[str, Any]:
    run_proposal(config, Reporter(FileSink(file)))
    return dict(json.loads(file.read_text()))


def test_a_proposal_is_a_snapshot_of_all_files_of_the_folder_set_beside_the_live_one(
    config: StrataBuildConfig, tmp_path: Path
) -> None:
    report = told(config, tmp_path / "report.json")

    summary = report["summary"]
    assert summary["requests"] == 100
    assert summary["shares"] == {"head": "0.6000", "torso": "0.2000", "tail": "0.2000"}
    assert summary["liveShares"] == {"head": "0.5000", "torso": "0.3000", "tail": "0.2000"}
    assert summary["headChurn"] == "1.0000"
    assert report["resolved"]["live"] == config.live.digest
    verify(ArtifactRef(uri=report["result"]["uri"], digest=report["result"]["digest"]), tmp_path / "fetched")
    snapshot = StrataSnapshot.open(tmp_path / "fetched")
    assert [snapshot.stratum(query) for query in NOW] == ["torso", "head", "tail", "tail"]


def test_the_hash_key_stays_so_that_two_snapshots_can_be_compared(config: StrataBuildConfig, tmp_path: Path) -> None:
    report = told(config, tmp_path / "report.json")
    verify(ArtifactRef(uri=report["result"]["uri"]), tmp_path / "fetched")
    assert StrataSnapshot.open(tmp_path / "fetched").secret == StrataSnapshot.open(tmp_path / "live").secret


def test_a_second_try_of_the_same_build_finds_what_the_first_one_made(
    config: StrataBuildConfig, tmp_path: Path
) -> None:
    first = told(config, tmp_path / "first.json")
    write_log(tmp_path / "logs" / "2026-12-01.jsonl", {"late": 1000})
    again = told(config, tmp_path / "again.json")
    assert again["result"] == {**first["result"], "reused": True}
    assert again["summary"] == first["summary"]
    # A report that lost what it was set beside could never be accepted.
    assert again["resolved"] == first["resolved"]


def test_a_log_with_broken_rows_publishes_nothing(config: StrataBuildConfig, tmp_path: Path) -> None:
    (tmp_path / "logs" / "2026-11-30.jsonl").write_text('{"query": "a"}\n{"query": 5}\n')
    with pytest.raises(LogError, match="line 2: query: must be text"):
        run_proposal(config, Reporter(None))
    assert not (tmp_path / "runs").exists()


def test_a_build_that_dies_while_it_writes_leaves_no_artifact(
    config: StrataBuildConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lore_core.artifacts.store import ArtifactStore

    def dies(self: ArtifactStore, relative: str, data: bytes) -> None:
        raise ArtifactError(f"{relative}: the volume is gone")

    monkeypatch.setattr(ArtifactStore, "write_bytes", dies)
    with pytest.raises(ArtifactError, match="the volume is gone"):
        run_proposal(config, Reporter(None))
    assert not list((tmp_path / "runs").rglob(MANIFEST_NAME))


def test_a_live_snapshot_with_another_digest_is_refused(config: StrataBuildConfig) -> None:
    other = config.model_copy(update={"live": config.live.model_copy(update={"digest": "sha256:" + "0" * 64})})
    with pytest.raises(ArtifactError, match="sha256:000"):
        run_proposal(other, Reporter(None))


def test_the_verb_reports_what_a_pod_would(config: StrataBuildConfig, tmp_path: Path) -> None:
    words = ["strata", "propose", "--config", str(tmp_path / "config.json"), "--report", str(tmp_path / "report.json")]
    (tmp_path / "config.json").write_text(config.model_dump_json(by_alias=True, exclude_none=True))
    assert main(words) == 0
    (tmp_path / "logs" / "2026-11-30.jsonl").write_text("[]\n")
    another = config.model_copy(update={"input_key": "sha256:" + "8" * 64})
    (tmp_path / "config.json").write_text(another.model_dump_json(by_alias=True, exclude_none=True))
    assert main(words) == 1
    assert json.loads((tmp_path / "report.json").read_text())["failure"]["reason"] == "BadQueryLog"


def test_a_query_that_is_pinned_to_two_strata_is_refused_by_name() -> None:
    pins = [{"query": "Gift Card", "stratum": "head"}, {"query": "gift card", "stratum": "tail"}]
    with pytest.raises(RecordError, match="'gift card' is pinned to head above"):
        recipe_of(SnapshotRecipe.model_validate({"pins": pins}))
