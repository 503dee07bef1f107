"""Only whole checkpoints are resumed from."""

from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactError, ArtifactRef, open_store
from lore_core.training.checkpoints import (
    MARKER_NAME,
    Checkpoint,
    complete_checkpoints,
    described,
    mark_complete,
    restore,
    upload_part,
)


@pytest.fixture
def where(tmp_path: Path) -> ArtifactRef:
    return ArtifactRef(uri=(tmp_path / "store").as_uri())


def written(tmp_path: Path, step: int, files: dict[str, str]) -> Path:
    folder = tmp_path / "local" / f"step{step}"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def save(tmp_path: Path, where: ArtifactRef, step: int, score: float | None = None, keep: int = 2) -> None:
    part = upload_part(where, f"step{step}", written(tmp_path, step, {"rank0.pt": f"a{step}", "rank1.pt": f"b{step}"}))
    mark_complete(where, *described(step, 2, 2, [part], score), keep)


def stored(where: ArtifactRef) -> list[str]:
    return open_store(where).folders()


def test_nothing_is_resumed_from_where_nothing_was_saved(where: ArtifactRef) -> None:
    assert complete_checkpoints(where) == ()


def test_the_newest_whole_checkpoint_comes_back_byte_for_byte(tmp_path: Path, where: ArtifactRef) -> None:
    save(tmp_path, where, 10)
    save(tmp_path, where, 20)
    newest = complete_checkpoints(where)[0]
    assert (newest.step, newest.world_size, newest.zero_stage) == (20, 2, 2)
    assert restore(where, newest, tmp_path / "back")
    assert (tmp_path / "back" / "step20" / "rank1.pt").read_text() == "b20"


def test_a_save_that_was_cut_before_its_marker_is_ignored(tmp_path: Path, where: ArtifactRef) -> None:
    save(tmp_path, where, 10)
    upload_part(where, "step20", written(tmp_path, 20, {"rank0.pt": "half"}))
    assert [found.step for found in complete_checkpoints(where)] == [10]


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, where: ArtifactRef) -> None:
    save(tmp_path, where, 10)
    save(tmp_path, where, 20)
    (tmp_path / "store" / "step20" / "rank0.pt").write_text("damaged")
    newest, older = complete_checkpoints(where)
    assert not restore(where, newest, tmp_path / "back")
    assert restore(where, older, tmp_path / "back")


def test_a_marker_that_cannot_be_read_is_an_error_and_not_a_fresh_start(tmp_path: Path, where: ArtifactRef) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / MARKER_NAME).write_text("{")
    with pytest.raises(ArtifactError, match="not a checkpoint marker; remove it to start again"):
        complete_checkpoints(where)


def test_parts_of_several_nodes_make_one_checkpoint(tmp_path: Path, where: ArtifactRef) -> None:
    one = upload_part(where, "step5", written(tmp_path / "node0", 5, {"rank0.pt": "a"}))
    two = upload_part(where, "step5", written(tmp_path / "node1", 5, {"rank1.pt": "b"}))
    checkpoint, manifest = described(5, 2, 1, [one, two])
    mark_complete(where, checkpoint, manifest, 2)
    assert restore(where, checkpoint, tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back" / "step5").glob("*.pt")) == ["rank0.pt", "rank1.pt"]


def test_the_newest_few_and_the_best_stay_and_all_else_is_deleted(tmp_path: Path, where: ArtifactRef) -> None:
    upload_part(where, "step5", written(tmp_path, 5, {"rank0.pt": "torn"}))
    for step, score in ((10, 0.3), (20, 0.7), (30, 0.7), (40, 0.2), (50, None)):
        save(tmp_path, where, step, score)
    found = complete_checkpoints(where)
    assert [(one.step, one.score) for one in found] == [(50, None), (40, 0.2), (20, 0.7)]
    assert stored(where) == sorted(one.tag for one in found)
    assert restore(where, found[-1], tmp_path / "back")


def test_without_scores_as_many_stay_as_were_asked_for(tmp_path: Path, where: ArtifactRef) -> None:
    for step in (10, 20, 30, 40):
        save(tmp_path, where, step, keep=3)
    assert stored(where) == ["step20", "step30", "step40"]


def test_a_marker_of_before_there_were_scores_is_read(tmp_path: Path, where: ArtifactRef) -> None:
    (tmp_path / "store").mkdir()
    old = '{"complete":[{"digest":"sha256:%s","step":3,"world_size":1,"zero_stage":2}]}' % ("a" * 64)
    (tmp_path / "store" / MARKER_NAME).write_text(old)
    assert complete_checkpoints(where) == (Checkpoint(step=3, world_size=1, zero_stage=2, digest="sha256:" + "a" * 64),)
