"""An align stage on this rank, from inputs to weights."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from lore_core.jobs.config import AlignMethod, AlignStage, TrainConfig
from lore_core.prompts import ModelKit
from lore_core.prompts.rules import RuleSource
from lore_core.records import Pair
from lore_core.training.alignment.contract import align_kit
from lore_core.training.alignment.expected import ExpectedModel
from lore_core.training.alignment.guards import Guards, Measurement
from lore_core.training.alignment.pool import Pool, choose
from lore_core.training.alignment.presets import PRESETS
from lore_core.training.alignment.probe import Probe
from lore_core.training.engine import StageLoop
from lore_core.training.history import History, OnStep
from lore_core.training.inputs import StageInputs
from lore_core.training.sft import load_causal
from lore_core.training.together import Ranks, SharedCheckpoints, full_weights, module_for_reading

_CURVE_POINTS: Final = 40


class Aligned:
    """A stage's outcome: weights on rank 0, and what is to be told about how it went."""

    def __init__(self, kit: ModelKit, model: Any, weights: dict[str, Any], history: History, resumed: int) -> None:
        self.kit, self.model, self.weights, self.history, self.resumed = kit, model, weights, history, resumed
        self.summary: dict[str, JsonValue] = {}


class Alignment:
    """What every method starts with: the tuned model, a frozen copy, the pool it learns from, the guards' probe."""

    def __init__(
        self,
        config: TrainConfig,
        spec: AlignStage,
        inputs: StageInputs,
        pairs: list[Pair],
        held_out: list[Pair],
        ranks: Ranks,
    ) -> None:
        self._config, self._spec, self._inputs, self._ranks = config, spec, inputs, ranks
        self.kit = align_kit(spec, inputs.base, inputs.rules)
        rules = RuleSource.load(self.kit.contract.rule_mode, inputs.rules)
        self.model = load_causal(inputs.base, self.kit.encoder.size)
        self.model.to(_device(ranks)).eval()
        self._preset = PRESETS[spec.preset]
        self.pool: Pool = choose(self.kit, self.model, pairs, rules, spec, self._preset, ranks)
        self.probe = Probe(self.kit, held_out, rules, spec.optimizer.seed)
        self.measured: list[Measurement] = []
        self._start = self.probe.measure(self.model, self.model, 0) if self.probe.sizes else None

    def run(self, scratch: Path, on_step: OnStep) -> Aligned:
        """To the last step. Raises JobError where a guard stops it."""
        if self._spec.method is AlignMethod.EXPECTED_REWARD:
            done = self._exactly(scratch, on_step)
        else:
            done = self._by_trl(scratch, on_step)
        done.summary |= {
            "pool": dict(self.pool.counts),
            "canaries": dict(self.probe.sizes),
            "guards": [asdict(found) for found in self.measured[-_CURVE_POINTS:]],
        }
        return done

    def _exactly(self, scratch: Path, on_step: OnStep) -> Aligned:
        config, spec = self._config, self._spec
        self.model.train()
        stage = ExpectedModel(self.kit, self.model, self.pool.candidates, float(self._preset.settings()["beta"]))
        reference = load_causal(self._inputs.base, self.kit.encoder.size).to(_device(self._ranks)).eval()
        loop = StageLoop(stage, self._ranks, spec.optimizer, config.deepspeed, config.checkpoints, scratch)
        start = loop.resume()
        loop.run(start, spec.optimizer.checkpoint_every, self._guarded(loop, reference, on_step))
        return Aligned(self.kit, self.model, loop.weights(), loop.history, start)

    def _guarded(self, loop: StageLoop, reference: Any, on_step: OnStep) -> OnStep:
        """`on_step`, and a look of the guards every so many steps."""
        from lore_core.training.alignment.trl_run import alarm

        if self._start is None:
            return on_step
        guards = Guards(self._start, self.probe.sizes)
        self.measured.append(self._start)

        def after(step: int, values: Mapping[str, float]) -> None:
            on_step(step, values)
            if step % self._spec.guard_every and step != self._spec.optimizer.max_steps:
                return
            with module_for_reading(loop.engine.module, self._config.deepspeed.zero_stage) as now:
                found = self.probe.measure(now, reference, step)
            now.train()
            self.measured.append(found)
            loop.history.add(step, found.values)
            on_step(step, found.values)
            if (stop := guards.see(found)) is not None:
                raise alarm(stop)

        return after

    def _by_trl(self, scratch: Path, on_step: OnStep) -> Aligned:
        from lore_core.training.alignment.logged import history_of
        from lore_core.training.alignment.trl_run import Guarding, Watch, run
        from lore_core.training.alignment.trl_stage import make_trainer

        zero = self._config.deepspeed
        checkpoints = SharedCheckpoints(
            self._config.checkpoints,
            scratch,
            self._ranks,
            zero.zero_stage,
            self._spec.optimizer.keep_checkpoints,
        )
        guarding = None
        watching: list[Any] = [Watch(checkpoints, on_step)]
        if self._start is not None:
            guarding = Guarding(self.probe, self._spec.guard_every, zero.zero_stage, self._start, on_step)
            watching.append(guarding)
        trainer = make_trainer(
            self._spec,
            zero,
            self.kit,
            self._inputs.base,
            self.model,
            self.pool.candidates,
            self._preset,
            self._ranks,
            scratch / "trainer",
            watching,
        )
        if guarding is not None:
            guarding.reference = trainer.ref_model
        resumed = run(trainer, checkpoints)
        module = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        self.measured = guarding.measured if guarding is not None else []
        weights = full_weights(module, self._ranks, zero.zero_stage)
        return Aligned(self.kit, module, weights, history_of(trainer.state.log_history, self.measured), resumed)


def _device(ranks: Ranks) -> str:
    import torch

    return f"cuda:{ranks.local}" if torch.cuda.is_available() else "cpu"
