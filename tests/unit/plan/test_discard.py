"""The bytes of a model that is gone: removed where its policy says so, and never while anything else uses them."""

import copy
from typing import Any

import pytest
from unit.plan.serving_world import model, serve
from unit.plan.serving_world import world as serving_world
from unit.plan.test_trainjob import finished
from unit.plan.test_trainjob import world as train_world
from unit.plan.world import SETTINGS, START, digest

from lore_operator.api import parse_model
from lore_operator.plan import model as model_plan
from lore_operator.plan.discard import Discard, discard, due, wanted_record
from lore_operator.plan.types import Object, ObjectKey, Observed

URI = "s3://models/llm"


def going(name: str = "llm", uri: str = URI, policy: str = "Delete") -> Object:
    metadata = {"name": name, "namespace": "team", "uid": f"uid-of-{name}", "generation": 1}
    spec = {
        "uri": uri,
        "digest": digest("a"),
        "role": "Generative",
        "secretRef": {"name": "store"},
        "deletionPolicy": policy,
    }
    return {"apiVersion": "lore-platform.io/v1alpha1", "kind": "RelevanceModel", "metadata": metadata, "spec": spec}


def record_of(found: Object) -> Object:
    wanted = wanted_record(parse_model(found))
    assert wanted is not None
    return {**wanted, "metadata": {**wanted["metadata"], "uid": "uid-of-record"}}


def decide(*others: Object, job: Object | None = None, uri: str = URI) -> Discard:
    record = record_of(going(uri=uri))
    known = {ObjectKey(item["kind"], item["metadata"]["name"]): item for item in (record, job) if item}
    return discard(due(known, None), known, others, SETTINGS)


def removal(**status: Any) -> Object:
    (wanted,) = decide().apply
    metadata = {**wanted.object["metadata"], "uid": "uid-of-job"}
    return {**wanted.object, "metadata": metadata, "status": status}


def ended(kind: str) -> Object:
    return removal(conditions=[{"type": kind, "status": "True"}])


def test_a_model_that_is_to_take_its_bytes_along_gets_a_record_that_nobody_owns() -> None:
    plan = model_plan.plan(going(), Observed(), START, SETTINGS)
    (wanted,) = plan.apply
    assert wanted.create_only
    assert "ownerReferences" not in wanted.object["metadata"]
    assert wanted.object["data"] == {"uri": URI, "digest": digest("a"), "secretRef": {"name": "store"}}
    again = Observed({wanted.key: wanted.object})
    assert model_plan.plan(going(), again, START, SETTINGS).apply == ()


def test_a_model_keeps_its_bytes_unless_it_says_otherwise() -> None:
    assert model_plan.plan(going(policy="Retain"), Observed(), START, SETTINGS).apply == ()
    unsaid = going()
    del unsaid["spec"]["deletionPolicy"]
    assert model_plan.plan(unsaid, Observed(), START, SETTINGS).apply == ()


def test_while_the_model_exists_its_record_is_not_due() -> None:
    record = record_of(going())
    known = {ObjectKey(record["kind"], record["metadata"]["name"]): record}
    assert due(known, wanted_record(parse_model(going()))) == []
    assert due(known, None) == [record]
    moved = going(uri="s3://models/other")
    assert due(known, wanted_record(parse_model(moved))) == [record], "another model came under the name"


def test_a_job_of_the_record_removes_the_bytes_and_the_record_goes_with_the_job_that_is_done() -> None:
    (wanted,) = decide().apply
    job = wanted.object
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == [
        *("lore", "discard", "--uri", URI, "--digest", digest("a")),
        *("--credentials", "/mnt/lore/secrets/store"),
    ]
    assert [item["uid"] for item in job["metadata"]["ownerReferences"]] == ["uid-of-record"]
    assert decide(job=removal()) == Discard(), "it runs"
    (gone,) = decide(job=ended("Complete")).delete
    assert gone.key.kind == "ControllerRevision"
    assert decide(job=ended("Failed")) == Discard(), "it stays, for a person to see"


def test_the_bytes_of_another_model_are_never_removed_and_it_decides_about_them() -> None:
    for other in (
        going("copy"),
        going("inner", f"{URI}/part"),
        going("outer", "s3://models"),
        going("kept", policy="Retain"),
    ):
        found = decide(other, job=removal())
        assert found.apply == ()
        assert [item.key.kind for item in found.delete] == ["ControllerRevision"], (
            "the record, and the Job that it owns"
        )
    assert decide(going("neighbour", "s3://models/llm-2")).apply, "a name that only begins alike is another place"


def test_a_claim_of_the_same_name_in_another_namespace_is_another_one() -> None:
    other = going("copy", "pvc://models/llm")
    other["metadata"]["namespace"] = "elsewhere"
    assert decide(other, uri="pvc://models/llm").apply
    other["metadata"]["namespace"] = "team"
    assert not decide(other, uri="pvc://models/llm").apply


def serving() -> list[Object]:
    w = serving_world()
    w.objects.pop(ObjectKey("RelevanceModel", "llm"), None)
    w.add(model("llm", "a"))
    serve(w)
    items = [w.resource, *(item for key, item in w.objects.items() if key.kind == "ControllerRevision")]
    return [{**item, "metadata": {"namespace": "team", **item["metadata"]}} for item in items]


def test_what_serves_or_could_be_rolled_back_to_keeps_the_bytes() -> None:
    deployment, *revisions = serving()
    assert revisions
    for user in (deployment, *revisions):
        held = decide(user, job=removal())
        assert held.apply == ()
        assert [item.key.kind for item in held.delete] == ["Job"], "it is stopped"
        assert list(held.held.values()) == [f"{user['kind']} team/{user['metadata']['name']}"]


def test_a_run_keeps_what_it_reads_until_its_end() -> None:
    w = train_world(baseModel={"uri": URI, "digest": digest("a")})
    w.settle()
    assert decide(w.resource).held
    over = finished()
    over.resource["spec"]["baseModel"] = {"uri": URI, "digest": digest("a")}
    assert decide(over.resource).apply
    edited = copy.deepcopy(over.resource)
    edited["metadata"]["generation"] += 1
    assert decide(edited).held, "whether it has ended with this spec nobody has said yet"


def test_a_run_that_is_about_to_publish_under_the_name_keeps_the_bytes() -> None:
    w = train_world(stages=[{"name": "sft", "sft": {}, "publish": {"as": "llm"}}])
    w.settle()
    assert decide(w.resource).held


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_published_model_has_the_policy_of_its_stage(policy: str) -> None:
    w = train_world(stages=[{"name": "sft", "sft": {}, "publish": {"as": "llm", "deletionPolicy": policy}}])
    w.settle()
    w.succeed("demo-sft-a1", "a")
    w.settle()
    assert w.find("RelevanceModel", "llm")["spec"].get("deletionPolicy", "Retain") == policy
