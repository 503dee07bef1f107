"""A real Prometheus that scrapes operator and router: a rollout's checks, the alerts, and every expression of a dashboard."""

import asyncio
import json
import re
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import yaml
from aiohttp import web
from cluster.fixtures import REPOSITORY
from cluster.operator_process import until
from unit.observability.test_names import SUFFIXES, VLLM, named, operator_metrics

from hack.cluster import ports, tools
from lore_core.router.answering import Answer
from lore_core.router.metrics import RouterMetrics
from lore_operator.engine.prometheus import ask
from lore_operator.plan.types import Measurement

FILES = REPOSITORY / "charts/lore/files"
ALERTS = FILES / "alerts.yaml"
NEUTRAL = 'sum(lore_router_answers_total{revision="r2",tier="neutral"}) / sum(lore_router_answers_total{revision="r2"})'


BUSINESS = re.compile(r"name: orders-a-user\n.*?query: \|\n(.*?)```", re.DOTALL)


def orders() -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Each user's orders under two compositions, and under one that few users have seen."""
    draw = np.random.default_rng(5)
    return {
        name: draw.poisson(mean, users)
        for name, mean, users in (("old", 0.5, 4000), ("new", 0.55, 1500), ("few", 0.5, 999))
    }


def shop() -> str:
    """What a shop tells Prometheus of them."""
    lines = []
    for revision, found in orders().items():
        for name, value in (
            ("shop_users", len(found)),
            ("shop_user_orders", found.sum()),
            ("shop_user_orders_squared", (found**2).sum()),
        ):
            lines.append(f'{name}{{revision="{revision}"}} {value}')
    return "\n".join(lines) + "\n"


def documented(revision: str) -> str:
    """The business metric's query of the documentation, for a composition beside the old one."""
    found = BUSINESS.search((REPOSITORY / "docs/how-to/roll-out.md").read_text())
    assert found
    return textwrap.dedent(found[1]).replace("${revision}", revision).replace("${stable}", "old")


def answered(metrics: RouterMetrics, tier: str) -> None:
    answer = Answer("r2", "tail", "tail", tier, ["L2"], [[0.25] * 4], [2.5], [tier], ["predictor"])
    metrics.answered(answer, 0.01)


@pytest.fixture
async def router() -> AsyncIterator[int]:
    """The port of a router's metrics, of four answers one was given by no tier; below /operator and /shop those of such."""
    metrics, operator = RouterMetrics(), operator_metrics()
    for tier in ("tail", "tail", "tail", "neutral"):
        answered(metrics, tier)

    def served(path: str, text: Callable[[], bytes]) -> web.RouteDef:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=text(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

        return web.get(path, answer)

    app = web.Application()
    texts = {"/metrics": metrics.text, "/operator": operator.render, "/shop": lambda: shop().encode()}
    app.add_routes([served(path, text) for path, text in texts.items()])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def prometheus(router: int, tmp_path: Path) -> AsyncIterator[str]:
    """Its address. It loads the chart's alerts and scrapes both programs."""
    targets = [{"targets": [f"127.0.0.1:{router}"]}]
    scrapes = [
        {"job_name": name, "metrics_path": path, "scrape_interval": "1s", "static_configs": targets}
        for name, path in (("router", "/metrics"), ("operator", "/operator"), ("shop", "/shop"))
    ]
    configuration = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": scrapes,
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
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


async def test_the_documented_business_metric_is_the_lower_bound_by_user_and_nothing_with_few_users(
    prometheus: str,
) -> None:
    query = documented("new")
    found = await until(lambda: ask(prometheus, [query]), lambda seen: seen[query].value is not None)

    new, old = orders()["new"], orders()["old"]
    error = np.sqrt(new.var() / len(new) + old.var() / len(old))
    assert found[query].value == pytest.approx(new.mean() - old.mean() - 1.645 * error, abs=1e-9)
    few = documented("few")
    assert (await ask(prometheus, [few]))[few] == Measurement(problem="the query found no data")


async def answer(url: str, path: str, **query: str) -> Any:
    """What Prometheus' HTTP API answers; a refused query fails with its words."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/{path}", params=query) as got:
        said = await got.json()
    assert said["status"] == "success", (query, said)
    return said["data"]


def panels() -> Iterator[tuple[str, str]]:
    """(dashboard and panel, expression), with the dashboard's variables at `All`."""
    for path in sorted((FILES / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$namespace", ".*").replace("$deployment", ".*")
                yield f"{path.stem}: {panel['title']}", text


async def test_the_alerts_are_loaded_and_every_expression_finds_the_metrics_that_it_names(prometheus: str) -> None:
    def judged(groups: list[dict[str, Any]]) -> dict[str, str]:
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    async def rules() -> dict[str, str]:
        return judged((await answer(prometheus, "rules"))["groups"])

    loaded = yaml.safe_load(ALERTS.read_text())["groups"]
    alerts = {rule["alert"]: rule["expr"] for group in loaded for rule in group["rules"]}
    await until(rules, lambda found: found == dict.fromkeys(alerts, "ok"))

    async def told() -> dict[str, str]:
        return {name: entries[0]["type"] for name, entries in (await answer(prometheus, "metadata")).items()}

    families = await until(told, lambda found: {"lore_router_answers_total", "lore_operator_objects"} <= found.keys())
    samples = {
        f"{name.removesuffix('_total')}{suffix}" for name, kind in families.items() for suffix in SUFFIXES.get(kind, ())
    }
    for where, expression in (*alerts.items(), *panels()):
        assert named(expression) - VLLM <= samples, where
        await answer(prometheus, "query", query=expression)


async def test_what_is_no_number_says_why(prometheus: str) -> None:
    await until(lambda: ask(prometheus, ["sum(up)"]), lambda seen: seen["sum(up)"].value == 3)
    problems = {
        "absent_metric": "the query found no data",
        "up": "the query's answer has 3 series, one is needed: aggregate it",
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
