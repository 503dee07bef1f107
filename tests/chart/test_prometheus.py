"""A rollout's checks asked of a real Prometheus that scrapes a router's metrics."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from aiohttp import web
from cluster.operator_process import until

from hack.cluster import ports, tools
from lore_core.router.answering import Answer
from lore_core.router.metrics import RouterMetrics
from lore_operator.engine.prometheus import ask
from lore_operator.plan.types import Measurement

NEUTRAL = 'sum(lore_router_answers_total{revision="r2",tier="neutral"}) / sum(lore_router_answers_total{revision="r2"})'


def answered(metrics: RouterMetrics, tier: str) -> None:
    answer = Answer("r2", "tail", "tail", tier, "L2", np.full((1, 4), 0.25), np.array([2.5]), [tier], ["predictor"])
    metrics.answered(answer, 0.01)


@pytest.fixture
async def router() -> AsyncIterator[int]:
    """The port of a router's metrics: of four answers one was given by no tier."""
    metrics = RouterMetrics()
    for tier in ("tail", "tail", "tail", "neutral"):
        answered(metrics, tier)

    async def text(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.add_routes([web.get("/metrics", text)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def prometheus(router: int, tmp_path: Path) -> AsyncIterator[str]:
    """Its address."""
    scrape = {"job_name": "router", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{router}"]}]}
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    with ports.claim(1) as (port,), (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            tools.require("prometheus"),
            f"--config.file={tmp_path / 'prometheus.yaml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await until(lambda: ask(url, ["vector(1)"]), lambda found: found["vector(1)"].value == 1)
            yield url
        finally:
            process.terminate()
            await process.wait()


async def test_a_check_gets_the_number_that_routers_told(prometheus: str) -> None:
    found = await until(lambda: ask(prometheus, [NEUTRAL]), lambda seen: seen[NEUTRAL].value is not None)
    assert found == {NEUTRAL: Measurement(0.25)}


async def test_what_is_no_number_says_why(prometheus: str) -> None:
    await until(lambda: ask(prometheus, ["up"]), lambda seen: seen["up"].value == 1)
    problems = {
        "absent_metric": "the query found no data",
        'up or label_replace(up, "job", "other", "", "")': "the query's answer has 2 series, one is needed: aggregate it",
        "vector(1) / vector(0)": "the query's answer is inf, not a number",
        "scalar(absent_metric)": "the query's answer is nan, not a number",
        "sum(": "Prometheus refuses the query: invalid parameter",
    }
    found = await ask(prometheus, problems)
    assert {query: answer.value for query, answer in found.items()} == dict.fromkeys(problems)
    assert all(found[query].problem.startswith(words) for query, words in problems.items()), found


async def test_a_prometheus_that_is_not_there_is_no_number(router: int) -> None:
    with ports.claim(1) as (port,):
        found = await ask(f"http://127.0.0.1:{port}", ["up"])
    assert found["up"].problem.startswith("Prometheus cannot be reached: ")
    assert (await ask("", ["up"]))["up"].problem.startswith("no Prometheus is configured")
    other = await ask(f"http://127.0.0.1:{router}", ["up"])
    assert other["up"].problem == "status 404: no answer of a Prometheus to an instant query"
