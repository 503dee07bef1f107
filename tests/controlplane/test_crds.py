"""The CRDs against a real API server: every rule, strict fields, and types and schema refusing the same things."""

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from unit.api.specs import ACCEPTED, FROZEN, GOOD, GROWN, MALFORMED, REFUSED, Case, case_name, resource
from unit.api.strategies import edited_specs
from unit.api.test_parse import PARSE

from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from lore_operator.api import InvalidResource

PLURALS = {kind: kind.lower() + "s" for kind in GOOD}


@pytest.fixture(scope="session")
def server(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The API server over HTTP: dry-run creates, with unknown fields refused as kubectl does."""
    config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    folder = tmp_path_factory.mktemp("identity")
    for name, source in (("certificate", user), ("key", user)):
        (folder / name).write_bytes(base64.b64decode(source[f"client-{name}-data"]))
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=ca)
    context.load_cert_chain(folder / "certificate", folder / "key")
    with httpx.Client(base_url=cluster["server"], verify=context, trust_env=False) as client:
        yield client


def refusal(server: httpx.Client, found: dict[str, Any]) -> str | None:
    """Why the API server refuses an object, or None where it would store it."""
    path = f"/apis/lore-platform.io/v1alpha1/namespaces/{found['metadata']['namespace']}/{PLURALS[found['kind']]}"
    answer = server.post(path, params={"dryRun": "All", "fieldValidation": "Strict"}, json=found)
    if answer.status_code == 201:
        return None
    assert answer.status_code in (400, 422), answer.text
    return str(answer.json()["message"])


@pytest.mark.parametrize("found", ACCEPTED, ids=case_name)
def test_what_the_rules_allow_is_accepted(server: httpx.Client, found: Case) -> None:
    assert refusal(server, found.build()) is None


@pytest.mark.parametrize("found", [*REFUSED, *MALFORMED], ids=case_name)
def test_what_a_rule_forbids_is_refused_in_its_words(server: httpx.Client, found: Case) -> None:
    message = refusal(server, found.build())

    assert message is not None
    assert found.message is not None
    assert found.message in message


@pytest.mark.parametrize("found", FROZEN, ids=case_name)
def test_a_model_never_changes(kubectl: Kubectl, namespace: str, found: Case) -> None:
    kubectl.apply(resource(found.kind, namespace=namespace))

    with pytest.raises(ClusterError, match=found.message):
        kubectl("replace", "-f", "-", stdin=json.dumps(found.build(namespace=namespace)))


@pytest.mark.parametrize("found", GROWN, ids=case_name)
def test_metadata_of_a_model_may_change(kubectl: Kubectl, namespace: str, found: Case) -> None:
    kubectl.apply(resource(found.kind, namespace=namespace))

    kubectl("replace", "-f", "-", stdin=json.dumps(found.build(namespace=namespace)))


@pytest.mark.parametrize("kind", GOOD)
def test_an_unknown_field_is_refused_by_apply_and_named(kubectl: Kubectl, namespace: str, kind: str) -> None:
    found = resource(kind, namespace=namespace)
    found["spec"]["misspelt"] = 1

    with pytest.raises(ClusterError, match=r"spec\.misspelt"):
        kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(found))


@pytest.mark.parametrize("kind", GOOD)
def test_the_schema_is_structural(kubectl: Kubectl, kind: str) -> None:
    conditions = kubectl.get("crd", f"{PLURALS[kind]}.lore-platform.io")["status"]["conditions"]

    assert [item for item in conditions if item["type"] == "NonStructuralSchema"] == []


@pytest.mark.parametrize("kind", GOOD)
def test_a_fresh_object_says_that_nobody_has_looked_at_it(kubectl: Kubectl, namespace: str, kind: str) -> None:
    kubectl.apply(resource(kind, namespace=namespace))

    assert kubectl.get(kind, "demo", f"--namespace={namespace}")["status"] == {"observedGeneration": -1}


def test_kubectl_shows_verdict_primary_score_and_gates_passed_of_an_evaluation(
    kubectl: Kubectl, namespace: str
) -> None:
    kubectl.apply(resource("RelevanceEval", namespace=namespace))
    status = {"verdict": "Failed", "primary": {"name": "MacroF1", "value": "0.731000"}, "gatesPassed": "2/3"}
    patch = ["--subresource=status", "--type=merge", "--patch", json.dumps({"status": status})]
    kubectl("patch", "reval", "demo", f"--namespace={namespace}", *patch)

    heads, row = kubectl("get", "reval", f"--namespace={namespace}").splitlines()

    shown = dict(zip(heads.split(), row.split(), strict=False))
    assert (shown["NAME"], shown["VERDICT"]) == ("demo", "Failed")
    # Conditions are unset, and kubectl leaves their cells empty: the others are found below their heads.
    assert row[heads.index("SCORE") :].split()[0] == "0.731000"
    assert row[heads.index("GATES") :].split()[0] == "2/3"


def test_the_kinds_are_listed_together_by_their_category(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(*(resource(kind, namespace=namespace) for kind in GOOD))

    listed = kubectl("get", "lore", f"--namespace={namespace}", "--output=name").split()

    assert listed == [f"{kind.lower()}.lore-platform.io/demo" for kind in sorted(GOOD)]


@pytest.mark.parametrize("kind", GOOD)
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_types_and_schema_accept_the_same_specs(server: httpx.Client, kind: str, data: st.DataObject) -> None:
    found = resource(kind)
    found["spec"] = data.draw(edited_specs(kind))
    try:
        PARSE[kind](found)
        by_types = None
    except InvalidResource as error:
        by_types = str(error)

    by_server = refusal(server, found)

    assert (by_types is None) == (by_server is None), (found["spec"], by_types, by_server)
