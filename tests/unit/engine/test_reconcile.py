"""What a pass does when the API server refuses, lies in pieces, or the decision itself breaks.

Only what a real API server cannot be made to do: tests/controlplane has the rest.
"""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from lore_operator.children.settings import Images, Settings
from lore_operator.engine.client import KubeClient
from lore_operator.engine.framework import kopf
from lore_operator.engine.keys import Key
from lore_operator.engine.observe import Observer
from lore_operator.engine.parents import Parents
from lore_operator.engine.reconcile import Reconciler
from lore_operator.plan.types import Apply, Delete, Object, ObjectKey, Observed, Plan, Reference

KEY = Key("RelevanceTrainJob", "team", "demo")
PARENT = "/apis/lore-platform.io/v1alpha1/namespaces/team/relevancetrainjobs/demo"
MAPS = "/api/v1/namespaces/team/configmaps"
SETTINGS = Settings(Images("t", "s", "r"), "1")
Answer = tuple[int, dict[str, Any]]
LABELS = {
    "app.kubernetes.io/managed-by": "lore-operator",
    "lore-platform.io/kind": "RelevanceTrainJob",
    "lore-platform.io/name": "demo",
}


def config_map(uid: str = "u1") -> Object:
    metadata = {"name": "child", "namespace": "team", "uid": uid, "resourceVersion": "5", "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


class Server:
    """An API server whose answers a test scripts: (method, path) -> answer; lists are empty otherwise."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = {}
        self.calls: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.tokens: list[str] = []
        self.url = ""
        parent = {"name": "demo", "namespace": "team", "uid": "p", "resourceVersion": "1", "generation": 1}
        self.say("GET", PARENT, 200, {"apiVersion": "v", "kind": "RelevanceTrainJob", "metadata": parent, "spec": {}})
        self.say("PATCH", f"{PARENT}/status", 200, {"metadata": parent})

    def say(self, method: str, path: str, status: int, body: dict[str, Any]) -> None:
        self.answers.setdefault((method, path), []).append((status, body))

    async def handle(self, request: web.Request) -> web.Response:
        found = (request.method, request.path)
        self.calls.append(found)
        self.tokens.append(request.headers.get("Authorization", ""))
        text = await request.text()
        self.bodies.append(json.loads(text) if text else None)
        known = self.answers.get(found)
        if known is None:
            return web.json_response({"items": [], "metadata": {"resourceVersion": "9"}})
        status, body = known.pop(0) if len(known) > 1 else known[0]
        return web.json_response(body, status=status)

    def status_written(self) -> dict[str, Any]:
        """The status of the last patch."""
        bodies = [body for call, body in zip(self.calls, self.bodies, strict=True) if call[1].endswith("/status")]
        return dict(bodies[-1]["status"]) if bodies else {}


class Decision:
    """A decision module of one line."""

    def __init__(self, decide: Callable[[Observed], Plan], *looks_at: Reference) -> None:
        self.decide, self.seen, self.looks_at = decide, list[Observed](), frozenset(looks_at)

    def references(self, resource: Object) -> frozenset[Reference]:
        return self.looks_at

    def plan(self, resource: Object, observed: Observed, now: datetime, settings: Settings) -> Plan:
        self.seen.append(observed)
        return self.decide(observed)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", running.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield running
    await runner.cleanup()


@pytest.fixture
def logins() -> list[str]:
    return []


@pytest.fixture
async def client(server: Server, logins: list[str]) -> AsyncIterator[KubeClient]:
    def connect() -> kopf.ConnectionInfo:
        logins.append(f"token-{len(logins)}")
        return kopf.ConnectionInfo(server=server.url, token=logins[-1])

    async with KubeClient(connect) as running:
        yield running


def reconciler(client: KubeClient, decision: Decision, **more: Any) -> Reconciler:
    observer = Observer(client, {})
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return Reconciler(
        client,
        observer,
        Parents(lambda key: None),
        {KEY.kind: decision},
        SETTINGS,
        "test",
        lambda: now,
        **more,
    )


def wanting(*writes: Apply) -> Decision:
    return Decision(lambda observed: Plan(status={}, apply=() if observed.children else writes))


def reason(server: Server) -> str:
    return str(server.status_written()["conditions"][-1]["reason"])


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, "ApiThrottled"), (403, "ApiForbidden"), (422, "ApiInvalid"), (500, "ApiError"), (503, "ApiError")],
)
async def test_a_refused_write_is_told_and_tried_again(
    server: Server, client: KubeClient, status: int, expected: str
) -> None:
    server.say("POST", MAPS, status, {"reason": "Whatever", "message": "not now"})

    outcome = await reconciler(client, wanting(Apply(config_map()))).reconcile(KEY)

    assert (outcome.failure, reason(server)) == (expected, expected)


async def test_nothing_is_written_after_a_write_that_failed(server: Server, client: KubeClient) -> None:
    server.say("POST", MAPS, 500, {})
    second = config_map() | {"kind": "Service"}

    await reconciler(client, wanting(Apply(config_map()), Apply(second))).reconcile(KEY)

    assert not [path for method, path in server.calls if path.endswith("/services")]


async def test_a_decision_that_breaks_is_told_in_the_condition(server: Server, client: KubeClient) -> None:
    def broken(observed: Observed) -> Plan:
        raise KeyError("stages")

    outcome = await reconciler(client, Decision(broken)).reconcile(KEY)

    assert (outcome.failure, reason(server)) == ("InternalError", "InternalError")


async def test_a_view_that_is_too_old_is_no_failure_of_the_resource(server: Server, client: KubeClient) -> None:
    server.say("POST", MAPS, 409, {"reason": "Conflict", "message": "moved"})

    outcome = await reconciler(client, wanting(Apply(config_map()))).reconcile(KEY)

    assert (outcome.failure, server.status_written()) == ("Conflict", {})


async def test_a_taken_name_is_looked_at_and_decided_again(server: Server, client: KubeClient) -> None:
    server.say("POST", MAPS, 409, {"reason": "AlreadyExists"})
    server.say("GET", f"{MAPS}/child", 200, config_map("theirs"))
    decision = wanting(Apply(config_map()))

    outcome = await reconciler(client, decision).reconcile(KEY)

    assert outcome.failure is None
    assert decision.seen[-1].children[ObjectKey("ConfigMap", "child")]["metadata"]["uid"] == "theirs"


async def test_a_taken_name_that_all_share_is_read_and_nothing_else(server: Server, client: KubeClient) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lore-workload", "namespace": "team"}}
    path = "/api/v1/namespaces/team/serviceaccounts"
    server.say("POST", path, 409, {"reason": "AlreadyExists"})
    server.say("GET", f"{path}/lore-workload", 200, account)

    await reconciler(client, wanting(Apply(account))).reconcile(KEY)

    assert [call for call in server.calls if call[0] == "GET"] == [("GET", PARENT), ("GET", f"{path}/lore-workload")]


async def test_a_deletion_is_decided_on_a_live_view(server: Server, client: KubeClient) -> None:
    child = ObjectKey("ConfigMap", "child")
    decision = Decision(lambda observed: Plan(status={}, delete=() if observed.children else (Delete(child, "u1"),)))
    server.say("GET", MAPS, 200, {"items": [config_map()], "metadata": {"resourceVersion": "9"}})

    await reconciler(client, decision).reconcile(KEY)

    assert child in decision.seen[-1].children
    assert not [call for call in server.calls if call[0] == "DELETE"]


async def test_what_was_removed_meanwhile_is_as_good_as_deleted(server: Server, client: KubeClient) -> None:
    server.say("DELETE", f"{MAPS}/child", 404, {"reason": "NotFound"})
    decision = Decision(lambda observed: Plan(status={}, delete=(Delete(ObjectKey("ConfigMap", "child"), "u1"),)))

    assert (await reconciler(client, decision).reconcile(KEY)).failure is None


async def test_a_token_that_ran_out_is_read_again(server: Server, client: KubeClient, logins: list[str]) -> None:
    good = server.answers["GET", PARENT][0]
    server.answers["GET", PARENT] = [(401, {"reason": "Unauthorized"}), good]

    outcome = await reconciler(client, wanting()).reconcile(KEY)

    assert (outcome.failure, server.tokens[-1], len(logins)) == (None, "Bearer token-1", 2)


async def test_a_resource_that_has_just_come_is_not_asked_for(server: Server, client: KubeClient) -> None:
    came = server.answers["GET", PARENT][0][1]

    outcome = await reconciler(client, wanting(Apply(config_map())), arrived=lambda key: came).reconcile(KEY)

    assert (outcome.failure, server.calls[0]) == (None, ("POST", MAPS))


async def test_what_is_absent_is_not_asked_for_again(server: Server, client: KubeClient) -> None:
    path = "/apis/lore-platform.io/v1alpha1/namespaces/team/relevancemodels/llm"
    server.say("GET", path, 404, {"reason": "NotFound"})
    passes = reconciler(client, Decision(lambda observed: Plan(status={}), Reference("RelevanceModel", "llm")))

    await passes.reconcile(KEY)
    await passes.reconcile(KEY)

    assert server.calls.count(("GET", path)) == 1


async def test_where_many_wait_what_was_begun_is_told_by_a_later_pass(server: Server, client: KubeClient) -> None:
    decision = Decision(lambda observed: Plan(status={"phase": "Working"}, apply=(Apply(config_map()),)))

    outcome = await reconciler(client, decision, crowded=lambda: True).reconcile(KEY)

    assert (outcome.failure, server.status_written()) == (None, {})
    assert outcome.wake_after is not None


async def test_where_many_wait_what_pods_need_later_is_made_by_the_pass_that_tells(
    server: Server, client: KubeClient
) -> None:
    begun, report = Apply(config_map()), Apply(config_map(), later=True)
    passes = iter([(begun, report), (report,)])
    decision = Decision(lambda observed: Plan(status={"phase": "Working"}, apply=next(passes)))
    many = reconciler(client, decision, crowded=lambda: True)

    await many.reconcile(KEY)
    begun_with = server.calls.count(("POST", MAPS))
    await many.reconcile(KEY)

    assert (begun_with, server.calls.count(("POST", MAPS))) == (1, 2)
    assert server.status_written() == {"phase": "Working"}


async def test_where_many_wait_a_pass_that_writes_nothing_tells(server: Server, client: KubeClient) -> None:
    decision = Decision(lambda observed: Plan(status={"phase": "Working"}))

    await reconciler(client, decision, crowded=lambda: True).reconcile(KEY)

    assert server.status_written() == {"phase": "Working"}


async def test_what_was_written_is_looked_at_soon(server: Server, client: KubeClient) -> None:
    outcome = await reconciler(client, wanting(Apply(config_map()))).reconcile(KEY)

    assert outcome.wake_after is not None
    assert outcome.wake_after < 1


async def test_a_write_that_changes_nothing_wakes_nobody(server: Server, client: KubeClient) -> None:
    server.say("GET", MAPS, 200, {"items": [config_map()], "metadata": {"resourceVersion": "9"}})
    server.say("GET", f"{MAPS}/child", 200, config_map())
    server.say("PATCH", f"{MAPS}/child", 200, config_map())
    decision = Decision(lambda observed: Plan(status={}, apply=(Apply(config_map(), on_live=True),)))

    outcome = await reconciler(client, decision).reconcile(KEY)

    assert ("PATCH", f"{MAPS}/child") in server.calls
    assert outcome.wake_after is None


async def test_a_resource_that_is_gone_is_left_in_peace(server: Server, client: KubeClient) -> None:
    server.answers["GET", PARENT] = [(404, {"reason": "NotFound"})]

    outcome = await reconciler(client, wanting(Apply(config_map()))).reconcile(KEY)

    assert (outcome.failure, server.calls) == (None, [("GET", PARENT)])


async def test_a_resource_that_is_being_deleted_gets_no_new_children(server: Server, client: KubeClient) -> None:
    server.answers["GET", PARENT][0][1]["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"

    await reconciler(client, wanting(Apply(config_map()))).reconcile(KEY)

    assert server.calls == [("GET", PARENT)]


async def test_a_kind_that_is_not_installed_is_told_so(server: Server, client: KubeClient) -> None:
    server.say("POST", MAPS, 404, {"reason": "NotFound", "message": "the server could not find the resource"})

    await reconciler(client, wanting(Apply(config_map()))).reconcile(KEY)

    assert reason(server) == "KindNotInstalled"
