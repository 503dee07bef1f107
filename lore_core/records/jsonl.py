"""Strict streaming JSONL: one object a line, UTF-8, no duplicate keys, bounded lines."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lore_core.records.errors import RecordError

MAX_LINE_BYTES: Final = 32 << 20

M = TypeVar("M", bound=BaseModel)


class _Refused(ValueError):
    """A JSON text that Python would take and other readers would not, or would read differently."""


def _object(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in entries:
        if name in found:
            raise _Refused(f"the key {name[:64]!r} occurs twice")
        found[name] = value
    return found


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Refused(f"the number {text[:32]} is too large")
    return value


def parse_object(line: bytes, file: Path | str, number: int) -> dict[str, Any]:
    """One line as an object, or a RecordError that says why it is none."""
    try:
        value = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except UnicodeDecodeError as error:
        raise RecordError(
            f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8", file=file, line=number
        ) from error
    except RecursionError as error:
        raise RecordError("nested too deeply", "write one flat object a line", file=file, line=number) from error
    except ValueError as error:
        problem = f"not valid JSON: {getattr(error, 'msg', error)}"
        raise RecordError(problem, "write one JSON object a line", file=file, line=number) from error
    if not isinstance(value, dict):
        raise RecordError(
            f"a JSON {type(value).__name__}, not an object", "write one JSON object a line", file=file, line=number
        )
    return value


def read_lines(stream: IO[bytes], file: Path | str) -> Iterator[tuple[int, bytes]]:
    """Lines with their 1-based numbers; a blank or an overlong one is an error."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise RecordError(
                f"longer than {MAX_LINE_BYTES} bytes",
                "shrink the picture or split the record",
                file=file,
                line=number,
                field="image_base64",
            )
        if not line.strip():
            raise RecordError("an empty line", "remove it", file=file, line=number)
        yield number, line


def read_records(path: Path, model: type[M]) -> Iterator[tuple[int, M]]:
    """Each line of a JSONL file as a validated model, with its line number."""
    try:
        stream = path.open("rb")
    except OSError as error:
        remedy = "check the path and that its producer finished"
        raise RecordError(f"cannot be read ({error.strerror})", remedy, file=path, line=0) from error
    with stream:
        for number, line in read_lines(stream, path):
            yield number, validated(model, parse_object(line, path, number), path, number)


def validated(model: type[M], values: dict[str, Any], file: Path | str, line: int) -> M:
    """The model from parsed values; the first field that does not fit is named in a RecordError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in detail["loc"])[:128] or None
        raise RecordError(_problem(detail), _remedy(detail, model), file=file, line=line, field=field) from error


def _problem(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind == "missing":
        return "the field is missing"
    if kind == "extra_forbidden":
        return "unknown field"
    return f"{detail['msg']}, found {_shown(detail['input'])}"


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "…"


def _remedy(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, field = detail["type"], detail["loc"][-1] if detail["loc"] else ""
    match kind:
        case "missing":
            return f"add {field!r} or map a column onto it"
        case "extra_forbidden":
            return f"remove it or map it onto one of {', '.join(model.model_fields)}"
        case "enum":
            return "use L1, L2, L3 or L4, or map your labels with --label"
        case "string_too_long" | "too_long":
            return "shorten it"
        case _:
            return "correct the value"


def write_jsonl(path: Path, lines: Iterable[dict[str, Any]]) -> int:
    """Write objects one a line, by rename, so that a reader never sees half a file; returns their number."""
    partial = path.with_name(path.name + ".partial")
    count = 0
    with partial.open("wb") as stream:
        for value in lines:
            stream.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            count += 1
    partial.replace(path)
    return count
