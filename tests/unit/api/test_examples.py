"""The examples are what the types accept, without an unknown field."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.api.specs import GOOD

from lore_operator.api.v1alpha1 import RelevanceDeployment, RelevanceEval, RelevanceModel, RelevanceTrainJob

ROOT = Path(__file__).parents[3] / "examples"
TYPES = {kind.__name__: kind for kind in (RelevanceDeployment, RelevanceEval, RelevanceModel, RelevanceTrainJob)}


def examples() -> list[dict[str, Any]]:
    found = [item for file in sorted(ROOT.rglob("*.yaml")) for item in yaml.safe_load_all(file.read_text("utf-8"))]
    return [item for item in found if item and item.get("kind") in GOOD]


@pytest.mark.parametrize("example", examples(), ids=lambda item: f"{item['kind']}-{item['metadata']['name']}")
def test_an_example_is_accepted(example: dict[str, Any]) -> None:
    metadata = {"name": example["metadata"]["name"]}

    TYPES[example["kind"]].model_validate(example | {"metadata": metadata})
