"""RelevanceEvals of an endpoint, a served tier and of traffic: what is asked where, and that their verdicts let no model serve."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from unit.plan.test_evaluation import GATES, SPEC, champion
from unit.plan.world import SETTINGS, World, condition, config_of, digest, resource, statuses

from lore_core.jobs import JudgedEndpoint, ServingProfile
from lore_operator.api import parse_deployment, parse_model
from lore_operator.api.v1alpha1.eval_status import EvalStatus
from lore_operator.children.backend import backend_of
from lore_operator.plan import evaluation, model
from lore_operator.plan.types import Object, ObjectKey

TIER = {"deploymentRef": {"name": "search", "stratum": "tail"}}
HOSTED = {"endpoint": {"url": "https://judge/v1", "model": "judge-1", "secretRef": {"name": "judge-key"}}}
TRAFFIC = {
    "traffic": {
        "served": {"uri": "s3://logs/served", "secretRef": {"name": "logs"}},
        "firstDay": "2026-11-01",
        "lastDay": "2026-11-02",
        "revision": "search-7",
        "items": {"uri": "pvc://lore/items"},
        "judge": HOSTED["endpoint"],
    },
    "workspace": {"uri": "s3://runs/evals"},
    "gates": [{"name": "tail", "metric": "ItemGoodRate", "where": {"stratum": "tail"}, "min": "0.8"}],
}
LORE = resource("RelevanceModel", "lore", {"uri": "pvc://lore/model", "digest": digest("a"), "role": "Generative"})
JOB = "nightly-eval-a1"


def world(subject: dict[str, Any], *others: Object) -> World:
    spec = {name: value for name, value in SPEC.items() if name != "modelRef"} | subject
    w = World(evaluation, resource("RelevanceEval", "nightly", json.loads(json.dumps(spec))))
    for item in (LORE, champion(), *others):
        w.add(json.loads(json.dumps(item)))
    return w


def serving(phase: str = "Ready", dtype: str = "bfloat16", **predictor_changes: Any) -> Object:
    spec = {
        "strata": {"uri": "pvc://lore/strata", "digest": digest("5")},
        "tiers": [
            {
                "stratum": "tail",
                "predictor": {"modelRef": {"name": "lore"}, "servingProfile": {"dtype": dtype}, **predictor_changes},
            }
        ],
        "gate": {"mode": "Disabled"},
    }
    deployment = resource("RelevanceDeployment", "search", spec)
    predictor = parse_deployment(deployment).spec.tiers[0].predictor
    assert predictor is not None
    backend = backend_of(predictor, parse_model(LORE), SETTINGS.images.server)
    tier = {"stratum": "tail", "phase": phase, "model": "lore", "digest": digest("a"), "backend": backend.name}
    return deployment | {"status": {"tiers": [tier]}}


def report(w: World, **digests: str) -> dict[str, Any]:
    config = config_of(w, JOB)
    return {
        "verdict": "Passed",
        "gates": [gate | {"outcome": "Passed"} for gate in GATES],
        "gateSetDigest": config["gateSetDigest"],
        "benchmarkDigest": config["benchmark"]["digest"],
        "rulesDigest": config["ruleSet"]["digest"],
        "championDigest": config["champion"]["evidence"]["digest"],
    } | digests


def passed(w: World, **digests: str) -> World:
    w.settle()
    w.succeed(JOB, "e", report(w, **digests))
    w.settle()
    return w


def hosted() -> World:
    w = world(HOSTED)
    w.settle()
    return passed(w, endpointDigest=JudgedEndpoint.model_validate(config_of(w, JOB)["endpoint"]).identity)


def tier() -> World:
    w = world(TIER, serving())
    w.settle()
    profile = ServingProfile.model_validate(config_of(w, JOB)["profile"])
    return passed(w, modelDigest=digest("a"), profileDigest=profile.content_digest())


def measured(w: World, **changes: Any) -> dict[str, Any]:
    """What the pod of TRAFFIC reports."""
    told = {
        "served": "s3://logs/served", "firstDay": "2026-11-01", "lastDay": "2026-11-02", "revision": "search-7",
        "requests": 90000, "sampled": 1200, "rated": 300, "unreadable": 2, "raters": 3, "ratersAlpha": "0.810000",
        "itemsBothRated": 2400, "judgeAgreement": "0.930000", "judgeKappa": "0.700000",
    }  # fmt: skip
    config = config_of(w, JOB)
    return {
        "verdict": "Passed",
        "primary": {"name": "ItemGoodRate", "value": "0.83", "interval": "[0.80, 0.86]"},
        "gates": [{"name": "tail", "outcome": "Passed", "severity": "Required"}],
        "gateSetDigest": config["gateSetDigest"],
        "endpointDigest": JudgedEndpoint.model_validate(config["judge"]).identity,
        "traffic": told | changes,
    }


def traffic(**changes: Any) -> World:
    w = World(evaluation, resource("RelevanceEval", "nightly", json.loads(json.dumps(TRAFFIC))))
    w.settle()
    w.succeed(JOB, "e", measured(w, **changes))
    w.settle()
    return w


def test_traffic_is_measured_by_a_pod_with_the_keys_of_log_and_judge() -> None:
    w = World(evaluation, resource("RelevanceEval", "nightly", json.loads(json.dumps(TRAFFIC))))
    w.settle()
    config, pod = config_of(w, JOB), w.find("Job", JOB)["spec"]["template"]["spec"]

    assert pod["containers"][0]["command"][:3] == ["lore", "goodrate", "run"]
    assert (config["firstDay"], config["lastDay"], config["revision"]) == ("2026-11-01", "2026-11-02", "search-7")
    assert (config["served"]["credentials"], config["judge"]["credentials"]) == (
        "/mnt/lore/secrets/logs",
        "/mnt/lore/secrets/judge-key",
    )
    assert {"logs", "judge-key"} <= {volume.get("secret", {}).get("secretName") for volume in pod["volumes"]}


def test_another_run_reads_log_and_ratings_anew() -> None:
    w = traffic()
    first = config_of(w, JOB)["inputKey"]
    w.resource["spec"]["runToken"] = "rated"
    w.settle()

    assert [name for name in w.names("Job") if name != JOB] == ["nightly-eval-a2"]
    assert config_of(w, "nightly-eval-a2")["inputKey"] != first


def test_what_was_measured_and_how_far_the_judge_agrees_with_people_is_told() -> None:
    plan = traffic().plan()
    status, ready = EvalStatus.model_validate(plan.status), condition(plan, "Ready")

    assert status.subject == "traffic 2026-11-01..2026-11-02 of search-7"
    assert status.traffic is not None
    assert (status.traffic.requests, status.traffic.rated, status.traffic.judge_kappa) == (90000, 300, "0.700000")
    assert ready is not None
    assert ready["message"] == "1/1 gates passed; judge and people agree on 0.930000 of 2400 items, kappa 0.700000"


@pytest.mark.parametrize(
    "changes",
    [{"revision": "search-8"}, {"lastDay": "2026-11-03"}, {"served": "s3://logs/other"}, {"rated": "many"}],
    ids=["revision", "days", "log", "unreadable"],
)
def test_a_report_about_other_traffic_is_no_verdict(changes: dict[str, Any]) -> None:
    assert statuses(traffic(**changes).plan()) == {"Ready": "False", "Stalled": "True", "reason": "ReportMismatch"}


def test_an_endpoint_is_asked_under_its_name_with_the_key_from_its_secret() -> None:
    w = world(HOSTED)
    w.settle()
    config, pod = config_of(w, JOB), w.find("Job", JOB)["spec"]["template"]["spec"]

    assert config["endpoint"] | {"credentials": "/mnt/lore/secrets/judge-key"} == config["endpoint"]
    assert (config["modelName"], config["endpoint"]["model"]) == ("judge-1", "judge-1")
    assert "generation" in config
    assert "model" not in config
    assert "judge-key" in {volume.get("secret", {}).get("secretName") for volume in pod["volumes"]}


def test_a_tier_is_asked_where_it_serves_under_the_profile_it_serves_with() -> None:
    w = world(TIER, serving())
    w.settle()
    config, backend = config_of(w, JOB), serving()["status"]["tiers"][0]["backend"]

    address = f"http://{backend}-predictor.{w.resource['metadata']['namespace']}.svc.cluster.local"
    assert config["servedAt"] == {"url": address, "model": backend, "concurrency": 4}
    assert config["model"]["digest"] == digest("a")
    assert (config["profile"]["dtype"], config["profile"]["image"]) == ("bfloat16", SETTINGS.images.server)


@pytest.mark.parametrize("judged", [hosted, tier, traffic])
def test_its_verdict_passes_and_is_no_verdict_on_a_model(judged: Callable[[], World]) -> None:
    w = judged()
    plan = w.plan()
    status = EvalStatus.model_validate(plan.status)

    assert statuses(plan) == {"Ready": "True", "Passed": "True", "reason": "Passed"}
    assert status.model is None
    seen = World(model, json.loads(json.dumps(LORE)))
    seen.add(w.resource)
    assert seen.settle().status.get("verdicts", []) == []


def test_the_column_names_what_was_judged() -> None:
    assert hosted().plan().status["subject"] == "judge-1"
    assert tier().plan().status["subject"] == "search/tail"
    assert tier().plan().status["tier"]["digest"] == digest("a")


def test_a_report_about_another_endpoint_is_no_verdict() -> None:
    plan = passed(world(HOSTED), endpointDigest=digest("9")).plan()

    assert statuses(plan) == {"Ready": "False", "Stalled": "True", "reason": "ReportMismatch"}


@pytest.mark.parametrize(
    ("others", "reason", "words"),
    [
        ((), "AwaitingTier", "RelevanceDeployment search does not exist yet"),
        ((serving("Preparing"),), "AwaitingTier", "it is Preparing"),
        ((serving() | {"status": {}},), "AwaitingTier", "nothing is known of it yet"),
        (
            (serving() | {"status": serving(dtype="float16")["status"]},),
            "AwaitingTier",
            "was made from another spec or default image",
        ),
    ],
    ids=["no deployment", "preparing", "not reconciled", "rolling to another profile"],
)
def test_a_tier_that_does_not_serve_what_its_spec_says_is_waited_for(
    others: tuple[Object, ...], reason: str, words: str
) -> None:
    w = world(TIER, *others)
    plan = w.settle()
    ready = condition(plan, "Ready")

    assert statuses(plan) == {"Ready": "Unknown", "Reconciling": "True", "reason": reason}
    assert ready is not None
    assert words in ready["message"]
    assert w.names("Job") == []


def test_a_tier_that_is_not_there_is_told_with_those_that_are() -> None:
    plan = world({"deploymentRef": {"name": "search", "stratum": "torso"}}, serving()).settle()
    ready = condition(plan, "Ready")

    assert ready is not None
    assert (ready["reason"], ready["message"]) == (
        "TierNotFound",
        "RelevanceDeployment search has no tier torso with a model; it has tail",
    )


def test_a_tier_that_loads_bytes_nobody_verified_gets_no_verdict() -> None:
    runtime = {"name": "kserve-vllmserver", "storageUri": "s3://models/lore"}
    w = world(TIER, serving(kserveRuntime=runtime))
    ready = condition(w.settle(), "Ready")

    assert ready is not None
    assert ready["reason"] == "TierUnverified"
    assert "kserve-vllmserver" in ready["message"]
    assert w.names("Job") == []


def test_a_rollout_that_ends_while_the_tier_is_judged_changes_nothing_of_the_run() -> None:
    w = world(TIER, serving())
    w.settle()
    before = config_of(w, JOB)
    w.objects[ObjectKey("RelevanceDeployment", "search")] = serving(dtype="float16")
    w.settle()

    assert config_of(w, JOB) == before
    assert w.names("Job") == [JOB]
