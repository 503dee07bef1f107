"""What all arms of a seed share: pairs with synthesised traces, rules, a gate split, and the base model. Made once, kept."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.quality.runs import artifact
from hack.basemodel import DATA_SOURCES, content_key
from lore_core.artifacts import ArtifactRef, open_store
from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.benchmark.corpus import facts
from lore_core.benchmark.generate import generate
from lore_core.benchmark.oracle import Oracle
from lore_core.benchmark.rule_teacher import FaultRates, RuleTeacher
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.teacher_server import TeacherServer
from lore_core.benchmark.world import Scale, World
from lore_core.jobs import SynthesizeConfig, TrainConfig
from lore_core.jobs.config import Endpoint, SynthesizeStage

_NEVER: Final = 1_000_000
Found = TypeVar("Found")


class VerbFailed(Exception):
    """A verb of the command line ended with a status other than 0; the message has the end of its log."""


@dataclass(frozen=True)
class Site:
    """The artifacts of one seed. `pairs` have a teacher's traces."""

    seed: int
    pairs: Path
    rules: Path
    gate: Path


def digest_of(*parts: object) -> str:
    """One digest of several values that JSON can hold."""
    return sha256_digest(canonical_json(list(parts)))


def verb(log: Path, *words: str) -> None:
    """Run a verb of the command line, one rank and one thread, its output into a file. Raises VerbFailed."""
    environment = {**os.environ, "LORE_NPROC": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "lore_core", *words], stdout=out, stderr=out, env=environment, check=False
        )
    if done.returncode:
        raise VerbFailed(f"lore {words[0]} failed; {log} ends with\n{log.read_text()[-2000:]}")


def trained(root: Path, name: str, config: TrainConfig) -> Path:
    """The model of a stage, by `lore train` where it is not there yet; its files are `logs/NAME.*`. Raises VerbFailed."""
    if not open_store(config.output).exists():
        stage_verb(root, name, "train", config)
    return Path(config.output.uri.removeprefix("file://"))


def stage_verb(root: Path, name: str, word: str, config: TrainConfig | SynthesizeConfig) -> None:
    """Run a stage's verb with its config, log and report in `logs/NAME.*`."""
    log = root / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    path = log.with_suffix(".config.json")
    path.write_text(config.model_dump_json(by_alias=True), encoding="utf-8")
    verb(log, word, "--config", str(path), "--report", str(log.with_suffix(".report.json")))


def kept(file: Path, find: Callable[[], Found]) -> Found:
    """What `find` returns, as JSON has it; once found it stays in the file."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(find()), encoding="utf-8")
        part.rename(file)
    found: Found = json.loads(file.read_text(encoding="utf-8"))
    return found


def made(root: Path, seed: int, scale: Scale) -> Site:
    """The site of a seed below `root`."""
    folder = root / "world" / content_key(DATA_SOURCES, json.dumps(asdict(scale)), str(seed))
    if not (folder / "complete").exists():
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            list(generate(World(seed, scale), ArtifactRef(uri=folder.absolute().as_uri()), Path(scratch)))
        (folder / "complete").touch()
    pairs = _synthesised(root, folder, seed)
    return Site(seed, pairs, folder / "rules", folder / "benchmark")


def _synthesised(root: Path, world: Path, seed: int) -> Path:
    """The world's pairs with the stand-in teacher's checked traces, by `lore synthesize` with all capabilities."""
    rates = FaultRates()
    with _teacher(rates, seed) as url:
        config = _config(root, world, seed, url, rates)
        if not open_store(config.output).exists():
            stage_verb(root, f"{seed}-synthesize", "synthesize", config)
    return Path(config.output.uri.removeprefix("file://"))


def _config(root: Path, world: Path, seed: int, url: str, rates: FaultRates) -> SynthesizeConfig:
    """The stage; its key leaves out where the teacher listens."""
    data, rules = artifact(world / "pairs"), artifact(world / "rules")
    teacher = Endpoint(url=url, model="rule-engine")
    spec = SynthesizeStage(teacher=teacher, requests_per_minute=_NEVER, token_budget=_NEVER * _NEVER)
    return SynthesizeConfig(
        job=f"ablation-{seed}",
        stage="synthesize",
        data=data,
        rule_set=rules,
        workspace=ArtifactRef(uri=(root / "runs").absolute().as_uri()),
        input_key=digest_of(data.digest, rules.digest, asdict(rates), seed, spec.samples, str(spec.temperature)),
        spec=spec,
    )


@contextmanager
def _teacher(rates: FaultRates, seed: int) -> Iterator[str]:
    """The rule engine behind the OpenAI wire; it errs at `rates`, and its wire does not."""
    server = TeacherServer(RuleTeacher(Oracle(facts(), rulebook()), rulebook(), rates, seed))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.url
    finally:
        server.stop()
