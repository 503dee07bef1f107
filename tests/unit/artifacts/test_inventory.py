"""What `lore gc` finds in a workspace: the places are those that the pods' configs name."""

import os
from pathlib import Path

import pytest

from lore_core.artifacts import MANIFEST_NAME, ArtifactError, ArtifactRef, open_store, publish
from lore_core.artifacts.inventory import inventory, remove
from lore_core.artifacts.retention import Item, Kind
from lore_core.jobs import HeadBuildConfig, StrataBuildConfig, TrainConfig

KEY = "a" * 20
PATHS = {
    Kind.MODEL: f"stages/{KEY}/model",
    Kind.PAIRS: f"stages/{KEY}/pairs",
    Kind.CHECKPOINTS: f"stages/{KEY}/checkpoints",
    Kind.HEAD: f"heads/{KEY}",
    Kind.STRATA: f"strata/{KEY}",
    Kind.EVIDENCE: f"evidence/{KEY}",
    Kind.ANSWERS: f"answers/{KEY}",
}


@pytest.fixture
def workspace(tmp_path: Path) -> ArtifactRef:
    return ArtifactRef(uri=(tmp_path / "runs").as_uri())


def put(workspace: ArtifactRef, path: str, text: str = "x") -> Path:
    file = Path(workspace.uri.removeprefix("file://")) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def published(workspace: ArtifactRef, path: str, tmp_path: Path, **inputs: str) -> ArtifactRef:
    source = tmp_path / "source" / path
    source.mkdir(parents=True)
    (source / "weights").write_text(path)
    return publish(source, workspace.child(path), "model", inputs)


def test_an_empty_workspace_has_nothing(workspace: ArtifactRef) -> None:
    assert inventory(workspace) == ((), {})


def test_every_kind_is_known_by_its_place_and_everything_else_is_left_alone(workspace: ArtifactRef) -> None:
    for path in PATHS.values():
        put(workspace, f"{path}/deep/file", "12345")
    for other in ("teacher-requests/log.jsonl", "stages/short/model/file", "notes.txt"):
        put(workspace, other, "123")

    found, unknown = inventory(workspace)

    assert {item.kind: (item.path, item.key, item.size) for item in found} == {
        kind: (path, KEY, 5) for kind, path in PATHS.items()
    }
    assert unknown == {"teacher-requests": 3, "stages": 3, "notes.txt": 3}


def test_a_whole_artifact_tells_its_digest_and_what_it_was_made_from(workspace: ArtifactRef, tmp_path: Path) -> None:
    made = published(workspace, PATHS[Kind.MODEL], tmp_path, base="sha256:" + "b" * 64)
    file = put(workspace, f"{PATHS[Kind.HEAD]}/head.bin")
    os.utime(file, (1000, 2000))

    head, model = inventory(workspace).items

    assert (model.digest, model.inputs) == (made.digest, {"sha256:" + "b" * 64})
    assert head.digest is None
    assert head.written is not None
    assert head.written.timestamp() == 2000


def test_a_manifest_that_cannot_be_read_stops_the_whole_look(workspace: ArtifactRef) -> None:
    """What it names would not be known to be in use."""
    put(workspace, f"{PATHS[Kind.EVIDENCE]}/{MANIFEST_NAME}", "{}")

    with pytest.raises(ArtifactError, match="not a manifest"):
        inventory(workspace)


def test_manifests_go_first_so_that_what_is_half_deleted_is_no_artifact(
    workspace: ArtifactRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{PATHS[Kind.ANSWERS]}/part-00001"
    part = published(workspace, path, tmp_path)
    (item,) = inventory(workspace).items

    def interrupted(*_: object, **__: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as cut:
        cut.setattr("fsspec.implementations.local.LocalFileSystem.rm", interrupted)
        with pytest.raises(ArtifactError):
            remove(workspace, item)
    assert not open_store(part).exists()

    remove(workspace, item)
    assert inventory(workspace).items == ()


@pytest.mark.parametrize("path", ["", ".", "teacher-requests", "stages", f"stages/{KEY}"])
def test_nothing_but_a_known_place_is_ever_deleted(workspace: ArtifactRef, path: str) -> None:
    file = put(workspace, f"stages/{KEY}/model/file")

    with pytest.raises(ArtifactError, match="nothing was deleted"):
        remove(workspace, Item(path, Kind.MODEL, KEY, 0, None))
    assert file.exists()


def test_the_places_are_those_of_the_pods_configs() -> None:
    at = ArtifactRef(uri="s3://b/runs")
    named = {"workspace": at, "base_model": at, "data": at, "rule_set": at}
    config = TrainConfig.model_construct(**named, input_key="sha256:" + "a" * 64)

    assert config.output.uri == f"{at.uri}/{PATHS[Kind.MODEL]}"
    assert config.checkpoints.uri == f"{at.uri}/{PATHS[Kind.CHECKPOINTS]}"

    digest = "sha256:" + "a" * 64
    strata = StrataBuildConfig(deployment="search", log=at, live=at, workspace=at, input_key=digest)
    assert strata.output.uri == f"{at.uri}/{PATHS[Kind.STRATA]}"
    head = HeadBuildConfig.model_construct(workspace=at, input_key=digest)
    assert head.output.uri == f"{at.uri}/{PATHS[Kind.HEAD]}"
