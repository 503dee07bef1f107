"""An align stage on this rank, from inputs to weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from lore_core.jobs.config import AlignMethod, AlignStage, TrainConfig
from lore_core.prompts import ModelKit
from lore_core.prompts.rules import RuleSource
from lore_core.records import Pair
from lore_core.training.alignment.contract import align_kit
from lore_core.training.alignment.expected import ExpectedModel
from lore_core.training.alignment.looks import Looks, Pace
from lore_core.training.alignment.pool import Pool, choose
from lore_core.training.alignment.presets import PRESETS
from lore_core.training.alignment.probe import Probe
from lore_core.training.engine import StageLoop
from lore_core.training.history import History, OnStep
from lore_core.training.inputs import StageInputs
from lore_core.training.lineage import SampledScores
from lore_core.training.passing import PassMeter
from lore_core.training.sft import load_causal
from lore_core.training.together import Ranks, SharedCheckpoints, full_weights, module_for_reading

_LOOKS: Final = "looks"


@dataclass(slots=True)
class Aligned:
    """A stage's outcome: weights on rank 0, and what is to be told about how it went. `measured` is the last look's."""

    kit: ModelKit
    model: Any
    weights: dict[str, Any]
    history: History
    resumed: int
    measured: Mapping[str, float]
    sampled: SampledScores | None = None
    summary: dict[str, JsonValue] = field(default_factory=dict)


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
        self._meter = self._pass_meter(held_out, rules)
        self._looks = Looks(self.probe, self._meter, self.model, Pace(spec.guard_every, spec.optimizer.max_steps))

    def _pass_meter(self, held_out: list[Pair], rules: RuleSource) -> PassMeter | None:
        if (wanted := self._spec.pass_at_k) is None:
            return None
        seed, zero = self._spec.optimizer.seed, self._config.deepspeed.zero_stage
        return PassMeter(self.kit, held_out, rules, wanted, seed, self._ranks, zero)

    def run(self, scratch: Path, on_step: OnStep) -> Aligned:
        """To the last step. Raises JobError where a guard stops it."""
        if self._spec.method is AlignMethod.EXPECTED_REWARD:
            done = self._exactly(scratch, on_step)
        else:
            done = self._by_trl(scratch, on_step)
        done.summary |= {
            "pool": dict(self.pool.counts),
            "canaries": dict(self.probe.sizes),
            "guards": [*self._looks.memory],
        }
        done.sampled = self._meter.told(done.measured) if self._meter else None
        return done

    def _exactly(self, scratch: Path, on_step: OnStep) -> Aligned:
        config, spec = self._config, self._spec
        stage = ExpectedModel(self.kit, self.model, self.pool.candidates, float(self._preset.settings()["beta"]))
        reference = load_causal(self._inputs.base, self.kit.encoder.size).to(_device(self._ranks)).eval()
        loop = StageLoop(stage, self._ranks, spec.optimizer, config.deepspeed, config.checkpoints, scratch)
        start = loop.resume()
        self._looks.remember(loop.kept.get(_LOOKS, ()))
        if start == 0:
            loop.history.add(0, self._looks.start.values)
        loop.run(start, spec.optimizer.checkpoint_every, self._guarded(loop, reference, on_step))
        return Aligned(self.kit, self.model, loop.weights(), loop.history, start, self._looks.latest.values)

    def _guarded(self, loop: StageLoop, reference: Any, on_step: OnStep) -> OnStep:
        """`on_step`, and a look every so many steps."""
        from lore_core.training.alignment.trl_run import alarm

        def after(step: int, values: Mapping[str, float]) -> None:
            on_step(step, values)
            if not self._looks.due(step):
                return
            with module_for_reading(loop.engine.module, self._config.deepspeed.zero_stage) as now:
                found = self._looks.look(now, reference, step)
            loop.kept[_LOOKS] = self._looks.memory
            loop.history.add(step, found.values)
            on_step(step, found.values)
            if found.stop is not None:
                raise alarm(found.stop)

        return after

    def _by_trl(self, scratch: Path, on_step: OnStep) -> Aligned:
        from lore_core.training.alignment.logged import history_of, last_look
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
        guarding = Guarding(self._looks, zero.zero_stage, on_step)
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
            [Watch(checkpoints, on_step), guarding],
        )
        guarding.reference = trainer.ref_model
        resumed = run(trainer, checkpoints)
        module = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        weights, logged = full_weights(module, self._ranks, zero.zero_stage), trainer.state.log_history
        return Aligned(self.kit, module, weights, history_of(logged), resumed, last_look(logged))


def _device(ranks: Ranks) -> str:
    import torch

    return f"cuda:{ranks.local}" if torch.cuda.is_available() else "cpu"
