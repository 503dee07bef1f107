"""A cluster older than what is supported: the operator says so and begins nothing."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from unit.engine.test_settings import GIVEN

from lore_operator.engine.framework import kopf
from lore_operator.engine.operator import Engine
from lore_operator.engine.remedies import ClusterTooOld
from lore_operator.settings import Settings


@pytest.fixture
async def old_cluster() -> AsyncIterator[tuple[str, list[str]]]:
    """The address of what answers as Kubernetes 1.29 does, and every path that it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"major": "1", "minor": "29", "gitVersion": "v1.29.9"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    await runner.cleanup()


async def test_the_operator_says_what_is_needed_and_begins_nothing(old_cluster: tuple[str, list[str]]) -> None:
    url, asked = old_cluster
    engine = Engine(Settings.from_environment(GIVEN), {}, lambda: kopf.ConnectionInfo(server=url), "one")

    with pytest.raises(
        ClusterTooOld, match=r"runs Kubernetes v1\.29\.9; 1\.30 or newer is needed: upgrade the cluster"
    ):
        await engine.run()
    assert asked == ["/version"]
