"""Reading a teacher's answers: one JSON object of the asked shape, or nothing."""

import json
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lore_core.prompts.answers import THINK_END
from lore_core.records import Label, TraceStep
from lore_core.synthesis.tasks import Demand

_MOST: Final = 64
_Text = Annotated[str, Field(min_length=1, max_length=1_024)]
M = TypeVar("M", bound=BaseModel)


class Unreadable(ValueError):
    """The answer is not what was asked for."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Demand(_Answer):
    term: _Text
    dimension: _Text
    demand: _Text


class _Path(_Answer):
    path: list[_Demand] = Field(max_length=_MOST)


class _Picture(_Answer):
    picture: Annotated[str, Field(min_length=1, max_length=8_192)]


class _Step(_Answer):
    dimension: _Text
    demand: _Text
    evidence: Annotated[str, Field(max_length=1_024)] = ""
    rule: Annotated[str, Field(max_length=64)] = ""
    verdict: Annotated[str, Field(max_length=64)]


class _Steps(_Answer):
    steps: list[_Step] = Field(max_length=_MOST)
    label: str


def read_path(text: str) -> tuple[Demand, ...]:
    """A path. Raises Unreadable."""
    return tuple(Demand(step.term, step.dimension, step.demand) for step in _read(_Path, text).path)


def read_picture(text: str) -> str:
    """A picture's words. Raises Unreadable."""
    return _read(_Picture, text).picture.strip()


def read_steps(text: str) -> tuple[tuple[TraceStep, ...], Label]:
    """A trace and the label it states. Raises Unreadable."""
    found = _read(_Steps, text)
    try:
        steps = tuple(TraceStep.model_validate(step.model_dump()) for step in found.steps)
        return steps, Label(found.label)
    except (ValidationError, ValueError) as error:
        raise Unreadable(str(error)) from error


def _read(model: type[M], text: str) -> M:
    try:
        return model.model_validate(_object(text))
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def _object(text: str) -> Any:
    """The object from the first brace after any reasoning; what follows it must be a closing fence at most."""
    answer = text.rpartition(THINK_END)[2]
    start = answer.find("{")
    value, end = json.JSONDecoder().raw_decode(answer, max(start, 0))
    if answer[end:].strip().strip("`"):
        raise ValueError("text after the object")
    return value
