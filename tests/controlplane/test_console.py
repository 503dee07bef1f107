"""The console on a real API server, with the rights that the chart gives it, looked at by a real browser.

With LORE_SCREENSHOTS=docs/images the pictures of docs/how-to/console.md are written anew.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cluster.audit import Right, asked
from cluster.browser import chromium
from cluster.fixtures import REPOSITORY
from cluster.operator_process import until, with_token
from unit.cli.objects import deployment, digest, evaluation, model, passed, stands, train_job

from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.kubectl import Kubectl
from lore_operator.console.server import COOKIE, Console
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.listen import listen
from lore_operator.plan.conditions import State

ACCOUNT = "system:serviceaccount:default:lore-console"
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
"""As the title of an item, which a message or a slice may carry."""
BLOCKED = "tier tail: model lore-q has no passed evaluation for quality"
RULES = yaml.safe_load((REPOSITORY / "charts/lore/files/console.yaml").read_text())


@pytest.fixture(scope="module")
def account(kubectl: Kubectl, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig with the rights that the chart gives the console."""
    rbac, name = {"apiVersion": "rbac.authorization.k8s.io/v1"}, {"metadata": {"name": "lore-console"}}
    subject = {"kind": "ServiceAccount", "name": "lore-console", "namespace": "default"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "lore-console"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lore-console", "namespace": "default"}},
        {**rbac, "kind": "ClusterRole", **name, "rules": [*RULES["read"], *RULES["reviews"]]},
        {**rbac, "kind": "ClusterRoleBinding", **name, "roleRef": reference, "subjects": [subject]},
        *view_role(),
    )
    token = kubectl("create", "token", "lore-console", "--duration=4h").strip()
    return with_token(kubeconfig, token, tmp_path_factory.mktemp("console") / "kubeconfig")


def view_role() -> list[dict[str, Any]]:
    """The cluster role by which the chart lets people read our kinds."""
    manifests = yaml.safe_load_all((REPOSITORY / "deploy/operator.yaml").read_text())
    return [item for item in manifests if item["kind"] == "ClusterRole" and item["metadata"]["name"].endswith("-view")]


@pytest.fixture
async def granted(kubectl: Kubectl, account: Path, namespace: str) -> str:
    """A person who may read the namespace, and the console's own rights: all in force. The person's token."""
    (role,) = view_role()
    kubectl("create", "serviceaccount", "ann", "-n", namespace)
    binding = (f"--clusterrole={role['metadata']['name']}", f"--serviceaccount={namespace}:ann")
    kubectl("create", "rolebinding", "ann", *binding, "-n", namespace)
    person = f"system:serviceaccount:{namespace}:ann"

    async def in_force() -> bool:
        wanted = (
            ("list", "relevanceevals", person),
            ("list", "relevanceevals", ACCOUNT),
            ("create", "tokenreviews", ACCOUNT),
        )
        return all(may(kubectl, verb, resource, who, namespace) for verb, resource, who in wanted)

    await until(in_force, bool)
    return kubectl("create", "token", "ann", "-n", namespace).strip()


def may(kubectl: Kubectl, verb: str, resource: str, who: str, namespace: str) -> bool:
    try:
        return kubectl("auth", "can-i", verb, resource, f"--as={who}", "-n", namespace).strip() == "yes"
    except ClusterError:
        return False


@pytest.fixture
async def console(account: Path, granted: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The console's address; its account may what the chart lets it."""
    monkeypatch.setenv("KUBECONFIG", str(account))
    async with KubeClient(connect) as client:
        runner, port = await listen(Console(client).app(), 0, "127.0.0.1")
        yield f"http://localhost:{port}"
        await runner.cleanup()


@pytest.fixture
def staging(put: Callable[..., None], granted: str) -> None:
    """A train job with its model and two evaluations; one deployment in the middle of a rollout, one that a gate blocks."""
    served = deployment(torso="student", tail="lore-q")
    generation = {"uri": "pvc://workspace/head", "digest": digest("7")}
    served["spec"]["tiers"].insert(0, {"stratum": "head", "cache": {"generation": generation, "onMiss": "tail"}})
    served["spec"]["rollout"] = {
        "steps": [
            {"shadow": 5, "for": "30m", "analysis": {"minSamples": 2000, "minAgreementPercent": 90}},
            {"weight": 10, "strata": ["tail"], "for": "1h", "analysis": {"maxFallbackPercent": 2}},
            {"weight": 100, "approval": True},
        ]
    }
    tiers = [
        {"stratum": "head", "phase": "Ready"},
        {"stratum": "torso", "phase": "Ready", "model": "student", "readyReplicas": 3},
        {"stratum": "tail", "phase": "Ready", "model": "lore-q", "readyReplicas": 2},
    ]
    traffic = [
        {"stratum": s, "expected": e, "live": n} for s, e, n in (("head", 50, 55), ("torso", 30, 28), ("tail", 20, 17))
    ]
    told = {
        "traffic": traffic,
        "stable": "search-1",
        "candidate": "search-2",
        "weight": 10,
        "step": 2,
        "tiers": tiers,
        "gate": "Passed",
    }
    put(
        stands(train_job(sft="lore-q", student="student"), State.COMPLETE, "Complete"),
        stands(model("lore-q"), State.REGISTERED, "Registered"),
        stands(model("student", "d"), State.REGISTERED, "Registered"),
        judged("first", "0.71", "2026-11-01T08:00:00Z"),
        judged("second", "0.78", "2026-11-09T08:00:00Z"),
        stands(train_job("weekly", sft="weekly-q"), State.STALLED, "PodFailed", f"stage sft: {HOSTILE}"),
        stands(deployment("blocked", tail="lore-q"), State.GATE_BLOCKED, "GateBlocked", BLOCKED),
        stands(served, State.ROLLING_OUT, "AwaitingSamples", "612 answers so far, 2000 are needed", **told),
    )


def judged(name: str, value: str, end: str) -> dict[str, Any]:
    metric, counts = {"metric": "Accuracy2"}, {"queries": 200, "samples": 4000}
    slices = {"all pairs": 0.0, "subset=General": 0.03, "subset=Hard": -0.08, f"title={HOSTILE}": -0.02}
    scores = [
        {**metric, **counts, "slice": where, "champion": f"{0.7 + more:.2f}"}
        | {
            field: f"{float(value) + more + width:.2f}"
            for field, width in (("value", 0), ("low", -0.04), ("high", 0.04))
        }
        for where, more in slices.items()
    ]
    gates = [
        {"name": "floor", "outcome": "Passed", "severity": "Required", "metric": "Accuracy2", "slice": "all pairs",
         "message": f"{value} is at least 0.65"},
        {"name": "hard", "outcome": "Inconclusive", "severity": "Advisory", "metric": "Accuracy2", "slice": "subset=Hard",
         "message": "too few queries to tell"},
    ]  # fmt: skip
    primary = {"name": "Accuracy2", "value": value}
    bound = {"benchmarkDigest": digest("b"), "gateSetDigest": digest("c"), "completionTime": end}
    return passed(evaluation(name, "lore-q"), gates=gates, scores=scores, primary=primary, **bound)


async def test_a_person_signs_in_and_reads_what_blocks_what(
    staging: None, console: str, granted: str, namespace: str, tmp_path: Path
) -> None:
    async with chromium(tmp_path) as browser:
        await browser.go(f"{console}/namespaces/{namespace}")
        assert "Sign in" in await browser.text()
        await browser.submit("token", "not.a.token")
        assert "does not accept this token" in await browser.text()
        await browser.submit("token", granted)
        assert f"Pipeline of {namespace}" in await browser.text()
        await browser.click("LORE console")
        await browser.submit("namespace", namespace)
        pipeline = await browser.text()
        across = await browser.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        pictures = {"console-pipeline.png": await browser.picture(height=485)}

        await browser.click("RelevanceEval/second")
        judged = await browser.text()
        whole = int(await browser.evaluate("document.documentElement.scrollHeight"))
        pictures["console-evaluation.png"] = await browser.picture(height=whole)
        await browser.go(f"{console}/namespaces/{namespace}/deployments/search")
        served = await browser.text()
        pictures["console-deployment.png"] = await browser.picture(height=985)
        titles = await browser.evaluate("document.title")
        await browser.click("Sign out")
        await browser.go(f"{console}/namespaces/{namespace}")
        assert "Sign in" in await browser.text()

    for words in (
        "RelevanceTrainJob/train",
        "Complete",
        "RelevanceDeployment/search (tier tail)",
        "GateBlocked",
        HOSTILE,
    ):
        assert words in pipeline
    assert f"system:serviceaccount:{namespace}:ann" in pipeline
    assert across[0] == across[1], "a long word in a message makes the page no wider than the window"
    for words in ("too few queries to tell", "Accuracy2 by slice", "over time", "2026-11-01T08:00:00Z"):
        assert words in judged
    for words in ("30 %", "28 %", "10 % of tail", "On its way: search-2"):
        assert words in served
    assert titles == "search – LORE console"
    fetched = {event["request"]["url"] for event in browser.of("Network.requestWillBeSent")}
    assert {url.split("/")[2] for url in fetched if not url.startswith("about:")} == {console.removeprefix("http://")}
    assert browser.of("Runtime.exceptionThrown") == []
    assert [entry for entry in browser.of("Log.entryAdded") if entry["entry"]["source"] == "security"] == []
    if folder := os.environ.get("LORE_SCREENSHOTS"):
        for name, picture in pictures.items():
            (REPOSITORY / folder / name).write_bytes(picture)


async def test_who_may_not_read_a_namespace_sees_nothing_of_it(
    staging: None, console: str, granted: str, namespace: str, kubectl: Kubectl
) -> None:
    kubectl("create", "serviceaccount", "eve", "-n", namespace)
    stranger = kubectl("create", "token", "eve", "-n", namespace).strip()
    elsewhere = kubectl("create", "token", "ann", "-n", namespace, "--audience=vault").strip()
    pages = [f"/namespaces/{namespace}{path}" for path in ("", "/evals/first", "/deployments/search", "/evals/absent")]

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def seen(path: str, **headers: str) -> tuple[int, str]:
            async with session.get(f"{console}{path}", headers=headers, allow_redirects=False) as answer:
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Cache-Control"] == "no-store"
                return answer.status, await answer.text()

        for path in pages:
            for token, expected in ((stranger, 403), (elsewhere, 401), ("", 401), ("a b", 401)):
                for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"{COOKIE}={token}"}):
                    status, text = await seen(path, **headers)
                    assert status == expected
                    assert "lore-q" not in text
                    assert not token or token not in text
        assert (await seen(f"/namespaces/{namespace}", Authorization=f"Bearer {granted}"))[0] == 200
        assert (await seen(f"/namespaces/{namespace}/evals/absent", Authorization=f"Bearer {granted}"))[0] == 404
        assert (await seen("/namespaces/kube-system", Authorization=f"Bearer {granted}"))[0] == 403
        for to, place in ((f"/namespaces/{namespace}", f"/namespaces/{namespace}"), ("//elsewhere.example.com", "/")):
            async with session.post(
                f"{console}/login", data={"token": granted, "to": to}, allow_redirects=False
            ) as answer:
                assert (answer.status, answer.headers["Location"]) == (303, place)
                assert {"HttpOnly", "Secure", "SameSite=Lax"} <= {*answer.headers["Set-Cookie"].split("; ")}
        other = {"Sec-Fetch-Site": "cross-site"}
        async with session.post(f"{console}/login", data={"token": granted}, headers=other) as answer:
            assert answer.status == 403
        assert (await seen("/namespaces/..%2F..%2Fapi", Authorization=f"Bearer {granted}"))[0] in (400, 404)


def test_the_console_has_no_right_that_it_does_not_use(
    control_plane: ControlPlane, request: pytest.FixtureRequest
) -> None:
    if len([item for item in request.session.items if item.path == request.path]) < 3:
        pytest.skip("needs the runs of this whole file")
    rules = [*RULES["read"], *RULES["reviews"]]
    granted = {Right(rule["apiGroups"][0], rule["resources"][0], verb) for rule in rules for verb in rule["verbs"]}

    assert asked(control_plane.audit_log, ACCOUNT) == granted


@pytest.fixture
def process(account: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The console as its pod runs it."""
    variables = {**os.environ, "KUBECONFIG": str(account), "LORE_HTTP_PORT": "0"}
    with (tmp_path / "console.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "lore_operator.console"], env=variables, stderr=log, cwd=REPOSITORY
        )
        yield running
        running.kill()
        running.wait(30)


async def test_the_process_listens_and_ends_when_asked(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    async def port() -> str:
        lines = (tmp_path / "console.log").read_text().splitlines()
        told = [json.loads(line)["message"] for line in lines]
        return next((words.rpartition(" ")[2] for words in told if words.startswith("listens on port ")), "")

    number = await until(port, bool)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{number}/healthz") as answer:
        assert answer.status == 200
    process.terminate()
    assert process.wait(30) == 0
