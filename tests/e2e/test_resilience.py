"""What happens when something dies, is wiped, or was wrong from the start."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.platform import CLAIM, Platform, conditions, republished, sft, train_job

from hack.cluster import storage
from hack.cluster.errors import ClusterError
from lore_core.artifacts import ArtifactRef, open_store, publish

KIND = "RelevanceTrainJob"


@pytest.fixture(scope="module")
def workspace(platform: Platform) -> Iterator[str]:
    """One namespace for all tests here, with the demo's data on its claim; their jobs have names of their own."""
    with platform.filled_namespace("resilience", platform.made.folders) as name:
        yield name


def test_a_pod_that_dies_costs_one_attempt_and_training_goes_on_from_its_checkpoint(
    platform: Platform, workspace: str
) -> None:
    platform.kubectl.apply(train_job(workspace, "bereft", [sft("only", 80)]))
    platform.await_resource(workspace, KIND, "bereft", "past a checkpoint", lambda found: _step(found) >= 10)

    platform.kubectl(
        "delete", "pod", f"--namespace={workspace}", "--grace-period=0", "--force",
        "--selector=batch.kubernetes.io/job-name=bereft-only-a1,batch.kubernetes.io/job-completion-index=1",
    )  # fmt: skip
    finished = platform.await_condition(workspace, KIND, "bereft", "Complete")

    (stage,) = finished["status"]["stages"]
    assert (stage["phase"], stage["attempt"]) == ("Succeeded", 2)


def _step(job: dict[str, Any]) -> int:
    stages = job.get("status", {}).get("stages") or [{}]
    return int((stages[0].get("progress") or {}).get("step", 0))


def test_a_broken_data_file_ends_before_training_and_file_line_and_field_are_named(
    platform: Platform, workspace: str, tmp_path: Path
) -> None:
    def unknown_label(folder: Path) -> None:
        lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
        lines[2] = json.dumps({**json.loads(lines[2]), "groundtruth": "L9"}, ensure_ascii=False)
        (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    pairs = republished(platform.made.folders["data/pairs"], tmp_path / "pairs", "pairs", unknown_label)
    platform.put(workspace, {"data/broken": pairs})

    job = train_job(workspace, "broken", [sft("only", 10)], data={"uri": f"pvc://{CLAIM}/data/broken"})
    platform.kubectl.apply(job)
    stalled = platform.await_condition(workspace, KIND, "broken", "Stalled")

    failure = stalled["status"]["failure"]
    assert (failure["file"].rsplit("/", 1)[-1], failure["line"], failure["field"]) == ("train.jsonl", 3, "groundtruth")
    message = conditions(stalled)["Stalled"]["message"]
    assert "train.jsonl" in message
    assert "3" in message
    assert "groundtruth" in message
    assert failure["attempt"] == 1


def test_a_uri_with_nothing_there_is_named_with_the_permission_that_was_tried(
    platform: Platform, workspace: str
) -> None:
    job = train_job(workspace, "nowhere", [sft("only", 10)], data={"uri": f"pvc://{CLAIM}/nowhere"})

    platform.kubectl.apply(job)
    stalled = platform.await_condition(workspace, KIND, "nowhere", "Stalled")

    message = conditions(stalled)["Stalled"]["message"]
    assert f"pvc://{CLAIM}/nowhere" in message
    assert "read" in message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stages": [{"name": "s", "sft": {"optimiser": {}}}]}, "optimiser"),
        ({"stages": [{"name": "s"}]}, "give exactly one of synthesize, sft, align, distill"),
        ({"nodes": {"count": 0}}, "spec.nodes.count"),
    ],
)
def test_an_impossible_spec_is_refused_by_kubectl_apply(
    platform: Platform, namespace: str, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClusterError, match=named.replace(".", r"\.")):
        platform.kubectl.apply({**train_job(namespace, "tiny", [sft("s", 10)]) | {}, "spec": _spec(namespace) | change})


def _spec(namespace: str) -> dict[str, Any]:
    return dict(train_job(namespace, "tiny", [sft("s", 10)])["spec"])


def test_data_and_models_can_lie_on_s3_with_a_secret(platform: Platform, namespace: str, tmp_path: Path) -> None:
    node = platform.target.node
    if node is None:
        pytest.skip("KUBECONFIG names a cluster of yours; the S3 endpoint is the one of hack/'s node")
    secret = node.store.secret(namespace, "s3")
    platform.kubectl.apply(secret)
    for key, value in secret["stringData"].items():  # type: ignore[attr-defined]
        (tmp_path / key).write_text(value)
    root = f"s3://{storage.BUCKET}/{namespace}"
    for place in ("base/lm", "data/pairs", "data/rules"):
        source = platform.made.folders[place]
        kind = open_store(ArtifactRef(uri=source.absolute().as_uri())).manifest().kind
        publish(source, ArtifactRef(uri=f"{root}/{place}", credentials=str(tmp_path)), kind)

    job = train_job(namespace, "tiny", [sft("only", 10, publish_as="tiny")], root, secret={"name": "s3"})
    platform.kubectl.apply(job)
    platform.await_condition(namespace, KIND, "tiny", "Complete")

    model = platform.kubectl.get("relevancemodels.lore-platform.io", "tiny", f"--namespace={namespace}")["spec"]
    stored = open_store(ArtifactRef(uri=model["uri"], digest=model["digest"], credentials=str(tmp_path))).manifest()
    assert model["uri"].startswith(f"{root}/runs/")
    assert model["secretRef"] == {"name": "s3"}
    assert "model.safetensors" in {entry.path for entry in stored.files}
