"""One seed: the ablation's model as teacher, a student taught by it and one taught by gold alone, and their scores of the gate."""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.ablation.arms import EVERY, LONGER, RULES, withheld
from benchmarks.ablation.runs import Bench
from benchmarks.ablation.world import digest_of, kept, trained
from benchmarks.quality.runs import artifact
from hack.basemodel import DATA_SOURCES, content_key
from lore_core.artifacts import ArtifactRef, open_store, publish
from lore_core.benchmark.generate import HEAD_QUERIES
from lore_core.benchmark.world import SUBSETS, Scale, World
from lore_core.jobs import DistillStage, RuleMode, TrainConfig
from lore_core.jobs.config import Optimizer, StudentKind
from lore_core.prompts import ModelKit, RuleSource
from lore_core.records import Pair, label_schema_digest, write_pairs
from lore_core.strata.boundaries import Boundaries, Rule
from lore_core.strata.build import Recipe as StrataRecipe
from lore_core.strata.build import build
from lore_core.strata.snapshot import StrataSnapshot

TEACHER: Final = "teacher"
STUDENT: Final = "student"
GOLD: Final = "gold alone"
STUDENTS: Final = (STUDENT, GOLD)
BOUNDARIES: Final = Boundaries(str(HEAD_QUERIES), "400", Rule.TOP)
"""The head is that of the world's `candidates`; so many queries are torso that two points can be told from none."""
_SPLITS: Final = ("train", "tune", "calibration")

Scores = dict[str, list[float]]
"""Probabilities of the four labels by pair id."""


@dataclass(frozen=True)
class Lesson:
    """How both students are trained: from the teacher's weights, on the training pairs of `scale`. The rest is the stage's."""

    scale: Scale
    steps: int
    batch: int
    rate: str
    margin: str

    def stage(self, seed: int, base: ArtifactRef, teacher: ArtifactRef | None) -> DistillStage:
        """The student's stage; an interrupted run loses a quarter of it at most."""
        optimizer = Optimizer(
            learning_rate=self.rate,
            max_steps=self.steps,
            batch_size=self.batch,
            checkpoint_every=-(-self.steps // 4),
            seed=seed,
        )
        knobs = {"margin_weight": self.margin, "weigh_teacher": True, "calibrate_teacher": True} if teacher else {}
        return DistillStage(
            student=StudentKind.CAUSAL, base=base, teacher=teacher, optimizer=optimizer, max_prompt_tokens=96, **knobs
        )


@dataclass(frozen=True)
class School:
    """A seed's teacher and students. Whatever is done already is found by its content and kept."""

    bench: Bench
    lesson: Lesson

    @property
    def seed(self) -> int:
        """The seed of world and training."""
        return self.bench.site.seed

    def teacher(self) -> Path:
        """The ablation's model with all capabilities after as many more steps as alignment would take."""
        (full,) = self.bench.tuned([RULES])
        self.bench.trained(full)
        return self.bench.trained(self.bench.continued(full, LONGER))

    def student(self, arm: str, teacher: Path) -> Path:
        """A student, taught by the teacher or, from the same weights, by gold alone."""
        name = f"{self.seed}-{arm.replace(' ', '-')}"
        return trained(self.bench.root, name, self._config(arm, artifact(teacher)))

    def learned(self, arm: str, teacher: Path) -> Scores:
        """The scores of a student, which is trained where it is not there yet."""
        return self.scores(self.student(arm, teacher))

    def scores(self, model: Path) -> Scores:
        """A model's probabilities for the pairs of the gate split."""
        named = digest_of(artifact(model).digest, artifact(self.bench.site.gate).digest)
        file = self.bench.root / "scores" / f"{named.removeprefix('sha256:')[:20]}.json"
        return kept(file, lambda: scored(model, self.bench.gate(), self.bench.site.rules))

    def strata(self) -> dict[str, str]:
        """The stratum of each of the gate's queries in the world's simulated log."""
        log = self.bench.site.rules.with_name("log") / "log.jsonl"
        with tempfile.TemporaryDirectory(dir=self.bench.root) as scratch:
            build([log], StrataRecipe(BOUNDARIES), Path(scratch) / "strata", Path(scratch) / "work")
            snapshot = StrataSnapshot.open(Path(scratch) / "strata")
            return {query: snapshot.stratum(query) for query in {pair.query for pair in self.bench.gate()}}

    def _config(self, arm: str, teacher: ArtifactRef) -> TrainConfig:
        data, rules = artifact(self._pairs()), artifact(self.bench.site.rules)
        spec = self.lesson.stage(self.seed, teacher, teacher if arm == STUDENT else None)
        told = spec.model_dump(mode="json", exclude={"base", "teacher"})
        return TrainConfig(
            job=f"students-{self.seed}",
            stage="distill",
            base_model=teacher,
            data=data,
            rule_set=rules,
            workspace=ArtifactRef(uri=(self.bench.root / "runs").absolute().as_uri()),
            input_key=digest_of(data.digest, rules.digest, teacher.digest, arm, told),
            spec=spec,
        )

    def _pairs(self) -> Path:
        """What the students are trained on, the picture in words; no reasoning, since a student writes none."""
        scale = self.lesson.scale
        key = content_key(DATA_SOURCES, "students", json.dumps(asdict(scale)), str(self.seed))
        ref = ArtifactRef(uri=(self.bench.root / "pairs" / key).absolute().as_uri())
        if not open_store(ref).exists():
            world = World(self.seed, scale)
            with tempfile.TemporaryDirectory(dir=self.bench.root) as scratch:
                for split in _SPLITS:
                    pairs = (shown(pair) for subset in SUBSETS for pair in world.pairs(split, subset))
                    write_pairs(Path(scratch) / f"{split}.jsonl", pairs)
                publish(Path(scratch), ref, "pairs", metadata={"labelSchema": label_schema_digest()})
        return Path(ref.uri.removeprefix("file://"))


def shown(pair: Pair) -> Pair:
    """A pair as teacher and students are shown it: words of the picture, neither the picture nor any reasoning."""
    return withheld(pair, EVERY).model_copy(update={"trace": ()})


def scored(model: Path, pairs: list[Pair], rules: Path) -> Scores:
    """A model's probabilities for pairs, under its own contract."""
    from lore_core.scoring.reference import TransformersScorer

    kit, source = ModelKit.load(model), RuleSource.load(RuleMode.RETRIEVED, rules)
    found = TransformersScorer(model).score([kit.render(pair, source(pair)) for pair in map(shown, pairs)])
    return {pair.id: row.tolist() for pair, row in zip(pairs, found.probabilities, strict=True)}
