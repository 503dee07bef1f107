"""Configurations swap whole: no request is dropped, none sees two compositions, and what is not sound never serves."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from integration.router.world import HEAD_SCORES, QUERIES, STRATA, Backend, RunningRouter, World, running_backend

from lore_core.artifacts import DigestMismatch
from lore_core.router.config import PinnedRef
from lore_core.router.loader import Loader
from lore_core.strata.snapshot import snapshot_bytes

OTHER_SCORES = (0.75, 0.125, 0.125, 0.0)


async def test_a_new_generation_takes_over_without_a_dropped_or_mixed_answer(
    ready: RunningRouter, world: World
) -> None:
    other = world.warehouse.head(OTHER_SCORES)
    swapped = world.config(world.composition("r2", head=other.model_dump()), stable="r2")
    answers = []

    async def caller() -> None:
        revision = ""
        while revision != "r2":
            answers.append(await ready.ask(QUERIES["head"], "i1", "i2"))
            revision = answers[-1]["revision"]

    callers = [asyncio.create_task(caller()) for _ in range(8)]
    await ready.ask(QUERIES["head"], "i1")
    await ready.serve(swapped)
    await asyncio.gather(*callers)
    expected = {"r1": [list(HEAD_SCORES)] * 2, "r2": [list(OTHER_SCORES)] * 2}
    assert all([item["probabilities"] for item in a["items"]] == expected[a["revision"]] for a in answers)
    assert {a["revision"] for a in answers} == {"r1", "r2"}


async def test_a_request_in_flight_ends_on_the_composition_it_began_with(ready: RunningRouter, world: World) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return web.Response(status=500)

    world.torso.behave = wait
    asked = asyncio.create_task(ready.ask(QUERIES["torso"], "i1"))
    await arrived.wait()
    await ready.serve(world.config(world.composition("r2"), stable="r2"))
    go_on.set()
    answer = await asked
    assert (answer["revision"], answer["tier"]) == ("r1", "tail")


async def test_a_weight_moves_queries_and_they_stay_inside_their_composition(
    router: RunningRouter, world: World
) -> None:
    candidate = world.composition("r2", 40, head=world.warehouse.head(OTHER_SCORES).model_dump())
    candidate["tiers"]["torso"]["predictor"]["url"] = "http://127.0.0.1:1"
    candidate["tiers"]["torso"]["predictor"]["fallback"] = []
    await router.serve(world.config(world.composition("r1", 60), candidate))
    strata = [await router.ask(f"word{n}", "i1") for n in range(60)]
    assert {a["revision"] for a in strata} == {"r1", "r2"}
    assert {a["tier"] for a in strata} == {"tail"}


async def test_a_users_bucket_keeps_one_composition_where_the_rollout_splits_by_it(
    router: RunningRouter, world: World
) -> None:
    both = (world.composition("r1", 50), world.composition("r2", 50))
    await router.serve(world.config(*both, splitBy="Bucket"))

    async def revisions(bucket: str) -> set[str]:
        headers, body = {"x-lore-bucket": bucket}, {"items": [{"id": "i1"}]}
        asked = [{**body, "query": f"word{number}"} for number in range(12)]
        found = [await router.client.post("/v1/relevance", json=one, headers=headers) for one in asked]
        return {answer.headers["x-lore-revision"] for answer in found}

    of_users = [await revisions(f"user-{number}") for number in range(8)]
    assert {len(found) for found in of_users} == {1}
    assert set().union(*of_users) == {"r1", "r2"}
    assert await revisions("") == {"r1", "r2"}
    explained = await router.client.post("/v1/explain", json={"query": "any"}, headers={"x-lore-bucket": "user-0"})
    assert {explained.json()["revision"]} == of_users[0]


async def test_state_names_what_is_loaded_and_what_has_weight(router: RunningRouter, world: World) -> None:
    config = world.config(world.composition("r1", 100), world.composition("r2", 0))
    await router.serve(config)
    state = (await router.client.get("/state")).json()
    assert state == {
        "configHash": config.content_digest(), "loaded": ["r1", "r2"], "active": ["r1"], "pending": None, "statistics": {},
        "traffic": None,
    }  # fmt: skip


async def test_before_any_configuration_nothing_is_ready_and_nothing_is_acknowledged(router: RunningRouter) -> None:
    assert (await router.client.get("/healthz")).status_code == 200
    assert (await router.client.get("/readyz")).status_code == 503
    assert (await router.client.get("/state")).json()["configHash"] is None
    assert (await router.client.post("/v1/relevance", json={"query": "a", "items": [{"id": "i"}]})).status_code == 503


async def test_a_configuration_waits_until_the_loader_has_everything(ready: RunningRouter, world: World) -> None:
    config = world.config(world.composition("r2", head=world.warehouse.head(OTHER_SCORES).model_dump()), stable="r2")
    ready.texts.put(config)
    waiting = await ready.until(lambda state: state["pending"] is not None)
    assert waiting["pending"]["configHash"] == config.content_digest()
    assert "the loader has not fetched it yet" in waiting["pending"]["reason"]
    assert (await ready.ask(QUERIES["head"], "i1"))["revision"] == "r1"
    assert await asyncio.to_thread(Loader(ready.shelf).reconcile, config) == {}
    state = await ready.until(lambda state: state["configHash"] == config.content_digest())
    assert state["pending"] is None


async def test_a_broken_configuration_names_the_field_and_changes_nothing(ready: RunningRouter) -> None:
    ready.texts.put_text('{"deployment": "search"}')
    state = await ready.until(lambda state: state["pending"] is not None)
    assert "stable: Field required" in state["pending"]["reason"]
    assert (await ready.ask(QUERIES["head"], "i1"))["tier"] == "head"


def spoil(file: Path, damage: str) -> None:
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))


def replaced(world: World, kind: str) -> PinnedRef:
    """Another generation, or another snapshot: one that knows no head queries."""
    return world.warehouse.head(OTHER_SCORES) if kind == "head" else world.warehouse.strata({"blue shoe": "torso"})


DAMAGE = [("head", "head.bin"), ("strata", "strata.bin"), ("strata", "strata.json")]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
@pytest.mark.parametrize(("kind", "name"), DAMAGE)
async def test_a_damaged_generation_or_snapshot_on_the_shelf_never_serves(
    ready: RunningRouter, world: World, kind: str, name: str, damage: str
) -> None:
    other = replaced(world, kind)
    config = world.config(world.composition("r2", **{kind: other.model_dump()}), stable="r2")
    await asyncio.to_thread(Loader(ready.shelf).reconcile, config)
    spoil(ready.shelf.folder(other.digest) / name, damage)
    ready.texts.put(config)
    state = await ready.until(lambda state: state["pending"] is not None)
    assert other.digest in state["pending"]["reason"] or name in state["pending"]["reason"]
    answer = await ready.ask(QUERIES["head"], "i1")
    assert (answer["revision"], answer["items"][0]["probabilities"]) == ("r1", list(HEAD_SCORES))


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
@pytest.mark.parametrize(("kind", "name"), DAMAGE)
async def test_a_generation_or_snapshot_that_is_half_written_where_it_comes_from_is_never_taken(
    ready: RunningRouter, world: World, kind: str, name: str, damage: str
) -> None:
    other = replaced(world, kind)
    spoil(Path(other.uri.removeprefix("file://")) / name, damage)
    config = world.config(world.composition("r2", **{kind: other.model_dump()}), stable="r2")
    failures = await asyncio.to_thread(Loader(ready.shelf).reconcile, config)
    assert name in failures[other.digest]
    assert not ready.shelf.has(other.digest)
    ready.texts.put(config)
    state = await ready.until(lambda state: state["pending"] is not None)
    assert name in state["pending"]["reason"]
    assert (await ready.ask(QUERIES["head"], "i1"))["revision"] == "r1"


async def test_a_cold_router_serves_what_carries_weight_though_the_candidate_is_broken(
    router: RunningRouter, world: World
) -> None:
    broken = world.composition("r2", 0)
    broken["head"] = {"uri": "file:///nowhere", "digest": "sha256:" + "0" * 64}
    config = world.config(world.composition("r1", 100), broken)
    await asyncio.to_thread(Loader(router.shelf).reconcile, config)
    router.texts.put(config)
    state = await router.until(lambda state: state["loaded"] == ["r1"])
    assert state["configHash"] != config.content_digest()
    assert (await router.ask(QUERIES["head"], "i1"))["tier"] == "head"


async def test_a_route_that_does_not_fit_the_model_is_refused_by_name(ready: RunningRouter, world: World) -> None:
    composition = world.composition("r2")
    composition["tiers"]["torso"]["predictor"]["route"] = "Completions"
    config = world.config(composition, stable="r2")
    await asyncio.to_thread(Loader(ready.shelf).reconcile, config)
    ready.texts.put(config)
    state = await ready.until(lambda state: state["pending"] is not None)
    assert "composition r2: torso: route Completions cannot serve" in state["pending"]["reason"]


async def test_a_weight_change_alone_loads_nothing_again(router: RunningRouter, world: World) -> None:
    await router.serve(world.config(world.composition("r1", 100), world.composition("r2", 0)))
    before = router.app.serving
    await router.serve(world.config(world.composition("r1", 90), world.composition("r2", 10)))
    after = router.app.serving
    assert before is not None
    assert after is not None
    assert after.compositions["r1"].head is before.compositions["r1"].head
    assert after.compositions["r1"].items is before.compositions["r1"].items


async def test_the_loader_keeps_no_weights_and_nothing_that_is_not_named(ready: RunningRouter, world: World) -> None:
    digests = {world.strata.digest, world.items.digest, world.head.digest, world.student.digest, world.llm.digest}
    root = ready.shelf.folder(world.head.digest).parent
    assert {f"sha256:{path.name}" for path in root.iterdir() if path.is_dir()} == digests
    assert not (ready.shelf.folder(world.llm.digest) / "model.safetensors").exists()
    replaced = world.config(world.composition("r2", head=world.warehouse.head(OTHER_SCORES).model_dump()), stable="r2")
    await ready.serve(replaced)
    assert not ready.shelf.has(world.head.digest)


async def test_the_loader_says_why_an_artifact_cannot_be_had(ready: RunningRouter, world: World) -> None:
    lost = {"uri": f"file://{world.warehouse.root}/lost", "digest": "sha256:" + "0" * 64}
    config = world.config(world.composition("r2", head=lost), stable="r2")
    await asyncio.to_thread(Loader(ready.shelf).reconcile, config)
    ready.texts.put(config)
    state = await ready.until(lambda state: state["pending"] is not None)
    assert "tried to read" in state["pending"]["reason"]
    assert lost["uri"] in state["pending"]["reason"]


async def test_the_loader_refuses_another_digest_than_the_one_named(ready: RunningRouter, world: World) -> None:
    wrong = world.head.model_dump() | {"digest": "sha256:" + "0" * 64}
    failures = await asyncio.to_thread(Loader(ready.shelf).reconcile, world.config(world.composition(head=wrong)))
    assert DigestMismatch.__name__ in failures[wrong["digest"]]
    assert not ready.shelf.has(wrong["digest"])


async def test_a_loader_that_starts_again_replaces_what_was_damaged(ready: RunningRouter, world: World) -> None:
    file = ready.shelf.folder(world.head.digest) / "head.bin"
    sound = file.read_bytes()
    file.write_bytes(b"damaged")
    assert await asyncio.to_thread(Loader(ready.shelf).reconcile, world.config()) == {}
    assert file.read_bytes() == sound


async def test_what_a_killed_loader_left_behind_is_removed(ready: RunningRouter, world: World) -> None:
    half = ready.shelf.folder(world.head.digest).parent / ".partial-left"
    half.mkdir()
    (half / "head.bin").write_bytes(b"half")
    await asyncio.to_thread(Loader(ready.shelf).reconcile, world.config())
    assert not half.exists()
    assert json.loads((half.parent / "failures.json").read_text()) == {}


async def test_a_shadowed_composition_is_compared_and_never_shown(router: RunningRouter, world: World) -> None:
    other = world.warehouse.head(OTHER_SCORES)
    candidate = world.composition("r2", 0, head=other.model_dump(), shadowPercent=100)
    await router.serve(world.config(world.composition("r1", 100), candidate))
    shown = [await router.ask(QUERIES[stratum], "i1", "i2") for stratum in ("head", "torso", "tail")]
    assert {answer["revision"] for answer in shown} == {"r1"}

    state = await router.until(lambda state: state["statistics"].get("r2", {}).get("mirrored") == 3)
    of_r2, of_r1 = state["statistics"]["r2"], state["statistics"]["r1"]
    assert (of_r2["answers"], of_r2["comparedItems"], of_r2["agreeingItems"]) == (
        0,
        6,
        4,
    )  # the heads differ, the rest is shared
    assert of_r2["gradeDifference"] == pytest.approx(2 * (3.625 - 1.375))
    assert (of_r1["answers"], of_r1["mirrored"]) == (3, 0)
    assert await router.metric("lore_router_shadow_items_total", stratum="head", result="differ") == 2


async def test_a_shadow_that_fails_costs_its_callers_nothing(router: RunningRouter, world: World) -> None:
    candidate = world.composition("r2", 0, shadowPercent=100)
    for tier in ("torso", "tail"):
        candidate["tiers"][tier]["predictor"]["url"] = "http://127.0.0.1:1"
    await router.serve(world.config(world.composition("r1", 100), candidate))
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "torso"
    state = await router.until(lambda state: state["statistics"].get("r2", {}).get("mirrored") == 1)
    assert (state["statistics"]["r2"]["mirroredNeutral"], state["statistics"]["r2"]["comparedItems"]) == (1, 0)
    assert await router.metric("lore_router_fallbacks_total", stratum="torso", tier="torso", reason="OSError") == 0


async def test_statistics_tell_fallbacks_and_neutral_answers_and_forget_who_left(
    router: RunningRouter, world: World
) -> None:
    composition = world.composition()
    composition["tiers"]["torso"]["predictor"]["url"] = "http://127.0.0.1:1"
    await router.serve(world.config(composition))
    await router.ask(QUERIES["torso"], "i1")
    await router.ask(QUERIES["head"], "i1")
    (found,) = (await router.client.get("/state")).json()["statistics"].values()
    assert (found["answers"], found["fallbacks"], found["neutral"]) == (2, 1, 0)
    await router.serve(world.config(world.composition("r2"), stable="r2"))
    assert (await router.client.get("/state")).json()["statistics"] == {}


async def test_the_snapshots_own_shares_stand_beside_live_traffic(router: RunningRouter, world: World) -> None:
    counts = {"head": 60, "torso": 30, "tail": 10}
    told = {"strata": {name: {"queries": 1, "requests": number} for name, number in counts.items()}}
    binary = snapshot_bytes(STRATA.items(), b"k" * 16)
    strata = world.warehouse.publish("strata", {"strata.bin": binary, "strata.json": json.dumps(told).encode()})
    await router.serve(world.config(world.composition(strata=strata.model_dump())))
    assert {name: await router.metric("lore_router_snapshot_share", stratum=name) for name in counts} == {
        "head": 0.6, "torso": 0.3, "tail": 0.1,
    }  # fmt: skip
    for query in QUERIES.values():
        await router.ask(query, "i1")
    assert (await router.client.get("/state")).json()["traffic"] == {
        "strata": strata.digest,
        "expected": {"head": 0.6, "torso": 0.3, "tail": 0.1},
        "queries": {"head": 1, "torso": 1, "tail": 1},
    }
    await router.serve(world.config(world.composition("r2"), stable="r2"))  # its strata.json says nothing
    assert (await router.client.get("/state")).json()["traffic"] is None
    assert router.app.metrics.registry.get_sample_value("lore_router_snapshot_share", {"stratum": "head"}) is None


async def test_a_predictor_answers_a_first_question_before_the_router_is_ready(
    router: RunningRouter, world: World
) -> None:
    await router.serve(world.config())
    assert (len(world.torso.first), len(world.tail.first)) == (1, 2)  # the tail writes its reasoning, then scores
    await router.serve(world.config(world.composition("r2"), stable="r2"))
    assert (len(world.torso.first), len(world.tail.first)) == (1, 2)


async def test_a_candidate_whose_predictor_does_not_answer_is_not_acknowledged(
    ready: RunningRouter, world: World
) -> None:
    behave: dict[str, Any] = {"status": 500}

    async def fresh(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"index": 0, "probs": list(OTHER_SCORES)}]}, **behave)

    async with running_backend(Backend(OTHER_SCORES, behave=fresh)) as other:
        candidate = world.composition("r2", 0)
        candidate["tiers"]["torso"]["predictor"]["url"] = other.url
        config = world.config(world.composition(), candidate)
        ready.texts.put(config)
        waiting = await ready.until(lambda state: len(other.requests) > 2)
        assert "composition r2: torso: no answer to a first question" in waiting["pending"]["reason"]
        assert waiting["loaded"] == ["r1"]
        behave.clear()
        state = await ready.until(lambda state: state["configHash"] == config.content_digest())
        assert state["loaded"] == ["r1", "r2"]


async def test_a_router_that_starts_beside_a_dead_predictor_serves_the_rest(
    router: RunningRouter, world: World
) -> None:
    composition = world.composition()
    composition["tiers"]["torso"]["predictor"]["url"] = "http://127.0.0.1:1"
    await router.serve(world.config(composition))
    assert (await router.ask(QUERIES["head"], "i1"))["tier"] == "head"
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "tail"


async def test_a_tier_is_asked_a_first_question_when_its_rest_is_over(router: RunningRouter, world: World) -> None:
    async def garbage(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"index": 0, "probs": [1, 1, 1, 1]}]})

    resting = world.composition()
    resting["tiers"]["torso"]["predictor"]["rests"] = True
    await router.serve(world.config(resting))
    assert not world.torso.first
    world.torso.behave = garbage
    awake = world.config()
    router.texts.put(awake)
    waiting = await router.until(lambda state: len(world.torso.requests) > 2)
    assert "torso: no answer to a first question: BadScore" in waiting["pending"]["reason"]
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "tail"
    world.torso.behave = None
    await router.until(lambda state: state["configHash"] == awake.content_digest())
    assert (await router.ask(QUERIES["torso"], "i1"))["tier"] == "torso"
