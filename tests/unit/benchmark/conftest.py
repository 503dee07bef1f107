import pytest

from lore_core.benchmark.world import SPLITS, SUBSETS, Scale, World
from lore_core.records import Pair


@pytest.fixture(scope="session")
def world() -> World:
    return World(17, Scale(train=40, tune=6, calibration=6, gate=51))


@pytest.fixture(scope="session")
def drawn(world: World) -> dict[str, dict[str, list[Pair]]]:
    return {split: {subset: list(world.pairs(split, subset)) for subset in SUBSETS} for split in SPLITS}


@pytest.fixture(scope="session")
def gate(drawn: dict[str, dict[str, list[Pair]]]) -> dict[str, list[Pair]]:
    return drawn["gate"]
