"""Gates from a file: a list, an object with `gates`, or a RelevanceEval manifest; JSON or YAML."""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from lore_core.jobs import Gate
from lore_core.jobs.errors import JobError
from lore_core.jobs.evaluation import GOODRATE_METRICS

_YAML: Final = (".yaml", ".yml")


class GateFileError(JobError):
    """The file holds no usable gates; the message names file, gate and field."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__("BadGates", f"{path}: {problem}", file=str(path))


def read_gates(path: Path) -> tuple[Gate, ...]:
    """The gates of a file, at least one, names unique. Raises GateFileError."""
    found = _listed(path, _document(path))
    gates = tuple(_gate(path, number, values) for number, values in enumerate(found))
    names = [gate.name for gate in gates]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise GateFileError(path, f"the gate {double!r} occurs twice; give each its own name")
    if served := next((gate for gate in gates if gate.metric in GOODRATE_METRICS), None):
        raise GateFileError(
            path, f"the gate {served.name!r} is about served results, evidence is of a benchmark; leave it out"
        )
    return gates


def _document(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() not in _YAML:
            return json.loads(text)
    except (OSError, ValueError) as error:
        raise GateFileError(path, f"cannot be read: {error}") from error
    try:
        import yaml
    except ImportError as error:
        raise GateFileError(path, "YAML needs the package pyyaml here; install it or write JSON") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise GateFileError(path, f"not valid YAML: {error}") from error


def _listed(path: Path, document: Any) -> list[Any]:
    if isinstance(document, dict):
        document = document.get("spec", document)
        document = document.get("gates") if isinstance(document, dict) else None
    if not isinstance(document, list) or not document:
        raise GateFileError(path, "holds no gates; give a list of them, `gates:`, or a RelevanceEval with spec.gates")
    return document


def _gate(path: Path, number: int, values: Any) -> Gate:
    try:
        return Gate.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise GateFileError(path, f"gates[{number}]{f'.{field}' if field else ''}: {first['msg']}") from error
