"""What the watch caches remember, whom they wake, and what they forget."""

from typing import Any

import pytest

from lore_operator.engine.client import KubeClient, Listing, WatchEvent
from lore_operator.engine.credentials import connect
from lore_operator.engine.keys import Key
from lore_operator.engine.observe import owners
from lore_operator.engine.projection import trim
from lore_operator.engine.resources import JOBS
from lore_operator.engine.watcher import Watcher

DEMO = Key("RelevanceTrainJob", "team", "demo")
LABELS = {
    "app.kubernetes.io/managed-by": "lore-operator",
    "lore-platform.io/kind": "RelevanceTrainJob",
    "lore-platform.io/name": "demo",
}


def job(name: str = "demo-sft-a1", version: int = 10, **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "resourceVersion": str(version), "labels": LABELS}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"large": 1}, "status": status}


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def watcher(woken: list[Key]) -> Watcher:
    return Watcher(KubeClient(connect), JOBS, labels="", trim=trim, owners=owners, wake=woken.append)


def names(watcher: Watcher, owner: Key = DEMO) -> list[str]:
    return [item["metadata"]["name"] for item in watcher.owned(owner)]


def test_a_listed_child_belongs_to_its_owner(watcher: Watcher) -> None:
    watcher.replace(Listing([job()], "10"))

    assert names(watcher) == ["demo-sft-a1"]


def test_a_new_child_wakes_its_owner(watcher: Watcher, woken: list[Key]) -> None:
    watcher.take(WatchEvent("ADDED", job()))

    assert woken == [DEMO]


def test_the_same_version_wakes_nobody_again(watcher: Watcher, woken: list[Key]) -> None:
    watcher.replace(Listing([job()], "10"))
    woken.clear()
    watcher.replace(Listing([job()], "11"))

    assert woken == []


def test_what_a_list_no_longer_names_is_forgotten_and_told(watcher: Watcher, woken: list[Key]) -> None:
    watcher.replace(Listing([job()], "10"))
    woken.clear()
    watcher.replace(Listing([], "20"))

    assert (names(watcher), woken) == ([], [DEMO])


def test_a_deleted_child_is_forgotten(watcher: Watcher) -> None:
    watcher.replace(Listing([job()], "10"))
    watcher.take(WatchEvent("DELETED", job(version=11)))

    assert names(watcher) == []


def test_the_end_of_a_predecessor_does_not_hide_its_successor(watcher: Watcher) -> None:
    watcher.assume(job(version=30))
    watcher.take(WatchEvent("DELETED", job(version=20)))

    assert names(watcher) == ["demo-sft-a1"]


def test_an_older_version_does_not_replace_our_own_write(watcher: Watcher) -> None:
    watcher.assume(job(version=30, active=1))
    watcher.take(WatchEvent("MODIFIED", job(version=20, active=0)))

    assert [item["status"] for item in watcher.owned(DEMO)] == [{"active": 1}]


def test_a_list_from_before_our_write_does_not_undo_it(watcher: Watcher) -> None:
    watcher.assume(job(version=30))
    watcher.replace(Listing([], "20"))

    assert names(watcher) == ["demo-sft-a1"]


def test_our_own_write_wakes_all_owners_but_the_one_it_was_made_for(watcher: Watcher, woken: list[Key]) -> None:
    item = job()
    reference = {"apiVersion": "lore-platform.io/v1alpha1", "kind": "RelevanceDeployment", "name": "search", "uid": "u"}
    item["metadata"] = item["metadata"] | {"ownerReferences": [reference]}

    watcher.assume(item, DEMO)

    assert woken == [Key("RelevanceDeployment", "team", "search")]


def test_what_belongs_to_nobody_is_not_assumed(watcher: Watcher) -> None:
    stranger = job()
    del stranger["metadata"]["labels"]
    watcher.assume(stranger)

    assert len(watcher) == 0


def test_the_specs_of_children_are_not_kept(watcher: Watcher) -> None:
    watcher.replace(Listing([job()], "10"))

    assert all("spec" not in item for item in watcher.owned(DEMO))


def test_of_an_attempts_config_only_the_record_is_kept() -> None:
    item = job() | {"kind": "ConfigMap", "data": {"config.json": "{}", "record.json": "{}"}}

    assert trim(item)["data"] == {"record.json": "{}"}


def test_owners_are_found_by_reference_too() -> None:
    item = job()
    del item["metadata"]["labels"]
    reference = {"apiVersion": "lore-platform.io/v1alpha1", "kind": "RelevanceDeployment", "name": "search", "uid": "u"}
    item["metadata"]["ownerReferences"] = [reference, {**reference, "apiVersion": "apps/v1", "kind": "ReplicaSet"}]

    assert list(owners(item)) == [Key("RelevanceDeployment", "team", "search")]


def test_what_kserve_made_belongs_to_its_inference_service() -> None:
    item = job() | {"kind": "Deployment"}
    item["metadata"] = item["metadata"] | {"labels": {"serving.kserve.io/inferenceservice": "lore-b-0123456789"}}

    assert list(owners(item)) == [Key("InferenceService", "team", "lore-b-0123456789")]
