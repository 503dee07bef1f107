"""Scheduled strata builds: a proposal serves within its guards or when a person says so, and never disturbs what serves."""

from datetime import timedelta
from typing import Any

import pytest
from unit.plan.serving_world import ServingWorld, serve, world
from unit.plan.world import condition, config_of, digest, statuses

from lore_core.jobs import Failure, Phase, Report, Result

NAMED = {"uri": "pvc://lore/strata", "digest": digest("1")}
BUILD = {"log": {"uri": "s3://logs/queries", "secretRef": {"name": "logs"}}, "every": "24h"}
GOOD: dict[str, Any] = {
    "requests": 50_000,
    "shares": {"head": "0.5100", "torso": "0.3000", "tail": "0.1900"},
    "liveShares": {"head": "0.5000", "torso": "0.3000", "tail": "0.2000"},
    "headChurn": "0.0500",
}
DAY = timedelta(hours=24)


def served(**build: Any) -> ServingWorld:
    w = world(strata={**NAMED, "build": {**BUILD, **build}})
    serve(w)
    return w


def deliver(w: ServingWorld, job: str, letter: str = "6", live: str = "1", **summary: Any) -> None:
    """The pod of a build delivers its snapshot."""
    result = Result(uri=f"pvc://lore/runs/strata/{letter}", digest=digest(letter))
    found = Report(phase=Phase.SUCCEEDED, result=result, summary=GOOD | summary, resolved={"live": digest(live)})
    w.report(job, found)
    w.end_job(job)


def serving(w: ServingWorld) -> str:
    return w.config().stable_composition().strata.digest


def test_a_build_begins_once_the_deployment_serves_and_reads_the_log_and_the_live_snapshot() -> None:
    w = served()

    config = config_of(w, "search-strata-a1")
    assert config["log"] == {"uri": "s3://logs/queries", "credentials": "/mnt/lore/secrets/logs"}
    assert config["live"]["digest"] == digest("1")
    assert w.resource["status"]["strata"]["jobName"] == "search-strata-a1"
    assert statuses(w.plan())["reason"] == "Serving"


def test_without_builds_nothing_is_said_of_them() -> None:
    w = world()
    serve(w)
    assert "strata" not in w.resource["status"]
    assert not [name for name in w.names("Job") if "-strata-" in name]


def test_a_proposal_within_its_guards_is_rolled_out_and_told() -> None:
    w = served()
    deliver(w, "search-strata-a1")
    serve(w)

    status = w.resource["status"]["strata"]
    assert serving(w) == digest("6")
    assert status["result"]["digest"] == digest("6")
    assert status["proposal"]["verdict"] == "Accepted"
    assert "StrataAccepted" in w.events
    assert condition(w.resource["status"], "StrataProposed") is None
    assert w.resource["spec"]["strata"]["digest"] == digest("1")  # the spec is the user's


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"requests": 900}, "guards.minRequests"),
        ({"headChurn": "0.2100"}, "guards.maxHeadChurnPercent"),
        ({"shares": {"head": "0.6100", "torso": "0.2000", "tail": "0.1900"}}, "guards.maxSharePoints"),
        ({"liveShares": {}}, "beside unknown"),
        ({"headChurn": None}, "churn of the head unknown"),
    ],
)
def test_a_proposal_beyond_its_guards_waits_for_a_person(changed: dict[str, Any], words: str) -> None:
    w = served()
    deliver(w, "search-strata-a1", **changed)
    serve(w)

    waits = condition(w.resource["status"], "StrataProposed")
    assert serving(w) == digest("1")
    assert waits is not None
    assert words in waits["message"]
    assert f"spec.strata.build.approve to {digest('6')}" in waits["message"]
    assert "StrataProposed" in w.events
    assert statuses(w.plan())["Ready"] == "True"

    w.edit(strata={**NAMED, "build": {**BUILD, "approve": digest("6")}})
    serve(w)
    assert serving(w) == digest("6")
    assert condition(w.resource["status"], "StrataProposed") is None


def test_an_approval_lets_only_its_own_digest_pass() -> None:
    w = served(approve=digest("7"))
    deliver(w, "search-strata-a1", requests=1)
    serve(w)
    assert serving(w) == digest("1")


def test_the_next_build_comes_at_its_time_and_is_set_beside_what_serves_then() -> None:
    w = served()
    deliver(w, "search-strata-a1")
    serve(w)
    w.pass_time(DAY - timedelta(minutes=1))
    serve(w)
    assert not w.has("Job", "search-strata-a2")

    w.pass_time(timedelta(minutes=1))
    serve(w)
    assert config_of(w, "search-strata-a2")["live"]["digest"] == digest("6")
    deliver(w, "search-strata-a2", letter="7", live="6")
    serve(w)
    assert serving(w) == digest("7")
    assert not w.has("ConfigMap", "search-strata-a1-report")


def test_wiped_status_changes_nothing_of_what_serves() -> None:
    w = served()
    deliver(w, "search-strata-a1")
    serve(w)
    w.resource["status"] = {}
    serve(w)
    assert serving(w) == digest("6")
    assert w.resource["status"]["strata"]["result"]["digest"] == digest("6")


def test_naming_another_snapshot_in_the_spec_drops_what_was_built() -> None:
    w = served()
    deliver(w, "search-strata-a1")
    serve(w)
    w.edit(strata={"uri": "pvc://lore/by-hand", "digest": digest("8"), "build": BUILD})
    serve(w)
    assert serving(w) == digest("8")
    assert w.resource["status"]["strata"]["proposal"]["verdict"] == "Outdated"


def test_what_was_accepted_goes_on_without_further_builds() -> None:
    w = served()
    deliver(w, "search-strata-a1")
    serve(w)
    w.edit(strata=NAMED)
    serve(w)
    w.pass_time(2 * DAY)
    serve(w)
    assert serving(w) == digest("6")
    assert not w.has("Job", "search-strata-a2")


def test_a_build_that_cannot_succeed_is_told_and_what_serves_goes_on() -> None:
    w = served()
    told = Failure(reason="BadQueryLog", message="log.jsonl: line 3: query: must be text")
    w.report("search-strata-a1", Report(phase=Phase.FAILED, failure=told))
    w.end_job("search-strata-a1", "Failed")
    serve(w)

    failed = condition(w.resource["status"], "StrataBuildFailed")
    assert failed is not None
    assert "BadQueryLog: log.jsonl: line 3: query: must be text" in failed["message"]
    assert w.resource["status"]["strata"]["failure"]["reason"] == "BadQueryLog"
    assert statuses(w.plan())["Ready"] == "True"
    assert not w.has("Job", "search-strata-a2")  # bad input is not tried again before its time

    w.pass_time(DAY)
    serve(w)
    assert w.has("Job", "search-strata-a2")
    assert condition(w.resource["status"], "StrataBuildFailed") is None


def test_a_pod_that_died_is_tried_again() -> None:
    w = served()
    w.fail_pod("search-strata-a1")
    serve(w)
    assert condition(w.resource["status"], "StrataBuildFailed") is None
    w.pass_time(timedelta(minutes=1))
    serve(w)
    assert w.has("Job", "search-strata-a2")


def test_a_runner_that_is_not_allowed_is_told_by_its_field_and_what_serves_goes_on() -> None:
    w = served(runner={"podTemplate": {"spec": {"containers": [{"name": "lore", "command": ["sh"]}]}}})
    failed = condition(w.resource["status"], "StrataBuildFailed")
    assert failed is not None
    assert "spec.strata.build.runner.podTemplate" in failed["message"]
    assert statuses(w.plan())["Ready"] == "True"


def test_a_rollout_and_a_build_do_not_stop_each_other() -> None:
    w = served()
    tiers = w.resource["spec"]["tiers"]
    tiers[0]["cache"]["candidates"]["digest"] = digest("5")
    w.edit(tiers=tiers)
    w.step()
    w.step()
    assert [name for name in w.names("Job") if "-head-" in name and not w.find("Job", name).get("status")]
    assert not w.find("Job", "search-strata-a1")["metadata"].get("deletionTimestamp")
    serve(w)
    deliver(w, "search-strata-a1")
    serve(w)
    assert serving(w) == digest("6")


def test_each_kind_of_pod_may_patch_its_own_reports_only() -> None:
    w = served()
    (rule,) = w.find("Role", "search-strata")["rules"]
    assert rule["resourceNames"] == ["search-strata-a1-report"]
    assert w.find("Job", "search-strata-a1")["spec"]["template"]["spec"]["serviceAccountName"] == "search-strata"


def test_a_pinned_revision_builds_nothing() -> None:
    w = world(strata={**NAMED, "build": BUILD})
    del w.resource["spec"]["strata"]["build"]
    serve(w)
    w.edit(strata={**NAMED, "build": BUILD}, rollout={"pinRevision": w.resource["status"]["stable"]})
    serve(w)
    assert not w.has("Job", "search-strata-a1")
