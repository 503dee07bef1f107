"""A router process, a predictor and a receiver of OTLP: one trace from the caller to the predictor."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from integration.router.world import QUERIES, World, prompts

from lore_core.router.loader import Loader
from lore_core.router.shelf import Shelf

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, CLIENT = 2, 3
PATIENCE = 60


@dataclass
class Receiver:
    """What a collector was sent."""

    spans: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    said: str = ""
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.said += text
        assert (request.path, request.content_type) == ("/v1/traces", "application/json")
        for resource in (await request.json())["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    self.spans.put_nowait(span)
        return web.json_response({})

    async def next(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE):
            return [await self.spans.get() for _ in range(count)]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def serving(world: World, folder: Path, endpoint: str) -> AsyncIterator[httpx.AsyncClient]:
    """A router process that traces to `endpoint`, as soon as it is ready."""
    config = world.config()
    assert await asyncio.to_thread(Loader(Shelf(folder / "data")).reconcile, config) == {}
    (folder / "router.json").write_text(config.model_dump_json(by_alias=True))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lore_core", "router", "serve", "--config", str(folder / "router.json"),
        "--data", str(folder / "data"), "--host", "127.0.0.1", "--port", "0", "--drain-seconds", "0",
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = re.search(r":(\d+)$", (await process.stdout.readline()).decode().strip())
        assert found is not None
        base = f"http://127.0.0.1:{found.group(1)}"
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE, trust_env=False) as client:
            async with asyncio.timeout(PATIENCE):
                while (await client.get("/readyz")).status_code != 200:
                    pass
            yield client
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


async def test_one_trace_goes_from_the_caller_to_the_predictor(world: World, tmp_path: Path) -> None:
    heard: list[str | None] = []

    async def note(request: web.Request) -> web.Response:
        heard.append(request.headers.get("traceparent"))
        rows = range(prompts(await request.json()))
        return web.json_response({"data": [{"index": row, "probs": list(world.torso.scores)} for row in rows]})

    world.torso.behave = note
    free = [{"id": f"free {number}", "title": "secret title"} for number in range(8)]  # with i1, two requests
    question = {"query": QUERIES["torso"], "items": [{"id": "i1"}, *free]}
    async with receiving() as receiver, serving(world, tmp_path, receiver.url) as client:
        sent = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        heard.clear()  # the router's own first question
        answer = await client.post("/v1/relevance", json=question, headers=sent)
        assert answer.json()["tier"] == "torso"
        spans = await receiver.next(3)
        unsampled = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
        await client.post("/v1/relevance", json=question, headers=unsampled)
        assert heard[2:] == [unsampled["traceparent"]] * 2
        head = await client.post("/v1/rerank", json={"query": QUERIES["head"], "documents": ["secret title"]})
        assert head.status_code == 200
        root = next(span for span in await receiver.next(2) if span["kind"] == SERVER)
    [server] = [span for span in spans if span["kind"] == SERVER]
    asked = [span for span in spans if span["kind"] == CLIENT]
    assert {span["traceId"] for span in spans} == {TRACE}
    assert server["parentSpanId"] == CALLER
    assert {span["parentSpanId"] for span in asked} == {server["spanId"]}
    assert {f"00-{TRACE}-{span['spanId']}-01" for span in asked} == set(heard[:2])
    told = attributes(server)
    assert (told["lore.stratum"], told["lore.tier"], told["lore.revision"]) == ("torso", "torso", "r1")
    assert (told["lore.items"], told["lore.sources"]) == ("9", {"values": [{"stringValue": "predictor"}]})
    assert (root["parentSpanId"], root["name"], root["traceId"] == TRACE) == ("", "POST /v1/rerank", False)
    for private in ("secret", *QUERIES.values(), '"i1"'):
        assert private not in receiver.said


async def test_a_receiver_that_is_dead_costs_no_answer_and_is_counted(world: World, tmp_path: Path) -> None:
    question = {"query": QUERIES["torso"], "items": [{"id": "i1"}]}
    async with serving(world, tmp_path, "http://127.0.0.1:1") as client:
        answers = [(await client.post("/v1/relevance", json=question)).json()["tier"] for _ in range(20)]
        assert answers == ["torso"] * 20
        async with asyncio.timeout(PATIENCE):
            while 'lore_router_spans_total{result="failed"} 40.0' not in (await client.get("/metrics")).text:
                pass


async def test_a_setting_that_is_not_understood_stops_the_router_with_its_name(world: World, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lore_core", "router", "serve", "--data", str(tmp_path), "--port", "0",
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_SAMPLER_ARG": "all"},
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert b"OTEL_TRACES_SAMPLER_ARG: all is no share between 0 and 1" in said
