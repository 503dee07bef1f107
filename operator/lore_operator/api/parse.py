"""Reading stored objects: unknown fields are tolerated (a newer CRD wrote them), wrong ones are named."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from lore_operator.api.v1alpha1 import RelevanceDeployment, RelevanceEval, RelevanceModel, RelevanceTrainJob
from lore_operator.api.v1alpha1.common import Resource

Kind = TypeVar("Kind", bound=Resource)


class InvalidResource(ValueError):
    """A stored object that the operator cannot read; the message names each field and what is wrong with it."""

    reason = "InvalidSpec"


def parse_as(kind: type[Kind], stored: Mapping[str, Any]) -> Kind:
    """The typed form of a stored object. Status is a cache and is not read. Raises InvalidResource."""
    try:
        return kind.model_validate({key: value for key, value in stored.items() if key != "status"}, extra="ignore")
    except ValidationError as error:
        found = (f"{'.'.join(map(str, item['loc'])) or 'object'}: {item['msg']}" for item in error.errors())
        raise InvalidResource("; ".join(found)) from error


def parse_train_job(stored: Mapping[str, Any]) -> RelevanceTrainJob:
    """A RelevanceTrainJob. Raises InvalidResource."""
    return parse_as(RelevanceTrainJob, stored)


def parse_model(stored: Mapping[str, Any]) -> RelevanceModel:
    """A RelevanceModel. Raises InvalidResource."""
    return parse_as(RelevanceModel, stored)


def parse_eval(stored: Mapping[str, Any]) -> RelevanceEval:
    """A RelevanceEval. Raises InvalidResource."""
    return parse_as(RelevanceEval, stored)


def parse_deployment(stored: Mapping[str, Any]) -> RelevanceDeployment:
    """A RelevanceDeployment. Raises InvalidResource."""
    return parse_as(RelevanceDeployment, stored)
