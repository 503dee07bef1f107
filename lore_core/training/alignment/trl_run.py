"""Running a TRL trainer as a stage: progress, whole checkpoints, guards, an orderly end on a termination signal."""

import signal
from pathlib import Path
from typing import Any, Final

from transformers import TrainerCallback

from lore_core.jobs.errors import JobError
from lore_core.training.alignment.guards import Stop
from lore_core.training.alignment.logged import by_our_names
from lore_core.training.alignment.looks import Look, Looks
from lore_core.training.engine import StopSignal
from lore_core.training.history import LOSS, OnStep
from lore_core.training.together import SharedCheckpoints, gathered, module_for_reading

_MEMORY: Final = "looks"


def run(trainer: Any, checkpoints: SharedCheckpoints) -> int:
    """Train to the last step; returns the step that it was resumed from. SystemExit after a termination signal."""
    resumed, folder = 0, None
    for found in checkpoints.restored():
        resumed, folder = found.step, checkpoints.scratch / found.tag
        break
    trainer.train(resume_from_checkpoint=str(folder) if folder else None)
    if folder is not None:
        checkpoints.drop(folder)
    if trainer.state.global_step < trainer.args.max_steps:
        raise SystemExit(128 + signal.SIGTERM)
    return resumed


class Watch(TrainerCallback):  # type: ignore[misc]
    """Tells progress, publishes what the Trainer saved, and ends with a saved step when asked to."""

    def __init__(self, checkpoints: SharedCheckpoints, on_step: OnStep) -> None:
        self._checkpoints, self._on_step = checkpoints, on_step
        self._stop = StopSignal()

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_others: Any) -> None:
        """Any rank that was asked to stop stops all of them, saved."""
        if any(gathered(self._stop.received, self._checkpoints.ranks)):
            control.should_save = control.should_training_stop = True

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, float], **_others: Any) -> None:
        """After every step."""
        if LOSS in logs:
            self._on_step(state.global_step, by_our_names(logs))

    def on_save(self, args: Any, state: Any, _control: Any, **_others: Any) -> None:
        """The Trainer has written `checkpoint-STEP` on every rank."""
        self._checkpoints.publish(state.global_step, Path(args.output_dir) / f"checkpoint-{state.global_step}")


class Guarding(TrainerCallback):  # type: ignore[misc]
    """Looks at the model every so many steps and ends the stage where a guard says so.

    What it sees is logged with the Trainer's own values, so that it lies in every checkpoint.
    """

    def __init__(self, looks: Looks, zero_stage: int, on_step: OnStep) -> None:
        self._looks, self._zero, self._on_step = looks, zero_stage, on_step
        self.reference: Any = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_others: Any) -> None:
        """The first look was taken before; those of an interrupted attempt lie in its log."""
        if state.global_step == 0:
            self._keep(state, self._looks.start)
        else:
            self._looks.remember(next((row[_MEMORY] for row in reversed(state.log_history) if _MEMORY in row), ()))

    def on_step_end(self, _args: Any, state: Any, _control: Any, model: Any, **_others: Any) -> None:
        """Raises JobError with the guard's alarm as its reason."""
        if not self._looks.due(state.global_step):
            return
        with module_for_reading(model, self._zero) as now, module_for_reading(self.reference, self._zero) as start:
            found = self._looks.look(now, start, state.global_step)
        self._keep(state, found)
        self._on_step(found.step, found.values)
        if found.stop is not None:
            raise alarm(found.stop)

    def _keep(self, state: Any, found: Look) -> None:
        for row in state.log_history:
            row.pop(_MEMORY, None)
        state.log_history.append({**found.values, "step": found.step, _MEMORY: self._looks.memory})


def alarm(stop: Stop) -> JobError:
    """The failure that an alarm becomes."""
    return JobError(
        stop.alarm.value,
        f"step {stop.step}: {stop.detail}; lower the learning rate, raise what holds the model to its start, or look at the reward",
    )
