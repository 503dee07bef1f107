"""One arm of one seed: train with `lore train`, answer the gate split. What is done already is found by its content and kept."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.ablation.arms import ALIGNED, Capabilities, Tuned, padded_steps, rule_mode, withheld
from benchmarks.ablation.world import Site, digest_of, kept, trained
from benchmarks.quality.runs import artifact
from lore_core.artifacts import ArtifactRef, open_store, publish
from lore_core.artifacts.manifest import sha256_digest
from lore_core.benchmark.world import SUBSETS
from lore_core.jobs import RuleMode, TrainConfig
from lore_core.jobs.config import AlignOptimizer, AlignPreset, AlignStage, Optimizer, SftStage
from lore_core.jobs.pass_at_k import PassAtK
from lore_core.prompts import ModelKit, RuleSource, TextEncoder, trace_text
from lore_core.records import Pair, label_schema_digest, read_pairs, read_splits, write_pairs
from lore_core.training.alignment.presets import PRESETS
from lore_core.training.order import sft_order

_BESIDE_TRACE: Final = 2
"""Trained tokens beside the trace: its stop and the label."""
_SPLITS: Final = ("train", "tune")
SAMPLED: Final = PassAtK(pairs=512, samples=8)
"""Of how many gate pairs an arm's answers are sampled, and how often each."""
Value = TypeVar("Value", int, float)
Find = Callable[[Path, Sequence[Pair], Capabilities, Path], Mapping[str, Value]]


@dataclass(frozen=True)
class Budget:
    """What every arm may spend: `steps` of `batch` pairs for the arm with all capabilities, as many trained tokens for others.

    Then `extra` steps of `prompts` prompts, each answered as often as the preset says, or of as many pairs.
    """

    steps: int
    batch: int
    extra: int
    prompts: int
    candidates: int
    rate: str = "0.0001"

    def align(self, seed: int) -> AlignStage:
        """Alignment, at the learning rate at which fine-tuning ended."""
        optimizer = AlignOptimizer(
            learning_rate=self.rate,
            max_steps=self.extra,
            batch_size=self.prompts,
            checkpoint_every=self.extra,
            seed=seed,
        )
        return AlignStage(preset=AlignPreset.TINY, below="1", candidates=self.candidates, optimizer=optimizer)

    def tuned(self, seed: int, steps: int, mode: RuleMode) -> SftStage:
        """Fine-tuning from the base model; an interrupted run loses a quarter of it at most."""
        every = -(-steps // 4)
        optimizer = Optimizer(max_steps=steps, batch_size=self.batch, checkpoint_every=every, seed=seed)
        return SftStage(rule_mode=mode, optimizer=optimizer)

    def longer(self, seed: int) -> SftStage:
        """Fine-tuning that goes on for as many steps of as many sequences, at the same rate as alignment."""
        answers = PRESETS[AlignPreset.TINY].settings()["num_generations"]
        optimizer = Optimizer(
            learning_rate=self.rate,
            warmup_steps=0,
            max_steps=self.extra,
            batch_size=self.prompts * answers,
            checkpoint_every=self.extra,
            seed=seed,
        )
        return SftStage(optimizer=optimizer)


@dataclass(frozen=True)
class Outcome:
    """An arm's answers to the gate split, label codes by pair id, pass@k by figure, and what its training took."""

    arm: str
    seed: int
    answers: dict[str, int]
    passes: dict[str, float]
    pairs: int
    steps: int
    trained_tokens: int | None


@dataclass(frozen=True)
class Task:
    """One stage to train, and what its model is shown of the gate split. `start` is the model that it goes on from."""

    arm: str
    capabilities: Capabilities
    data: Path
    spec: SftStage | AlignStage
    start: Path
    pairs: int
    trained_tokens: int | None


@dataclass(frozen=True)
class Bench:
    """A seed's arms: where they work, from which base, within which budget."""

    root: Path
    base: Path
    site: Site
    budget: Budget

    def tuned(self, arms: Sequence[Tuned]) -> list[Task]:
        """The arms' stages from the base model, their steps padded so that all train as many tokens."""
        splits, encoder, seed = read_splits(self.site.pairs, _SPLITS), TextEncoder.load(self.base), self.site.seed
        whole = [answer_tokens(pair, RuleMode.RETRIEVED, encoder) for pair in splits["train"]]
        found = []
        for arm in arms:
            data, pairs = self._data(splits, arm.capabilities)
            mode = rule_mode(arm.capabilities)
            each = [answer_tokens(pair, mode, encoder) for pair in pairs]
            spec = self.budget.tuned(seed, padded_steps(self.budget.steps, whole, each), mode)
            tokens = trained_tokens(pairs, spec, encoder)
            found.append(Task(arm.name, arm.capabilities, data, spec, self.base, len(pairs), tokens))
        return found

    def continued(self, full: Task, name: str) -> Task:
        """What goes on from the arm with all capabilities: alignment, or as many more steps of fine-tuning."""
        start, seed = self.model(full), self.site.seed
        if name == ALIGNED:
            return replace(full, arm=name, spec=self.budget.align(seed), start=start, trained_tokens=None)
        longer = self.budget.longer(seed)
        pairs = read_splits(full.data, _SPLITS)["train"]
        tokens = trained_tokens(pairs, longer, TextEncoder.load(self.base))
        return replace(full, arm=name, spec=longer, start=start, trained_tokens=tokens)

    def outcome(self, task: Task) -> Outcome:
        """Train, answer, and tell what it took; nothing is done twice."""
        model = self.trained(task)
        answers = self._kept(task, model, "answers", answered)
        passes = self._kept(task, model, "passes", partial(passed, seed=self.site.seed))
        steps = task.spec.optimizer.max_steps
        return Outcome(task.arm, self.site.seed, answers, passes, task.pairs, steps, task.trained_tokens)

    def trained(self, task: Task) -> Path:
        """The task's model, trained where it is not there yet."""
        name = re.sub("[^a-z]+", "-", task.arm.lower()).strip("-")
        return trained(self.root, f"{self.site.seed}-{name}", self._config(task))

    def done(self, task: Task) -> bool:
        """Whether a task's model is there."""
        return open_store(self._config(task).output).exists()

    def model(self, task: Task) -> Path:
        """Where a task's model lies once it is trained."""
        return Path(self._config(task).output.uri.removeprefix("file://"))

    def gate(self) -> list[Pair]:
        """The pairs that every arm is judged on."""
        return [pair for name in SUBSETS for pair in read_pairs(self.site.gate / f"{name}.jsonl")]

    def _data(self, splits: Mapping[str, Sequence[Pair]], capabilities: Capabilities) -> tuple[Path, list[Pair]]:
        """An arm's pairs as an artifact named by its content, and the training pairs."""
        left = {name: [withheld(pair, capabilities) for pair in pairs] for name, pairs in splits.items()}
        with tempfile.TemporaryDirectory(dir=self.root) as scratch:
            for name, pairs in left.items():
                write_pairs(Path(scratch) / f"{name}.jsonl", pairs)
            digests = [sha256_digest((Path(scratch) / f"{name}.jsonl").read_bytes()) for name in _SPLITS]
            folder = self.root / "pairs" / digest_of(*digests).removeprefix("sha256:")[:20]
            ref = ArtifactRef(uri=folder.absolute().as_uri())
            if not open_store(ref).exists():
                publish(Path(scratch), ref, "pairs", metadata={"labelSchema": label_schema_digest()})
        return folder, left["train"]

    def _config(self, task: Task) -> TrainConfig:
        data, base = artifact(task.data), artifact(task.start)
        ruled = isinstance(task.spec, AlignStage) or task.spec.rule_mode is RuleMode.RETRIEVED
        rules = artifact(self.site.rules) if ruled else None
        digests = [str(ref.digest) for ref in (data, base, rules) if ref is not None]
        return TrainConfig(
            job=f"ablation-{self.site.seed}",
            stage=task.spec.kind,
            base_model=base,
            data=data,
            rule_set=rules,
            workspace=ArtifactRef(uri=(self.root / "runs").absolute().as_uri()),
            input_key=digest_of(*digests, task.spec.content_digest()),
            spec=task.spec,
        )

    def _kept(self, task: Task, model: Path, kind: str, find: Find[Value]) -> dict[str, Value]:
        """What `find` finds out about a task's model and the gate split; once found it is kept by its content."""
        named = digest_of(artifact(model).digest, artifact(self.site.gate).digest, sorted(task.capabilities))
        file = self.root / kind / f"{named.removeprefix('sha256:')[:20]}.json"
        return dict(kept(file, lambda: find(model, self.gate(), task.capabilities, self.site.rules)))


def answer_tokens(pair: Pair, mode: RuleMode, encoder: TextEncoder) -> int:
    """Tokens of a pair that are trained: the trace, its stop, the label."""
    return len(encoder.encode(trace_text(pair.trace, mode))) + _BESIDE_TRACE


def trained_tokens(pairs: Sequence[Pair], spec: SftStage, encoder: TextEncoder) -> int:
    """Trained tokens of a whole stage, exactly: those of every pair that it draws."""
    each = [answer_tokens(pair, spec.rule_mode, encoder) for pair in pairs]
    order = sft_order(pairs, spec)
    return sum(each[row] for step in range(spec.optimizer.max_steps) for row in order.batch(step))


def answered(model: Path, pairs: Sequence[Pair], capabilities: Capabilities, rules: Path) -> dict[str, int]:
    """The label code that the model holds for likeliest, by pair id; its prompts lack what the arm lacks."""
    from lore_core.scoring.reference import TransformersScorer

    kit, source = ModelKit.load(model), RuleSource.load(rule_mode(capabilities), rules)
    shown = [withheld(pair, capabilities) for pair in pairs]
    scores = TransformersScorer(model).score([kit.render(pair, source(pair)) for pair in shown])
    return {pair.id: int(best) for pair, best in zip(pairs, scores.probabilities.argmax(axis=1), strict=True)}


def passed(
    model: Path, pairs: Sequence[Pair], capabilities: Capabilities, rules: Path, *, seed: int
) -> dict[str, float]:
    """pass@k of the model's sampled answers to `SAMPLED` of the pairs, by figure, as a stage measures it on its tune split."""
    from lore_core.training.passing import PassMeter
    from lore_core.training.sft import load_causal
    from lore_core.training.together import Ranks
    from lore_core.training.tune import PREFIX

    kit, source = ModelKit.load(model), RuleSource.load(rule_mode(capabilities), rules)
    shown = [withheld(pair, capabilities) for pair in pairs]
    meter = PassMeter(kit, shown, source, SAMPLED, seed, Ranks(0, 1, 0), 0)
    found = meter.measure(load_causal(model, kit.encoder.size))
    return {name.removeprefix(PREFIX): value for name, value in found.items()}
