"""KServe's own graph router (cmd/router) with the graph that the operator builds, before a router of ours."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from integration.router.world import QUERIES, RunningRouter, World
from unit.children.golden import DEPLOYMENT

from hack.cluster import tools
from lore_operator.api import parse_deployment
from lore_operator.children.inference_graph import inference_graph

GRAPH_PORT = 8080
"""KServe's router has no other."""
ASKED = {"query": QUERIES["tail"], "items": [{"id": "i1"}, {"id": "i3"}]}


@pytest.fixture
async def graph(ready: RunningRouter, tmp_path: Path, port_8080: None) -> AsyncIterator[httpx.AsyncClient]:
    stored = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "router": {"inferenceGraph": {}}}}
    wanted = parse_deployment(stored).spec.router
    assert wanted.inference_graph is not None
    spec = json.dumps(inference_graph(stored, wanted, wanted.inference_graph)["spec"])
    spec = spec.replace("http://search-router.team.svc.cluster.local", f"http://127.0.0.1:{ready.port}")
    command = [str(tools.require("kserve-router")), "--graph-json", spec]
    with (tmp_path / "graph.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{GRAPH_PORT}", timeout=20, trust_env=False) as client:
            await _listening(client)
            yield client
    finally:
        process.kill()
        await process.wait()


async def _listening(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get("/")
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_both_shapes_of_a_question_are_answered_at_one_address_as_the_router_answers_them(
    graph: httpx.AsyncClient, ready: RunningRouter
) -> None:
    through = (await graph.post("/", json=ASKED)).json()
    directly = (await ready.client.post("/v1/relevance", json=ASKED)).json()
    assert {**through, "latency_ms": 0} == {**directly, "latency_ms": 0}

    documents = {"query": QUERIES["head"], "documents": ["blue shirt", "red shirt"]}
    through = (await graph.post("/", json=documents)).json()
    directly = (await ready.client.post("/v1/rerank", json=documents)).json()
    assert through["results"] == directly["results"]


async def test_what_the_router_refuses_keeps_its_status_and_its_field(graph: httpx.AsyncClient) -> None:
    refused = await graph.post("/", json={"query": "", "items": [{"id": "i1"}]})

    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "query")


async def test_a_body_of_neither_shape_is_kserves_404(graph: httpx.AsyncClient) -> None:
    assert (await graph.post("/", json={"query": "lamp"})).status_code == 404


async def test_fallbacks_stay_the_routers(graph: httpx.AsyncClient, world: World) -> None:
    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    world.tail.behave = broken
    answer = await graph.post("/", json=ASKED)

    assert (answer.status_code, answer.json()["tier"]) == (200, "torso")
