"""Sick and busy predictors are passed over, tokens are asked for, traces are passed on, and the OpenAPI document is true."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from aiohttp import web
from integration.router.world import QUERIES, RunningRouter, World

from lore_core.cli import main
from lore_core.router import openapi
from lore_core.router.auth import BearerTokens

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def guarded(world: World, **guard: int) -> dict[str, Any]:
    composition = world.composition()
    composition["tiers"]["torso"]["predictor"]["guard"] = guard
    return composition


async def status_500(_: web.Request) -> web.Response:
    return web.Response(status=500, text="engine died")


async def shed(router: RunningRouter, reason: str) -> float:
    return await router.metric("lore_router_shed_total", stratum="torso", tier="torso", reason=reason)


async def test_a_tier_with_enough_to_do_is_passed_over_and_counted(router: RunningRouter, world: World) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return web.json_response({"data": [{"probs": list(world.torso.scores)}]})

    await router.serve(world.config(guarded(world, maxQuestions=1)))
    world.torso.behave = slow
    first = asyncio.create_task(router.ask(QUERIES["torso"], "i1"))
    await arrived.wait()
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "tail"
    go_on.set()
    assert (await first)["tier"] == "torso"
    assert await shed(router, "Shed") == 1


async def test_a_tier_that_keeps_failing_rests_and_comes_back(router: RunningRouter, world: World) -> None:
    world.torso.behave = status_500
    await router.serve(world.config(guarded(world, breakerFailures=3, breakerPauseMs=300, retryPercent=0)))
    for _ in range(5):
        assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "tail"
    asked = len(world.torso.requests)
    assert await shed(router, "CircuitOpen") >= 1
    world.torso.behave = None
    async with asyncio.timeout(20):
        while (await router.ask(QUERIES["torso"], "i1"))["tier"] != "torso":
            pass
    assert len(world.torso.requests) > asked


async def test_a_rest_outlives_a_new_configuration(router: RunningRouter, world: World) -> None:
    world.torso.behave = status_500
    guard = {"breakerFailures": 1, "breakerPauseMs": 600_000, "retryPercent": 0}
    await router.serve(world.config(guarded(world, **guard)))
    await router.ask(QUERIES["torso"], "i1")
    assert len(world.torso.requests) == 1
    await router.serve(world.config(guarded(world, **guard) | {"revision": "r2"}, stable="r2"))
    await router.ask(QUERIES["torso"], "i1")
    assert not world.torso.requests


async def test_a_passing_failure_is_retried_once(ready: RunningRouter, world: World) -> None:
    async def first_fails(request: web.Request) -> web.Response:
        if len(world.torso.requests) == 1:
            return await status_500(request)
        return web.json_response({"data": [{"probs": list(world.torso.scores)}]})

    world.torso.behave = first_fails
    assert (await ready.ask(QUERIES["torso"], "i1"))["tier"] == "torso"
    assert len(world.torso.requests) == 2


async def test_what_the_predictor_refuses_is_not_retried(ready: RunningRouter, world: World) -> None:
    async def refuses(_: web.Request) -> web.Response:
        return web.Response(status=400)

    world.torso.behave = refuses
    assert (await ready.ask(QUERIES["torso"], "i1"))["tier"] == "tail"
    assert len(world.torso.requests) == 1


async def test_trace_context_reaches_the_predictor_of_its_own_question_only(ready: RunningRouter, world: World) -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.headers.get("traceparent"), request.headers.get("tracestate")))
        return web.json_response({"data": [{"probs": list(world.torso.scores)}]})

    world.torso.behave = note
    body = {"query": QUERIES["torso"], "items": [{"id": "i1"}]}
    headers = {"traceparent": PARENT, "tracestate": "vendor=1"}
    await ready.client.post("/v1/relevance", json=body, headers=headers)
    await ready.client.post("/v1/relevance", json=body)
    assert seen == [(PARENT, "vendor=1"), (None, None)]


async def test_where_tokens_are_asked_for_only_their_bearers_are_answered(world: World, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    router = RunningRouter(tmp_path / "shelf")
    router.app._tokens = BearerTokens(tmp_path / "tokens")
    async with router.running() as running:
        await running.serve(world.config())
        body = {"query": QUERIES["head"], "items": [{"id": "i1"}]}
        refused = await running.client.post("/v1/relevance", json=body)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        allowed = await running.client.post("/v1/relevance", json=body, headers={"authorization": "Bearer secret"})
        assert allowed.status_code == 200
        assert (await running.client.get("/healthz")).status_code == 200


async def test_a_client_over_its_quota_is_told_when_to_come_back_and_others_are_answered(
    ready: RunningRouter, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("slow crawler 0.01\nquick web\n")
    ready.app._tokens = BearerTokens(tmp_path / "tokens")
    body = {"query": QUERIES["head"], "items": [{"id": "i1"}]}

    async def asked(token: str) -> httpx.Response:
        return await ready.client.post("/v1/relevance", json=body, headers={"authorization": f"Bearer {token}"})

    assert (await asked("slow")).status_code == 200
    refused = await asked("slow")
    assert (refused.status_code, 0 < int(refused.headers["retry-after"]) <= 100) == (429, True)
    assert "crawler" in refused.json()["error"]["message"]
    assert [(await asked("quick")).status_code for _ in range(5)] == [200] * 5
    assert await ready.metric("lore_router_clients_total", client="crawler", result="over") == 1
    assert await ready.metric("lore_router_clients_total", client="web", result="within") == 5


async def test_explain_says_which_tier_answers_and_why(router: RunningRouter, world: World) -> None:
    stable, candidate = world.composition("r1", 60), world.composition("r2", 40)
    await router.serve(world.config(stable, candidate))
    said = (await router.client.post("/v1/explain", json={"query": " Red   SHIRT"})).json()
    assert (said["query_key"], said["weight_stratum"], said["stratum"]) == ("red shirt", "head", "head")
    assert (said["tiers"], said["head_pairs"], said["candidate_weight"]) == (["cache", "torso", "tail"], 2, 40)
    assert said["revision"] == ("r2" if said["slot"] < 40 else "r1")
    answer = await router.ask("red shirt", "i1")
    assert (answer["revision"], answer["stratum"]) == (said["revision"], said["stratum"])
    assert world.torso.requests == world.tail.requests == []


async def test_the_command_prints_what_the_router_says(
    ready: RunningRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{ready.port}"
    assert await asyncio.to_thread(main, ["route", "explain", "Blue  Shoe", "--url", url]) == 0
    said = capsys.readouterr().out
    assert "query key    blue shoe" in said
    assert "tiers        torso -> tail -> neutral" in said
    assert await asyncio.to_thread(main, ["route", "explain", " ", "--url", url]) == 1
    assert "status 400" in capsys.readouterr().err


async def test_every_answer_is_as_the_openapi_document_says(ready: RunningRouter) -> None:
    document = (await ready.client.get("/openapi.json")).json()
    assert document == openapi.document()
    query = {"query": QUERIES["torso"]}
    cases: list[tuple[str, str, Any]] = [
        ("POST", "/v1/relevance", query | {"items": [{"id": "i1"}, {"id": "nobody"}]}),
        ("POST", "/v1/relevance", query | {"items": []}),
        (
            "POST",
            "/v1/rerank",
            query | {"documents": ["red shirt", {"id": "i2"}], "return_documents": True, "top_n": 2},
        ),
        ("POST", "/v1/rerank", {"documents": ["a"]}),
        ("POST", "/v2/rerank", query | {"documents": ["red shirt"]}),
        ("POST", "/v1/explain", query),
        ("POST", "/v1/explain", {}),
        ("GET", "/state", None),
    ]
    for method, path, body in cases:
        response = await ready.client.request(method, path, json=body)
        described = document["paths"][path][method.lower()]["responses"][str(response.status_code)]
        schema = described["content"]["application/json"]["schema"]
        jsonschema.validate(
            response.json(), schema | {"components": document["components"]}, jsonschema.Draft202012Validator
        )
        assert set(described.get("headers", {})) <= set(response.headers) or path == "/v1/explain"


@pytest.mark.parametrize("path", ["/v1/relevance", "/v1/rerank", "/v1/explain"])
async def test_every_request_schema_refuses_what_the_router_refuses(ready: RunningRouter, path: str) -> None:
    document = openapi.document()
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body = {"query": 5, "items": [{"id": "i1"}], "documents": ["a"]}
    assert (await ready.client.post(path, json=body)).status_code == 400
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, schema | {"components": document["components"]}, jsonschema.Draft202012Validator)


async def test_a_slow_request_is_sent_once_more_and_the_first_answer_counts(
    router: RunningRouter, world: World
) -> None:
    slow = asyncio.Event()

    async def first_is_slow(_: web.Request) -> web.Response:
        if len(world.torso.requests) == 1:
            await slow.wait()
        return web.json_response({"data": [{"probs": list(world.torso.scores)}]})

    world.torso.behave = first_is_slow
    await router.serve(world.config(guarded(world, hedgeMs=20)))
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "torso"
    labels = {"stratum": "torso", "tier": "torso"}
    assert await router.metric("lore_router_second_attempts_total", **labels, kind="hedge") == 1
    async with asyncio.timeout(20):
        while not world.torso.cancelled:
            await router.ask(QUERIES["head"], "i1")


async def test_hedges_stay_within_the_retry_budget(router: RunningRouter, world: World) -> None:
    never = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await never.wait()
        raise AssertionError

    world.torso.behave = hang
    composition = guarded(world, hedgeMs=1, retryPercent=0)
    composition["tiers"]["torso"]["predictor"]["deadlineMs"] = 200
    await router.serve(world.config(composition))
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "tail"
    assert len(world.torso.requests) == 1


async def test_what_predictors_had_to_do_is_counted_by_stratum_and_tier(ready: RunningRouter, world: World) -> None:
    await ready.ask(QUERIES["tail"], "i1", "i2")
    labels = {"stratum": "tail", "tier": "tail"}
    sent = [asked["prompt"] for asked in world.tail.requests if "logprob_token_ids" not in asked]
    tokens = await ready.metric("lore_router_tokens_total", **labels, kind="prompt")
    assert tokens == sum(map(len, sent))
    assert await ready.metric("lore_router_tokens_total", **labels, kind="output") == 2 * 3
    assert await ready.metric("lore_router_predictor_seconds_total", **labels) > 0
    assert await ready.metric("lore_router_grades_total", **labels, grade="2.0") == 2
