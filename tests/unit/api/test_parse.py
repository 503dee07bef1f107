"""Reading stored objects: the types refuse what the API server refuses, and tolerate what a newer one stored."""

from typing import Any

import pytest
from unit.api.specs import ACCEPTED, GOOD, MALFORMED, REFUSED, Case, case_name, edit, resource

from lore_operator import api
from lore_operator.api import InvalidResource
from lore_operator.api.v1alpha1.common import seconds

PARSE: dict[str, Any] = {
    "RelevanceTrainJob": api.parse_train_job,
    "RelevanceModel": api.parse_model,
    "RelevanceEval": api.parse_eval,
    "RelevanceDeployment": api.parse_deployment,
}


@pytest.mark.parametrize("found", ACCEPTED, ids=case_name)
def test_a_good_spec_is_read(found: Case) -> None:
    PARSE[found.kind](found.build())


@pytest.mark.parametrize("found", [*REFUSED, *MALFORMED], ids=case_name)
def test_a_bad_spec_is_not_read(found: Case) -> None:
    with pytest.raises(InvalidResource):
        PARSE[found.kind](found.build())


@pytest.mark.parametrize("kind", GOOD)
def test_unknown_fields_at_any_depth_are_tolerated(kind: str) -> None:
    stored = resource(kind)
    edit(stored, "spec.fromTheFuture", {"x": 1})
    for field in ("data", "lineage", "benchmark", "gate"):
        if field in stored["spec"]:
            stored["spec"][field]["fromTheFuture"] = 1

    PARSE[kind](stored)


def test_a_status_of_any_shape_is_not_looked_at() -> None:
    PARSE["RelevanceEval"](resource("RelevanceEval") | {"status": {"conditions": "broken"}})


def test_the_error_names_the_field() -> None:
    stored = resource("RelevanceTrainJob")
    edit(stored, "spec.stages.0.sft.optimizer.maxSteps", 0)

    with pytest.raises(InvalidResource, match=r"spec\.stages\.0\.sft\.optimizer\.maxSteps"):
        PARSE["RelevanceTrainJob"](stored)


@pytest.mark.parametrize(
    ("text", "expected"), [("72h", 72 * 3600), ("1h30m", 5400), ("1.5s", 1.5), ("300ms", 0.3), ("0s", 0)]
)
def test_durations_are_read_as_go_reads_them(text: str, expected: float) -> None:
    assert seconds(text).total_seconds() == expected
