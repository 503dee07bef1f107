"""A generated world, its stand-in teacher behind the OpenAI wire, and a clock that never waits."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lore_core.artifacts import ArtifactRef
from lore_core.benchmark.corpus import facts
from lore_core.benchmark.oracle import Oracle
from lore_core.benchmark.rule_teacher import NO_FAULTS, FaultRates, RuleTeacher
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.teacher_server import TeacherServer, WireFaults
from lore_core.benchmark.world import SUBSETS, Scale, World
from lore_core.jobs import SynthesizeConfig
from lore_core.jobs.reporter import Reporter
from lore_core.records import Pair
from lore_core.synthesis.job import Synthesis, synthesize

KEY = "sha256:" + "1" * 64


class VirtualClock:
    """Time that passes only by sleeping, at once."""

    def __init__(self) -> None:
        self.time, self.slept = 0.0, list[float]()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def world_pairs(blocks: int) -> list[Pair]:
    """Training pairs of all subsets without their judges' traces."""
    return [pair.model_copy(update={"trace": ()}) for pair in judged_pairs(blocks)]


def judged_pairs(blocks: int) -> list[Pair]:
    """The same with them."""
    world = World(17, Scale(train=blocks, tune=1, calibration=1, gate=1))
    return [pair for subset in SUBSETS for pair in world.pairs("train", subset)]


def rule_teacher(rates: FaultRates = NO_FAULTS) -> RuleTeacher:
    return RuleTeacher(Oracle(facts(), rulebook()), rulebook(), rates)


@contextlib.contextmanager
def served(teacher: RuleTeacher, faults: WireFaults | None = None, token: str = "") -> Iterator[TeacherServer]:
    server = TeacherServer(teacher, faults=faults, token=token)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def config(root: Path, url: str, credentials: str | None = None, **spec: Any) -> SynthesizeConfig:
    teacher = {"url": url, "model": "stand-in", "credentials": credentials}
    values = {"teacher": teacher, "samples": 1, "requestsPerMinute": 1_000_000, **spec}
    place = ArtifactRef(uri=(root / "workspace").as_uri())
    data = ArtifactRef(uri=(root / "data").as_uri())
    return SynthesizeConfig.model_validate(
        {"job": "j", "stage": "s", "data": data, "workspace": place, "inputKey": KEY, "spec": values}
    )


def run(made: SynthesizeConfig, pairs: list[Pair], clock: VirtualClock | None = None) -> Synthesis:
    return asyncio.run(synthesize(made, pairs, rulebook(), Reporter(None), clock or VirtualClock()))
