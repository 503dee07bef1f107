"""Each stratum is answered by its own tier; what cannot be answered falls back, and the caller always gets an answer."""

import asyncio
import json

import pytest
from aiohttp import web
from integration.router.world import (
    HEAD_SCORES,
    ITEMS,
    QUERIES,
    TAIL_SCORES,
    TORSO_SCORES,
    RunningRouter,
    World,
    by_length,
    embedded,
    prompts,
)

from lore_core.headcache import Features
from lore_core.prompts import PromptLayout
from lore_core.router.config import RouterConfig
from lore_core.router.http import Request, Response
from lore_core.router.loader import Loader


async def test_a_head_query_is_answered_from_the_generation_without_a_predictor(
    ready: RunningRouter, world: World
) -> None:
    answer = await ready.ask(QUERIES["head"], "i1", "i2")
    assert (answer["stratum"], answer["tier"], answer["revision"]) == ("head", "head", "r1")
    assert [item["probabilities"] for item in answer["items"]] == [list(HEAD_SCORES)] * 2
    assert [(item["label"], item["source"]) for item in answer["items"]] == [("L4", "cache")] * 2
    assert world.torso.requests == world.tail.requests == []


async def test_a_torso_query_is_answered_by_the_student(ready: RunningRouter, world: World) -> None:
    answer = await ready.ask(QUERIES["torso"], "i1")
    assert (answer["stratum"], answer["tier"]) == ("torso", "torso")
    assert answer["items"][0]["probabilities"] == pytest.approx(TORSO_SCORES)
    assert answer["items"][0]["grade"] == pytest.approx(2.875)
    assert world.tail.requests == []


async def test_a_tail_query_is_answered_by_the_language_model_after_its_trace(
    ready: RunningRouter, world: World
) -> None:
    answer = await ready.ask(QUERIES["tail"], "i1")
    assert (answer["stratum"], answer["tier"]) == ("tail", "tail")
    assert answer["items"][0]["probabilities"] == pytest.approx(TAIL_SCORES)
    assert ["logprob_token_ids" in request for request in world.tail.requests] == [False, True]


async def test_items_of_one_question_go_to_the_student_by_lists_and_come_back_in_their_order(
    ready: RunningRouter, world: World
) -> None:
    world.torso.behave = by_length
    titles = ["red " * (number + 1) for number in range(17)]

    answer = await ready.ask(QUERIES["torso"], *({"id": title, "title": title} for title in titles))

    assert [prompts(request) for request in world.torso.requests] == [8, 8, 1]
    grades = [item["grade"] for item in answer["items"]]
    assert grades == sorted(set(grades))


def with_two_tower(world: World, route: str = "Embeddings") -> RouterConfig:
    composition = world.composition()
    kit = world.warehouse.kit(PromptLayout.TWO_TOWER).model_dump()
    composition["tiers"]["torso"]["predictor"] |= {"kit": kit, "route": route}
    return world.config(composition)


async def test_a_two_tower_is_sent_the_query_once_with_up_to_eight_items(router: RunningRouter, world: World) -> None:
    world.torso.behave = embedded
    await router.serve(with_two_tower(world))
    titles = ["red " * (number + 1) for number in range(17)]

    answer = await router.ask(QUERIES["torso"], *({"id": title, "title": title} for title in titles))

    assert [prompts(request) for request in world.torso.requests] == [9, 9, 2]
    query, *items = world.torso.requests[0]["input"]
    assert [request["input"][0] for request in world.torso.requests] == [query] * 3
    assert [len(ids) for ids in items] == list(range(3, 11))
    assert {item["tier"] for item in answer["items"]} == {"torso"}
    grades = [item["grade"] for item in answer["items"]]
    assert grades[1:] == sorted(set(grades[1:]), reverse=True)  # the second title is as long as the query
    sent = sum(len(ids) for request in world.torso.requests for ids in request["input"])
    first = sum(len(ids) for request in world.torso.first for ids in request["input"])
    tokens = await router.metric("lore_router_tokens_total", stratum="torso", tier="torso", kind="prompt")
    assert (tokens, first > 0) == (sent, True)


async def test_a_two_tower_that_answers_nonsense_is_no_answer(router: RunningRouter, world: World) -> None:
    async def no_vectors(request: web.Request) -> web.Response:
        listed = (await request.json())["input"]
        return web.json_response({"data": [{"index": row, "embedding": "AAA="} for row in range(len(listed))]})

    world.torso.behave = no_vectors
    await router.serve(with_two_tower(world))
    answer = await router.ask(QUERIES["torso"], "i1", "i2")
    assert [item["tier"] for item in answer["items"]] == ["tail", "tail"]


async def test_a_two_tower_is_not_asked_for_classes(router: RunningRouter, world: World) -> None:
    config = with_two_tower(world, route="Classify")
    assert await asyncio.to_thread(Loader(router.shelf).reconcile, config) == {}
    router.texts.put(config)
    state = await router.until(lambda state: state["pending"] is not None and bool(state["pending"]["reason"]))
    assert "route Classify cannot serve a model of layout TwoTower" in state["pending"]["reason"]


async def test_a_list_with_an_answer_too_few_is_no_answer(ready: RunningRouter, world: World) -> None:
    async def one_alone(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"index": 0, "probs": list(TORSO_SCORES)}]})

    world.torso.behave = one_alone
    answer = await ready.ask(QUERIES["torso"], "i1", "i2")
    assert [item["tier"] for item in answer["items"]] == ["tail", "tail"]


async def test_each_item_has_a_trace_of_its_own(ready: RunningRouter, world: World) -> None:
    await ready.ask(QUERIES["tail"], "i1", "i2")
    assert [prompts(request) for request in world.tail.requests] == [1] * 4


async def test_stratum_and_revision_are_headers_too(ready: RunningRouter) -> None:
    response = await ready.client.post("/v1/relevance", json={"query": QUERIES["torso"], "items": [{"id": "i1"}]})
    assert (response.headers["x-lore-stratum"], response.headers["x-lore-revision"]) == ("torso", "r1")


async def test_spellings_of_a_head_query_get_the_same_answer(ready: RunningRouter) -> None:
    assert (await ready.ask(" RED   Shirt ", "i1"))["tier"] == "head"


async def test_one_missing_pair_sends_the_whole_query_to_the_next_tier(ready: RunningRouter) -> None:
    answer = await ready.ask(QUERIES["head"], "i1", "i3")
    assert (answer["stratum"], answer["tier"]) == ("head", "torso")
    assert {item["tier"] for item in answer["items"]} == {"torso"}


async def test_per_item_only_the_missing_pairs_go_to_the_next_tier(router: RunningRouter, world: World) -> None:
    await router.serve(world.config(tierPolicy="PerItem"))
    answer = await router.ask(QUERIES["head"], "i1", "i3")
    assert [item["tier"] for item in answer["items"]] == ["head", "torso"]
    assert len(world.torso.requests) == 1


async def test_a_changed_title_is_a_counted_stale_miss_scored_with_the_new_title(
    ready: RunningRouter, world: World
) -> None:
    answer = await ready.ask(QUERIES["head"], {"id": "i1", "title": "blue kettle"})
    assert answer["tier"] == "torso"
    assert await ready.metric("lore_router_head_pairs_total", result="stale") == 1


async def test_an_item_given_as_the_snapshot_has_it_is_a_hit(ready: RunningRouter) -> None:
    item = {"id": "i1", "title": "red shirt", "shop_name": "acme", "attributes": {"size": "m"}, "vqa_result": ""}
    assert (await ready.ask(QUERIES["head"], item, {"id": "i2", "title": "blue shirt"}))["tier"] == "head"


async def test_another_market_is_another_question(ready: RunningRouter) -> None:
    assert (await ready.ask(QUERIES["head"], "i1", market="north"))["tier"] == "torso"


async def test_an_item_nobody_knows_is_neutral_and_says_so(ready: RunningRouter) -> None:
    answer = await ready.ask(QUERIES["torso"], "i1", "nobody-knows-me")
    assert [(item["tier"], item["source"]) for item in answer["items"]] == [
        ("torso", "predictor"),
        ("neutral", "unknown"),
    ]


async def test_an_item_without_a_title_is_judged_by_what_else_is_known_of_it(ready: RunningRouter) -> None:
    answer = await ready.ask(
        QUERIES["torso"],
        {"id": "a", "attributes": {"colour": "red"}},
        {"id": "b", "title": "  ", "vqa_result": "a red shirt"},
        {"id": "c", "title": " "},
        {"id": "d", "shop_name": "acme"},
    )
    assert [item["source"] for item in answer["items"]] == ["predictor", "predictor", "unknown", "unknown"]


async def test_an_item_of_which_the_snapshot_has_nothing_to_show_is_unknown(
    router: RunningRouter, world: World
) -> None:
    items = world.warehouse.items(ITEMS | {"i3": Features(" ", "acme")})
    await router.serve(world.config(world.composition(items=items.model_dump())))
    answer = await router.ask(QUERIES["torso"], "i1", "i3", {"id": "i3b", "title": "kettle"})
    assert [item["source"] for item in answer["items"]] == ["predictor", "unknown", "predictor"]
    given = await router.ask(QUERIES["torso"], {"id": "i3", "title": "kettle"})
    assert given["items"][0]["source"] == "predictor"


async def test_only_unknown_items_make_a_neutral_answer(ready: RunningRouter, world: World) -> None:
    answer = await ready.ask(QUERIES["torso"], "nobody-knows-me")
    assert (answer["tier"], answer["items"][0]["source"], world.torso.requests) == ("neutral", "unknown", [])


async def status_500(_: web.Request) -> web.Response:
    return web.Response(status=500, text="engine died")


async def garbage(_: web.Request) -> web.Response:
    return web.Response(text="<html>not json")


async def wrong_shape(_: web.Request) -> web.Response:
    return web.json_response({"data": [{"probs": [0.5, 0.5]}], "choices": [{}]})


async def not_numbers(_: web.Request) -> web.Response:
    return web.json_response({"data": [{"probs": ["a", None, 1, 2]}], "choices": [{"token_ids": "x", "logprobs": 7}]})


async def not_probabilities(_: web.Request) -> web.Response:
    return web.json_response({"data": [{"probs": [9.0, -8.0, 0.0, 0.0]}], "choices": []})


async def more_than_all(_: web.Request) -> web.Response:
    return web.json_response({"data": [{"probs": [0.9, 0.9, 0.1, 0.1]}], "choices": []})


async def nan(_: web.Request) -> web.Response:
    return web.Response(text='{"data": [{"probs": [NaN, 0.5, 0.25, 0.25]}]}', content_type="application/json")


async def a_list(_: web.Request) -> web.Response:
    return web.json_response([1, 2])


async def disconnect(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


BROKEN = [status_500, garbage, wrong_shape, not_numbers, not_probabilities, more_than_all, nan, a_list, disconnect]


@pytest.mark.parametrize("behaviour", BROKEN)
async def test_a_broken_student_is_replaced_by_the_language_model(
    ready: RunningRouter, world: World, behaviour
) -> None:
    world.torso.behave = behaviour
    answer = await ready.ask(QUERIES["torso"], "i1", "i2")
    assert (answer["stratum"], answer["tier"]) == ("torso", "tail")
    assert answer["items"][1]["probabilities"] == pytest.approx(TAIL_SCORES)


@pytest.mark.parametrize("behaviour", BROKEN)
async def test_when_every_tier_is_broken_the_declared_neutral_answer_is_given(
    ready: RunningRouter, world: World, behaviour
) -> None:
    world.torso.behave = world.tail.behave = behaviour
    answer = await ready.ask(QUERIES["torso"], "i1")
    assert answer["tier"] == "neutral"
    assert answer["items"][0] | {"id": ""} == {
        "id": "", "label": "L2", "probabilities": [0.25] * 4, "grade": 2.5, "tier": "neutral", "source": "neutral",
    }  # fmt: skip


async def test_a_hanging_student_is_left_at_its_deadline_and_its_request_cancelled(
    router: RunningRouter, world: World
) -> None:
    import asyncio

    seen = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            seen.set()
        return web.Response()

    world.torso.behave = hang
    composition = world.composition()
    composition["tiers"]["torso"]["predictor"]["deadlineMs"] = 50
    await router.serve(world.config(composition))
    answer = await router.ask(QUERIES["torso"], "i1")
    assert answer["tier"] == "tail"
    assert await router.metric("lore_router_fallbacks_total", stratum="torso", tier="torso", reason="TimeoutError") == 1
    async with asyncio.timeout(5):
        await seen.wait()


async def test_a_dead_backend_is_a_fallback(router: RunningRouter, world: World) -> None:
    composition = world.composition()
    composition["tiers"]["torso"]["predictor"]["url"] = "http://127.0.0.1:1"
    await router.serve(world.config(composition))
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "tail"


async def test_head_scores_that_are_there_survive_when_every_predictor_is_broken(
    ready: RunningRouter, world: World
) -> None:
    world.torso.behave = world.tail.behave = status_500
    answer = await ready.ask(QUERIES["head"], "i1", "i3")
    assert [item["source"] for item in answer["items"]] == ["cache", "neutral"]


async def test_a_query_no_prompt_can_hold_gets_the_neutral_answer(ready: RunningRouter) -> None:
    assert (await ready.ask("red " * 200, "i1"))["tier"] == "neutral"


async def test_a_thousand_items_come_back_in_their_order(ready: RunningRouter) -> None:
    items = [{"id": f"n{number}", "title": "red lamp"} for number in range(1000)]
    answer = await ready.ask(QUERIES["torso"], *items)
    assert [item["id"] for item in answer["items"]] == [item["id"] for item in items]
    assert {item["tier"] for item in answer["items"]} == {"torso"}


async def test_answers_are_counted_by_stratum_and_tier(ready: RunningRouter) -> None:
    await ready.ask(QUERIES["head"], "i1", "i2")
    text = (await ready.client.get("/metrics")).text
    assert 'lore_router_answers_total{revision="r1",stratum="head",tier="head"} 1.0' in text
    assert 'lore_router_head_pairs_total{result="hit"} 2.0' in text
    assert 'lore_router_answer_seconds_count{stratum="head",tier="head"} 1.0' in text


@pytest.mark.parametrize(("path", "told"), [("/metrics", b'tier="head"} 1.0'), ("/state", b'"answers":1')])
async def test_who_holds_an_answer_finds_it_counted(ready: RunningRouter, path: str, told: bytes) -> None:
    """In the same turn of the loop, as uvloop reads the next request before what the answer left to do later."""
    question = json.dumps({"query": QUERIES["head"], "items": [{"id": "i1"}]}).encode()
    assert isinstance(ready.app(Request("POST", "/v1/relevance", question)), Response)
    found = ready.app(Request("GET", path, b""))
    page = found if isinstance(found, Response) else await asyncio.ensure_future(found)
    assert told in page.body


async def test_a_composition_without_a_tier_uses_the_next_one_down(router: RunningRouter, world: World) -> None:
    composition = world.composition()
    composition["head"] = None
    tail = composition["tiers"]["tail"]["predictor"] | {"fallback": []}
    composition["tiers"] = {"tail": {"predictor": tail}}
    await router.serve(world.config(composition))
    assert (await router.ask(QUERIES["head"], "i1"))["tier"] == "tail"


async def test_why_a_tier_failed_is_said_once_in_a_while(
    ready: RunningRouter, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.torso.behave = status_500
    for _ in range(3):
        await ready.ask(QUERIES["torso"], "i1")
    said = [line for line in capsys.readouterr().err.splitlines() if "UpstreamError" in line]
    assert said == ["router: r1: torso: UpstreamError: /classify: status 500: engine died"]


async def test_a_tier_at_rest_is_not_asked_its_fallback_answers_and_that_is_counted(
    router: RunningRouter, world: World
) -> None:
    composition = world.composition()
    composition["tiers"]["tail"]["predictor"]["rests"] = True
    await router.serve(world.config(composition))

    answer = await router.ask(QUERIES["tail"], "i1")

    assert (answer["stratum"], answer["tier"], world.tail.requests) == ("tail", "torso", [])
    for metric in ("lore_router_fallbacks_total", "lore_router_shed_total"):
        assert await router.metric(metric, stratum="tail", tier="tail", reason="Resting") == 1
    await router.serve(world.config())
    assert (await router.ask(QUERIES["tail"], "i1"))["tier"] == "tail"
