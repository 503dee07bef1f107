"""A volume that cannot hold the next generation: the field to raise is named, and what serves goes on serving."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from integration.router.world import HEAD_SCORES, QUERIES, RunningRouter, World

from lore_core.router.config import RouterConfig
from lore_core.router.loader import Loader

MIB = 1 << 20
SIZE = 4 * MIB


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """The routers' volume, mounted with its size limit as root does."""
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # what served is still mapped


@pytest.fixture
async def small(volume: Path, world: World) -> AsyncIterator[RunningRouter]:
    """A router on that volume that serves the world's one composition."""
    async with RunningRouter(volume).running() as running:
        await running.serve(world.config())
        yield running


def with_head(world: World, size: int) -> tuple[RouterConfig, str]:
    """A configuration whose generation has so many bytes, and that generation's digest."""
    head = world.warehouse.publish("head", {"head.bin": os.urandom(size), "head.json": b"{}"})
    return world.config(world.composition("r2", head=head.model_dump()), stable="r2"), head.digest


async def test_a_generation_that_does_not_fit_names_the_field_and_what_serves_stays(
    small: RunningRouter, world: World, volume: Path
) -> None:
    config, digest = with_head(world, SIZE + MIB)

    failures = await asyncio.to_thread(Loader(small.shelf).reconcile, config)
    small.texts.put(config)
    state = await small.until(lambda state: state["pending"] is not None)

    for said in (failures[digest], state["pending"]["reason"]):
        assert "the router's volume is full" in said
        assert "raise spec.router.cacheSize" in said
    assert not small.shelf.has(digest)
    assert not [name for name in os.listdir(volume) if name.startswith(".partial-")]
    answer = await small.ask(QUERIES["head"], "i1")
    assert (answer["revision"], answer["items"][0]["probabilities"]) == ("r1", list(HEAD_SCORES))


async def test_a_volume_without_a_free_byte_stops_no_loader_and_room_mends_it(
    small: RunningRouter, world: World, volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = world.warehouse.head((0.75, 0.125, 0.125, 0.0))
    config = world.config(world.composition("r2", head=other.model_dump()), stable="r2")
    loader = Loader(small.shelf)

    for number in range(2):  # the first time what is no longer named makes a little room
        fill(volume / f"filler-{number}")
        assert other.digest in await asyncio.to_thread(loader.reconcile, config)
        assert (await small.ask(QUERIES["head"], "i1"))["revision"] == "r1"
    assert "failures not noted" in capsys.readouterr().err

    (volume / "filler-0").unlink()
    assert await asyncio.to_thread(loader.reconcile, config) == {}
    small.texts.put(config)
    await small.until(lambda state: state["configHash"] == config.content_digest())
    assert (await small.ask(QUERIES["head"], "i1"))["revision"] == "r2"


def fill(path: Path) -> None:
    """Write a file that takes all that is free."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    assert not os.statvfs(path).f_bavail
