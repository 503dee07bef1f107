"""The generated CRDs: up to date, structural, and every rule with a case that it refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.api.specs import ACCEPTED, FROZEN, GROWN, REFUSED

from lore_operator.api.crd import KINDS, crd, main

ROOT = Path(__file__).parents[3]
CRDS = {served.type.__name__: crd(served) for served in KINDS}


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema node below one."""
    yield node
    for child in node.get("properties", {}).values():
        yield from nodes(child)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key])


def test_the_files_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["--check"]) == 0


def test_a_list_of_evaluations_shows_verdict_primary_score_and_gates_passed() -> None:
    columns = CRDS["RelevanceEval"]["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = {column["name"]: column["jsonPath"] for column in columns if not column.get("priority")}
    assert shown["Verdict"] == ".status.verdict"
    assert shown["Score"] == ".status.primary.value"
    assert shown["Gates"] == ".status.gatesPassed"


def test_a_changed_file_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--into", str(tmp_path)]) == 0
    file = tmp_path / "lore-platform.io_relevancemodels.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "#\n", encoding="utf-8")

    assert main(["--into", str(tmp_path), "--check"]) == 1
    assert "make generate" in capsys.readouterr().err


@pytest.mark.parametrize("kind", CRDS)
def test_a_schema_holds_only_what_a_structural_one_may(kind: str) -> None:
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "title", "const", "discriminator", "prefixItems", "uniqueItems"}
    for node in nodes(schema(kind)):
        assert not forbidden & node.keys()
        assert "type" in node or "x-kubernetes-int-or-string" in node, node
        assert node.get("default", "") is not None


@pytest.mark.parametrize("kind", CRDS)
def test_every_list_says_how_server_side_apply_merges_it(kind: str) -> None:
    for node in nodes(schema(kind)):
        if node.get("type") == "array":
            assert node["x-kubernetes-list-type"] in ("map", "set", "atomic")
            assert "maxItems" in node


@pytest.mark.parametrize("kind", CRDS)
def test_a_fresh_object_is_never_taken_for_healthy(kind: str) -> None:
    assert schema(kind)["properties"]["status"]["default"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", CRDS)
def test_the_server_puts_nothing_into_a_status_that_the_operator_wrote(kind: str) -> None:
    status = schema(kind)["properties"]["status"]
    assert [node for child in status["properties"].values() for node in nodes(child) if "default" in node] == []


@pytest.mark.parametrize("kind", CRDS)
def test_conditions_are_a_map_by_type(kind: str) -> None:
    conditions = schema(kind)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("kind", CRDS)
def test_every_rule_has_a_case_that_it_refuses(kind: str) -> None:
    messages = {rule["message"] for node in nodes(schema(kind)) for rule in node.get("x-kubernetes-validations", ())}
    tried = [case.message for case in (*REFUSED, *FROZEN) if case.kind == kind and case.message]

    assert [message for message in messages if not any(fragment in message for fragment in tried)] == []


def test_short_names_and_category() -> None:
    names = {kind: found["spec"]["names"] for kind, found in CRDS.items()}

    assert {kind: found["shortNames"] for kind, found in names.items()} == {
        "RelevanceTrainJob": ["rtj"],
        "RelevanceModel": ["rmodel"],
        "RelevanceEval": ["reval"],
        "RelevanceDeployment": ["rdep"],
    }
    assert all(found["categories"] == ["lore"] for found in names.values())


def judged(node: dict[str, Any], value: Any) -> Iterator[str]:
    """Rules that the API server evaluates on a value."""
    yield from (rule["rule"] for rule in node.get("x-kubernetes-validations", ()))
    if isinstance(value, dict):
        further = node.get("additionalProperties")
        for name, child in value.items():
            below = node.get("properties", {}).get(name) or (further if isinstance(further, dict) else None)
            yield from judged(below, child) if below else ()
    elif isinstance(value, list):
        yield from (rule for child in value for rule in judged(node["items"], child))


@pytest.mark.parametrize("kind", CRDS)
def test_every_rule_has_a_case_that_it_accepts(kind: str) -> None:
    root = schema(kind)
    rules = {rule["rule"] for node in nodes(root) for rule in node.get("x-kubernetes-validations", ())}
    accepted = [case.build() for case in (*ACCEPTED, *GROWN) if case.kind == kind]

    assert rules - {rule for found in accepted for rule in judged(root, found)} == set()
