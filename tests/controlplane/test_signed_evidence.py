"""A verdict that was reached in one cluster opens the gate of another, and nothing else that looks like one does."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cluster.operator_process import IMAGES, Api, OperatorProcess, condition, until
from controlplane.test_operator_serving import SERVING, digest, lore
from unit.plan import signed

from lore_operator.api.v1alpha1.common import ServingProfile
from lore_operator.engine.resources import INFERENCE_SERVICES, JOBS, KINDS

pytestmark = pytest.mark.usefixtures("kserve_kinds")
MODELS, DEPLOYMENTS = KINDS["RelevanceModel"], KINDS["RelevanceDeployment"]
REQUIREMENT = {"name": "quality", "benchmarkDigest": digest("b"), "gateSetDigest": digest("9")}
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def trusting(operator_account: Path, namespace: str, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that trusts one key."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "staging.pem").write_bytes(signed.PUBLIC)
    variables = {**IMAGES, "LORE_TRUSTED_KEYS": str(keys)}
    running = OperatorProcess(operator_account, namespace, tmp_path / "operator.log", variables)
    running.start()
    yield running
    running.kill()
    print((tmp_path / "operator.log").read_text()[-8000:])


def attested(now: datetime = NOW, **changes: Any) -> str:
    profile = ServingProfile().resolved(IMAGES["LORE_SERVER_IMAGE"]).content_digest()
    bound = {"model": digest("a"), "benchmark": digest("b"), "gate_set": digest("9"), "profile": profile}
    return signed.attestation(now, **(bound | changes))


def altered() -> str:
    document = json.loads(attested(verdict="Failed"))
    payload = base64.b64decode(document["payload"]).replace(b"Failed", b"Passed")
    return json.dumps(document | {"payload": base64.b64encode(payload).decode()})


REFUSED = {
    "forged": (attested(key=signed.STRANGER), "EvidenceKeyUnknown"),
    "altered": (altered(), "EvidenceForged"),
    "expired": (attested(now=NOW - timedelta(days=31)), "EvidenceExpired"),
    "other-model": (attested(model=digest("c")), "EvidenceForOtherModel"),
    "other-profile": (attested(profile=digest("d")), "Accepted"),
}


def model(**evidence: str) -> dict[str, Any]:
    spec = {"uri": "pvc://lore/llm", "digest": digest("a"), "role": "Generative"}
    spec["evidence"] = [{"name": name, "attestation": text} for name, text in evidence.items()]
    return lore("RelevanceModel", "llm", spec)


async def test_only_a_verdict_that_a_trusted_key_signed_for_exactly_this_opens_the_gate(
    api: Api, trusting: OperatorProcess
) -> None:
    await api.create(model(**{name: text for name, (text, _) in REFUSED.items()}))
    await api.create({**SERVING, "spec": {**SERVING["spec"], "gate": {"requirements": [REQUIREMENT]}}})

    seen = await until(lambda: api.get(MODELS, "llm"), lambda found: bool(found["status"].get("evidence")))
    assert {item["name"]: item["reason"] for item in seen["status"]["evidence"]} == {
        name: reason for name, (_, reason) in REFUSED.items()
    }
    assert condition(seen, "UntrustedEvidence")["status"] == "True"
    stalled = await until(
        lambda: api.get(DEPLOYMENTS, "search"), lambda found: condition(found, "Stalled").get("status") == "True"
    )
    assert condition(stalled, "Stalled")["reason"] == "GateBlocked"
    assert await api.names(INFERENCE_SERVICES) == await api.names(JOBS) == []

    evidence = [{"name": "staging", "attestation": attested()}]
    await api.patch(MODELS, "llm", {"spec": {"evidence": evidence}})

    await until(lambda: api.names(JOBS), lambda names: any(name.startswith("search-head-") for name in names))
    admitted = await api.get(MODELS, "llm")
    assert [item["accepted"] for item in admitted["status"]["evidence"]] == [True]
