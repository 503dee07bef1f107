"""Items with a picture: its bytes go to the tier that can see, nobody fetches anything, and a bad one costs no tier its rest."""

import base64
from typing import Any

import pytest
from aiohttp import web
from integration.router.world import HEAD_SCORES, QUERIES, TAIL_SCORES, TORSO_SCORES, RunningRouter, World

from lore_core.benchmark.png import png
from lore_core.prompts import PromptLayout

RED, BLUE = (
    "data:image/png;base64," + base64.b64encode(png([bytes(8)] * 8, [colour])).decode()
    for colour in ((255, 0, 0), (0, 0, 255))
)
PICTURED = {"id": "new", "title": "red shirt", "image": RED}


@pytest.fixture
async def seeing(world: World, router: RunningRouter) -> RunningRouter:
    """A router whose tail is shown pictures; its other tiers are not."""
    kit = world.warehouse.kit(PromptLayout.LABEL_FIRST, image_tokens=6)
    composition = world.composition()
    composition["tiers"]["tail"]["predictor"]["kit"] = kit.model_dump()
    await router.serve(world.config(composition))
    return router


def pictures(world: World) -> list[str]:
    """Pictures that the tail was sent."""
    parts = [part for asked in world.tail.requests for m in asked.get("messages", ()) for part in m["content"]]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def probabilities(item: dict[str, Any]) -> Any:
    return pytest.approx(item["probabilities"])


async def test_a_pictures_bytes_reach_the_tier_that_can_see(seeing: RunningRouter, world: World) -> None:
    answer = await seeing.ask(QUERIES["tail"], PICTURED, {"id": "plain", "title": "lamp"})

    assert [item["source"] for item in answer["items"]] == ["predictor", "predictor"]
    assert probabilities(answer["items"][0]) == TAIL_SCORES
    assert pictures(world) == [RED]
    assert sorted("messages" in asked for asked in world.tail.requests) == [False, True]


async def test_a_tier_that_cannot_see_answers_by_the_words(seeing: RunningRouter, world: World) -> None:
    answer = await seeing.ask(QUERIES["torso"], PICTURED)

    assert probabilities(answer["items"][0]) == TORSO_SCORES
    assert "image" not in str(world.torso.requests)


async def test_an_item_that_shows_nothing_but_a_picture_is_scored(seeing: RunningRouter, world: World) -> None:
    answer = await seeing.ask(QUERIES["tail"], {"id": "new", "image": BLUE})

    assert (answer["items"][0]["source"], pictures(world)) == ("predictor", [BLUE])


async def test_a_head_score_without_a_picture_is_never_given_for_an_item_with_one(seeing: RunningRouter) -> None:
    plain = await seeing.ask(QUERIES["head"], "i1")
    shown = await seeing.ask(QUERIES["head"], {"id": "i1", "image": RED})

    assert (plain["items"][0]["source"], probabilities(plain["items"][0])) == ("cache", HEAD_SCORES)
    assert shown["items"][0]["source"] == "predictor"
    assert await seeing.metric("lore_router_head_pairs_total", result="stale") == 1


async def test_where_no_tier_can_see_a_picture_changes_nothing(ready: RunningRouter, world: World) -> None:
    answer = await ready.ask(QUERIES["head"], {"id": "i1", "image": RED})

    assert (answer["items"][0]["source"], world.tail.requests + world.torso.requests) == ("cache", [])


async def test_a_picture_that_the_server_cannot_read_sends_the_query_on_and_is_not_the_tiers_failure(
    seeing: RunningRouter, world: World
) -> None:
    async def unreadable(request: web.Request) -> web.Response:
        if "messages" in await request.json():
            return web.json_response({"error": "cannot identify image file"}, status=400)
        return web.json_response({"choices": [world.tail._choice(await request.json())]})

    world.tail.behave = unreadable
    for _ in range(12):  # more than the failures in a row after which a tier rests
        answer = await seeing.ask(QUERIES["tail"], PICTURED)
        assert (answer["tier"], probabilities(answer["items"][0])) == ("torso", TORSO_SCORES)
    plain = await seeing.ask(QUERIES["tail"], {"id": "new", "title": "lamp"})

    refused = {"stratum": "tail", "tier": "tail", "reason": "PictureRefused"}
    assert (await seeing.metric("lore_router_fallbacks_total", **refused), plain["tier"]) == (12, "tail")
    assert len(pictures(world)) == 12
