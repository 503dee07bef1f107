"""The verdict endpoint as a gate elsewhere meets it: a real token review, a real access review, and a process of its own."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml
from cluster.fixtures import REPOSITORY
from cluster.operator_process import with_token
from unit.api.specs import EVAL

from hack.cluster.kubectl import Kubectl

AUDIENCE = "lore-verdicts"
DIGEST = "sha256:" + "a" * 64
PASSED = {
    "verdict": "Passed",
    "subject": "lore",
    "model": {"name": "lore", "uri": "s3://b/m", "digest": DIGEST},
    "gates": [{"name": "floor", "outcome": "Passed"}],
    "gatesPassed": "1/1",
}
READ = {"apiGroups": ["lore-platform.io"], "resources": ["relevanceevals"], "verbs": ["get"]}


class Place(NamedTuple):
    """The endpoint, and the namespace with one evaluation that passed."""

    url: str
    namespace: str
    kubectl: Kubectl

    def ask(self, token: str | None, name: str = "nightly", **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        path = f"/v1/namespaces/{self.namespace}/evaluations/{name}"
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            return client.get(path, headers=headers, params=query)

    def token(self, account: str, audience: str | None = AUDIENCE) -> str:
        wanted = [f"--audience={audience}"] if audience else []
        return self.kubectl("create", "token", account, "--namespace", self.namespace, *wanted).strip()


def allowed(kubectl: Kubectl, user: str, **wanted: str) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": wanted},
    }
    answer = json.loads(kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review)))
    return bool(answer["status"]["allowed"])


def await_right(kubectl: Kubectl, user: str, **wanted: str) -> None:
    """The API server hears of a binding a moment after it was stored."""
    end = time.monotonic() + 60
    while not allowed(kubectl, user, **wanted):
        assert time.monotonic() < end, f"{user} may not {wanted} a minute after it was allowed"


def account(namespace: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def bound(namespace: str, name: str, role: str, *, cluster: bool) -> dict[str, Any]:
    metadata = {"name": f"{name}-{role.replace(':', '-')}", **({} if cluster else {"namespace": namespace})}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding" if cluster else "RoleBinding",
        "metadata": metadata,
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole" if cluster else "Role",
            "name": role,
        },
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }


def role(namespace: str, name: str) -> dict[str, Any]:
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    return {**rbac, "metadata": {"name": name, "namespace": namespace}, "rules": [READ]}


def judged(kubectl: Kubectl, namespace: str, name: str, **status: Any) -> None:
    kind = {"apiVersion": "lore-platform.io/v1alpha1", "kind": "RelevanceEval"}
    kubectl.apply({**kind, "metadata": {"name": name, "namespace": namespace}, "spec": EVAL})
    patch = json.dumps({"status": status})
    kubectl(
        *("patch", "relevanceevals.lore-platform.io", name, "--namespace", namespace),
        *("--subresource=status", "--type=merge", "--patch", patch),
    )


@pytest.fixture(scope="module")
def served_namespace(kubectl: Kubectl) -> str:
    """A namespace with an evaluation that passed, `argo` that may read it, and `stranger` that may not."""
    name = f"verdicts-{secrets.token_hex(3)}"
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    kubectl.apply(
        *(account(name, one) for one in ("argo", "stranger", "lore-verdicts")),
        *(role(name, "readers"), bound(name, "argo", "readers", cluster=False)),
        *(bound(name, "lore-verdicts", "readers", cluster=False),),
        bound(name, "lore-verdicts", "system:auth-delegator", cluster=True),
    )
    judged(kubectl, name, "nightly", **PASSED)
    for one in ("argo", "lore-verdicts"):
        user = f"system:serviceaccount:{name}:{one}"
        await_right(kubectl, user, verb="get", group=READ["apiGroups"][0], resource="relevanceevals", namespace=name)
    reviews = {"verb": "create", "group": "authentication.k8s.io", "resource": "tokenreviews"}
    await_right(kubectl, f"system:serviceaccount:{name}:lore-verdicts", **reviews)
    return name


@pytest.fixture(scope="module")
def place(
    served_namespace: str, kubectl: Kubectl, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    token = kubectl("create", "token", "lore-verdicts", "--namespace", served_namespace).strip()
    own = with_token(kubeconfig, token, tmp_path_factory.mktemp("verdicts") / "kubeconfig")
    variables = {"KUBECONFIG": str(own), "LORE_VERDICTS_PORT": "0", "LORE_VERDICTS_AUDIENCES": AUDIENCE}
    command = [sys.executable, "-m", "lore_operator.verdicts"]
    with subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()  # waits until it listens, or has ended
            assert said.startswith("listening on port "), said
            yield Place(f"http://127.0.0.1:{said.split()[-1]}", served_namespace, kubectl)
        finally:
            process.terminate()
            assert process.wait(60) == 0


def test_who_may_get_the_evaluation_reads_its_verdict(place: Place):
    answer = place.ask(place.token("argo"))

    assert answer.status_code == 200
    assert answer.json() | {"outcome": "Passed", "verdict": "Passed", "gatesPassed": "1/1"} == answer.json()
    assert answer.json()["model"]["digest"] == DIGEST
    assert answer.headers["cache-control"] == "no-store"


def test_who_may_not_get_it_learns_nothing_of_it_not_even_whether_it_is_there(place: Place):
    token = place.token("stranger")
    there, missing = place.ask(token), place.ask(token, "none")

    assert (there.status_code, missing.status_code) == (403, 403)
    assert "stranger may not get relevanceevals/nightly" in there.text
    assert "Passed" not in there.text


@pytest.mark.parametrize("token", [None, "forged.token.here"], ids=["none", "forged"])
def test_without_a_valid_token_there_is_no_answer(place: Place, token: str | None):
    answer = place.ask(token)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_token_for_another_audience_is_nobodys_here(place: Place):
    assert place.ask(place.token("argo", audience=None)).status_code == 401
    assert place.ask(place.token("argo", audience="vault")).status_code == 401


def test_a_right_that_is_taken_away_counts_at_once(place: Place):
    kubectl, name = place.kubectl, f"leaver-{secrets.token_hex(3)}"
    user = f"system:serviceaccount:{place.namespace}:{name}"
    wanted = {"verb": "get", "group": "lore-platform.io", "resource": "relevanceevals", "namespace": place.namespace}
    binding = bound(place.namespace, name, "readers", cluster=False)
    kubectl.apply(account(place.namespace, name), binding)
    await_right(kubectl, user, **wanted)
    token = place.token(name)
    before = place.ask(token)
    kubectl("delete", "rolebinding", binding["metadata"]["name"], "--namespace", place.namespace)
    end = time.monotonic() + 60
    while allowed(kubectl, user, **wanted):
        assert time.monotonic() < end

    assert (before.status_code, place.ask(token).status_code) == (200, 403)


def test_a_verdict_about_another_model_is_not_handed_out_as_this_ones(place: Place):
    token = place.token("argo")

    assert place.ask(token, modelDigest=DIGEST).status_code == 200
    other = place.ask(token, modelDigest="sha256:" + "b" * 64)
    assert (other.status_code, "outcome" in other.json()) == (409, False)


def test_a_kargo_stages_verification_asks_what_is_answered(place: Place):
    """The AnalysisTemplate of deploy/kargo, its arguments filled in as Argo Rollouts does; the controller does not run here."""
    documents = yaml.safe_load_all((REPOSITORY / "deploy/kargo/pipeline.yaml").read_text())
    (template,) = (item for item in documents if item["kind"] == "AnalysisTemplate")
    (metric,) = template["spec"]["metrics"]
    given = {"endpoint": place.url, "namespace": place.namespace, "evaluation": "nightly", "model-digest": DIGEST}
    text = json.dumps(metric["provider"]["web"])
    for name, value in (given | {"token": place.token("argo")}).items():
        text = text.replace(f"{{{{args.{name}}}}}", value)
    web = json.loads(text)

    headers = {item["key"]: item["value"] for item in web["headers"]}
    answer = httpx.get(web["url"], headers=headers, trust_env=False, timeout=60)

    (field,) = re.fullmatch(r"{\$\.(\w+)}", web["jsonPath"]).groups()
    assert (answer.status_code, metric["successCondition"]) == (200, f'result == "{answer.json()[field]}"')


def test_an_evaluation_that_is_not_there_is_told_to_who_may_know(place: Place):
    answer = place.ask(place.token("argo"), "none")

    assert (answer.status_code, answer.json()) == (
        404,
        {"error": f"there is no RelevanceEval none in {place.namespace}"},
    )
