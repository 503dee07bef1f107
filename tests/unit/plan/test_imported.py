"""Verdicts of other clusters and of people: what counts at the gate, under which name the rest is refused, and when it ends."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from unit.plan import signed
from unit.plan.serving_world import BENCHMARK, GATES, RULES, ServingWorld, evaluation, model, world
from unit.plan.test_deployment import serve
from unit.plan.world import SETTINGS, START, World, condition, digest, resource, statuses

from lore_core.jobs import ServingProfile
from lore_operator.api.v1alpha1.common import ServingProfile as ApiProfile
from lore_operator.children.settings import Settings
from lore_operator.plan import model as model_plan
from lore_operator.plan.types import ObjectKey

TRUSTING: Settings = replace(SETTINGS, trusted_keys=signed.KEYS)
REQUIREMENT = {"name": "quality", "benchmarkDigest": BENCHMARK, "gateSetDigest": GATES}


def profile() -> ServingProfile:
    return ApiProfile().resolved(SETTINGS.images.server)


def attested(**changes: Any) -> str:
    """A verdict that the gate of the serving world asks for of model `llm`."""
    bound = {"model": digest("a"), "benchmark": BENCHMARK, "gate_set": GATES, "rules": RULES}
    return signed.attestation(START, **(bound | {"profile": profile().content_digest()} | changes))


def altered() -> str:
    document = json.loads(attested())
    payload = json.loads(b64decode(document["payload"])) | {"expires": "2099-01-01T00:00:00Z"}
    return json.dumps(document | {"payload": b64encode(json.dumps(payload).encode()).decode()})


def importing(attestation: str, requirement: dict[str, Any] = REQUIREMENT) -> ServingWorld:
    """The model `llm` has no evaluation here, only a verdict from elsewhere."""
    w = world(verdicts=False, gate={"requirements": [requirement]})
    w.settings = TRUSTING
    w.add(evaluation("student-eval", "c"))
    w.find("RelevanceModel", "llm")["spec"]["evidence"] = [{"name": "staging", "attestation": attestation}]
    return w


def test_a_signed_verdict_of_another_cluster_opens_the_gate() -> None:
    w = importing(attested())
    w.settle()

    admitted = w.resource["status"]
    assert condition(admitted, "Stalled") is None
    assert w.names("Job"), "the head is built: the composition was let in"


@pytest.mark.parametrize(
    ("attestation", "words"),
    [
        (attested(key=signed.STRANGER), "EvidenceKeyUnknown"),
        (altered(), "EvidenceForged"),
        (attested(model=digest("9")), "EvidenceForOtherModel"),
        (attested(issued=START - timedelta(days=9), expires=START - timedelta(days=1)), "EvidenceExpired"),
        (attested(verdict="Failed"), "EvidenceNotPassed"),
        ("{}", "EvidenceUnreadable"),
        (attested(profile=digest("9")), "its serving profile is"),
        (attested(benchmark=digest("9")), "its benchmark is"),
        (attested(rules=digest("9")), "its rule set is"),
        (attested(custom_runner=True), "another image"),
        (attested(protocol="GeneratedAnswer"), "generated answers"),
    ],
)
def test_every_other_one_is_refused_by_name_and_starts_nothing(attestation: str, words: str) -> None:
    w = importing(attestation)
    w.settle()

    stalled = condition(w.resource["status"], "Stalled")
    assert stalled is not None
    assert stalled["reason"] == "GateBlocked"
    assert words in stalled["message"]
    assert (w.backends(), w.names("Job")) == ([], [])


@pytest.mark.parametrize("field", ["benchmarkDigest", "gateSetDigest"])
def test_it_counts_only_where_digests_say_what_was_judged(field: str) -> None:
    w = importing(attested(), {name: value for name, value in REQUIREMENT.items() if name != field})
    w.settle()

    stalled = condition(w.resource["status"], "Stalled")
    assert stalled is not None
    assert "benchmarkDigest and gateSetDigest" in stalled["message"]


def test_without_a_trusted_key_none_counts() -> None:
    w = importing(attested())
    w.settings = SETTINGS
    w.settle()

    assert "EvidenceKeyUnknown" in (condition(w.resource["status"], "Stalled") or {})["message"]


def test_one_that_ends_while_it_serves_alerts_and_evicts_nothing() -> None:
    w = importing(attested())
    serve(w)
    before = w.backends()
    w.pass_time(timedelta(days=31))

    plan = serve(w)

    assert (statuses(plan)["Ready"], statuses(plan)["VerdictExpired"], w.backends()) == ("True", "True", before)


def test_a_model_shows_what_it_found_of_each() -> None:
    found = model("llm", "a")
    found["spec"]["evidence"] = [
        {"name": "good", "attestation": attested()},
        {"name": "forged", "attestation": altered()},
    ]
    plan = model_plan.plan(
        resource("RelevanceModel", "llm", found["spec"]), World(model_plan, found).observed(), START, TRUSTING
    )

    good, forged = plan.status["evidence"]
    assert (good["accepted"], good["benchmarkDigest"], good["reason"]) == (True, BENCHMARK, "Accepted")
    assert (forged["accepted"], forged["reason"]) == (False, "EvidenceForged")
    assert statuses(plan) == {"Ready": "True", "UntrustedEvidence": "True", "reason": "Registered"}
    assert plan.wake_at == START + timedelta(days=30)


def overridden(**changes: Any) -> ServingWorld:
    """The evaluation of `llm` failed; a person lets it pass."""
    said = {"by": "ada", "reason": "outage of the champion", "expires": "2026-11-03T00:00:00Z"}
    w = world(verdicts=False)
    w.add(evaluation("student-eval", "c"))
    w.add(evaluation("llm-eval", "a", verdict="Failed", **({"override": said} | changes)))
    return w


def test_an_override_lets_a_failed_verdict_pass_and_is_shown_while_it_serves() -> None:
    w = overridden()
    plan = serve(w)

    alert = condition(plan.status, "VerdictOverridden")
    assert statuses(plan)["Ready"] == "True"
    assert alert is not None
    assert "llm-eval Failed, overridden by ada until 2026-11-03" in alert["message"]


def test_an_override_changes_nothing_about_what_was_judged() -> None:
    w = overridden(profileDigest=digest("9"))
    w.settle()

    assert (condition(w.resource["status"], "Stalled") or {})["reason"] == "GateBlocked"


def test_an_override_that_ended_no_longer_opens_the_gate() -> None:
    w = overridden()
    del w.find("RelevanceEval", "llm-eval")["status"]["override"]
    w.settle()

    assert (w.backends(), ObjectKey("RelevanceEval", "llm-eval") in w.objects) == ([], True)
