from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from integration.router.world import (
    TAIL_SCORES,
    TORSO_SCORES,
    Backend,
    RunningRouter,
    Warehouse,
    World,
    running_backend,
)

from hack.cluster import files
from hack.cluster.paths import cache_root


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_backend(Backend(TORSO_SCORES)) as torso, running_backend(Backend(TAIL_SCORES)) as tail:
        yield World(Warehouse(tmp_path / "warehouse"), torso, tail)


@pytest.fixture
async def router(world: World, tmp_path: Path) -> AsyncIterator[RunningRouter]:
    async with RunningRouter(tmp_path / "shelf", world.torso, world.tail).running() as running:
        yield running


@pytest.fixture
async def ready(world: World, router: RunningRouter) -> RunningRouter:
    """A router that serves the world's one composition."""
    await router.serve(world.config())
    return router


@pytest.fixture
def port_8080() -> Iterator[None]:
    """The port that KServe's graph router cannot do without, for one test of all workers at a time."""
    with files.exclusive(cache_root() / "port-8080"):
        yield
