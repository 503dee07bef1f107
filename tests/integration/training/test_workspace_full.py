"""A workspace without room: a reason with what to do, and every checkpoint that was whole stays so."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist

from lore_core.artifacts import MANIFEST_NAME, ArtifactRef, WorkspaceFull, open_store, publish
from lore_core.jobs import Phase
from lore_core.jobs.report import Report
from lore_core.jobs.reporter import FileSink, Reporter, reported
from lore_core.training.checkpoints import complete_checkpoints, restore
from lore_core.training.together import Ranks, SharedCheckpoints

MIB = 1 << 20
SIZE = 4 * MIB


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[Path]:
    """A volume of four MiB, as root mounts it."""
    folder = tmp_path / "claim"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def checkpoints(claim: Path, tmp_path: Path) -> Iterator[SharedCheckpoints]:
    """Those of one rank, on the volume."""
    dist.init_process_group("gloo", init_method=(tmp_path / "rendezvous").as_uri(), rank=0, world_size=1)
    yield SharedCheckpoints(ArtifactRef(uri=claim.as_uri()), tmp_path, Ranks(0, 1, 0), zero_stage=0)
    dist.destroy_process_group()


def written(folder: Path, size: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "rank0.pt").write_bytes(os.urandom(size))
    return folder


def test_a_checkpoint_that_does_not_fit_is_refused_before_a_byte_of_it_is_written(
    checkpoints: SharedCheckpoints, claim: Path, tmp_path: Path
) -> None:
    checkpoints.publish(10, written(tmp_path / "step10", MIB))
    report = tmp_path / "report.json"

    with pytest.raises(WorkspaceFull), reported(Reporter(FileSink(report))):
        checkpoints.publish(20, written(tmp_path / "step20", 3 * MIB))

    told = Report.model_validate_json(report.read_text())
    assert told.phase is Phase.FAILED
    assert told.failure is not None
    assert told.failure.reason == "WorkspaceFull"
    assert "make room with `lore gc`" in told.failure.message
    assert sorted(path.name for path in claim.iterdir()) == ["complete.json", "step10"]
    (whole,) = complete_checkpoints(checkpoints.where)
    assert whole.step == 10
    assert restore(checkpoints.where, whole, tmp_path / "back")


def test_a_model_that_does_not_fit_is_refused_the_same_way(claim: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceFull, match="bytes are to be written"):
        publish(written(tmp_path / "model", SIZE), ArtifactRef(uri=f"{claim.as_uri()}/model"), "model")

    assert list(claim.iterdir()) == []


def test_room_that_goes_while_an_artifact_is_written_is_the_same_reason_and_leaves_none(
    claim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write into the volume too: the look before tells too much."""
    monkeypatch.setattr("lore_core.artifacts.store.ArtifactStore.require_room", lambda *_: None)

    with pytest.raises(WorkspaceFull, match="no space left to write"):
        publish(written(tmp_path / "model", SIZE + MIB), ArtifactRef(uri=f"{claim.as_uri()}/model"), "model")

    assert not (claim / "model" / MANIFEST_NAME).exists()
    assert not open_store(ArtifactRef(uri=f"{claim.as_uri()}/model")).exists()
