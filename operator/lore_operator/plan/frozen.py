"""The spec that a run goes by: the one it began with, whatever the resource says since.

It is stored in the config of the run's first attempt, with the images resolved, so that neither an edit nor an upgrade of
the operator changes what a later stage is rendered from. Only what steers the run stays live: suspend, runToken, runPolicy;
and an evaluation's override, which is given after its end.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from lore_operator.api.v1alpha1.evaluation import EvalSpec
from lore_operator.api.v1alpha1.train_job import TrainJobSpec
from lore_operator.children.config_maps import RECORD_KEY
from lore_operator.children.settings import Settings
from lore_operator.plan.attempts import Record
from lore_operator.plan.conditions import Halt, State

Spec = TypeVar("Spec", TrainJobSpec, EvalSpec)

_LIVE = ("suspend", "run_token", "run_policy", "override")
DRIFT = "SpecDrift"
_DRIFT_TEXT = (
    "the spec was edited after the run started and is not used; set a new spec.runToken to start a run with it"
)


def with_images(spec: Spec, settings: Settings) -> Spec:
    """The spec with the installation's images where it names none."""
    if isinstance(spec, TrainJobSpec):
        image = spec.runner.image or settings.images.trainer
        return spec.model_copy(update={"runner": spec.runner.model_copy(update={"image": image})})
    image = spec.serving_profile.image or settings.images.server
    return spec.model_copy(update={"serving_profile": spec.serving_profile.model_copy(update={"image": image})})


def effective(spec: Spec, mine: list[Record], settings: Settings) -> tuple[Spec, Mapping[str, str]]:
    """The spec to go by, and the SpecDrift alert where the resource's own has moved away from it."""
    current = with_images(spec, settings)
    record = recorded(mine)
    if record is None or record["spec"] == current.to_wire():
        return current, {}
    try:
        frozen = type(spec).model_validate(record["spec"], extra="ignore")
    except ValidationError as error:
        text = f"the spec that this run began with cannot be read by this operator ({error.error_count()} errors)"
        raise Halt(State.STALLED, "InvalidFrozenSpec", f"{text}; set a new spec.runToken") from error
    live = {name: getattr(spec, name) for name in _LIVE if hasattr(spec, name)}
    goes_by = frozen.model_copy(update=live)
    return goes_by, ({} if _same(spec, goes_by) else {DRIFT: _DRIFT_TEXT})


def _same(spec: Spec, frozen: Spec) -> bool:
    """Whether they say the same; an image that the spec does not name may be any."""
    if isinstance(spec, TrainJobSpec) and isinstance(frozen, TrainJobSpec):
        image = spec.runner.image or frozen.runner.image
        runner = spec.runner.model_copy(update={"image": image})
        return bool(spec.model_copy(update={"runner": runner}) == frozen)
    if isinstance(spec, EvalSpec) and isinstance(frozen, EvalSpec):
        image = spec.serving_profile.image or frozen.serving_profile.image
        profile = spec.serving_profile.model_copy(update={"image": image})
        return bool(spec.model_copy(update={"serving_profile": profile}) == frozen)
    return False


def recorded(mine: list[Record]) -> dict[str, Any] | None:
    """What the run began with, from its earliest config that still exists."""
    configs = [record.config for record in sorted(mine, key=_age) if record.config]
    text = next((item["data"][RECORD_KEY] for item in configs if RECORD_KEY in (item.get("data") or {})), None)
    return dict(json.loads(text)) if text else None


def _age(record: Record) -> tuple[str, int]:
    at = record.started
    return (at.isoformat() if at else "9", record.number)
