"""Label schemas: what four labels mean. Data of two schemas is never mixed; a map says how one becomes the other.

RAIR's own definitions of L2 and L3 changed between released versions, so a label without its schema means little.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from lore_core.artifacts.ref import Digest
from lore_core.jobs.errors import JobError
from lore_core.records.errors import RecordError
from lore_core.records.jsonl import parse_object, read_lines, validated
from lore_core.records.label import LABEL_DEFINITIONS, LABELS, Label, label_schema_digest
from lore_core.records.pair import Pair
from lore_core.records.verdict import trace_label

SCHEMA_KEY = "labelSchema"


def described() -> dict[str, JsonValue]:
    """The schema that this version speaks, for people and for maps."""
    labels: list[JsonValue] = [
        {"label": label.value, "relevant": label.relevant, "definition": LABEL_DEFINITIONS[label]} for label in LABELS
    ]
    return {"digest": label_schema_digest(), "labels": labels}


def require_schema(field: str, uri: str, metadata: Mapping[str, JsonValue]) -> None:
    """Refuse an artifact whose labels mean something else. One that names no schema holds no labels of another."""
    found = metadata.get(SCHEMA_KEY)
    if found is not None and found != label_schema_digest():
        raise JobError(
            "LabelSchemaMismatch",
            f"{field}: {uri} has the label schema {found}, needed is {label_schema_digest()}; "
            "write it anew with `lore labels migrate` and an explicit map, or train the model again",
            field=field,
        )


class LabelMap(BaseModel):
    """How each label of an old schema reads in a new one; null drops its pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Digest = Field(alias="from")
    target: Digest = Field(alias="to")
    labels: dict[str, Label | None] = Field(min_length=1)

    @classmethod
    def load(cls, path: Path) -> Self:
        """From a JSON file. Raises JobError naming file and field."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise JobError("BadLabelMap", f"{path}: cannot be read ({error.strerror}); check the path") from error
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            field = ".".join(str(part) for part in detail["loc"]) or "map"
            raise JobError(
                "BadLabelMap", f"{path}: {field}: {detail['msg']}; correct the field", field=field
            ) from error


class Migration:
    """Reads pairs under an old schema as pairs of the present one, and counts what became of them."""

    def __init__(self, mapping: LabelMap) -> None:
        """Raises JobError where the map leads to another schema than this version's."""
        if mapping.target != label_schema_digest():
            raise JobError(
                "LabelSchemaMismatch",
                f"to: the map leads to {mapping.target}, this version speaks {label_schema_digest()}; "
                "see `lore labels show`",
                field="to",
            )
        self._labels = mapping.labels
        self.moved: Counter[str] = Counter()
        self.traces_dropped = 0

    def read(self, path: Path) -> Iterator[Pair]:
        """The pairs of a JSONL file, dropped ones left out. Raises RecordError for a label that the map does not name."""
        with path.open("rb") as stream:
            for number, line in read_lines(stream, path):
                values = parse_object(line, path, number)
                label = self._label(values.get("groundtruth"), path, number)
                if label is not None:
                    yield self._argued(validated(Pair, {**values, "groundtruth": label.value}, path, number))

    def _label(self, old: object, path: Path, line: int) -> Label | None:
        if not isinstance(old, str) or old not in self._labels:
            raise RecordError(
                f"the map does not name the label {str(old)[:64]!r}",
                "add it to the map's labels; null drops its pairs",
                file=path,
                line=line,
                field="groundtruth",
            )
        new = self._labels[old]
        self.moved[f"{old}>{new.value if new else 'dropped'}"] += 1
        return new

    def _argued(self, pair: Pair) -> Pair:
        """Without its trace where that argues for another label than the pair now has."""
        try:
            if not pair.trace or trace_label(pair.trace) is pair.groundtruth:
                return pair
        except ValueError:
            pass  # a verdict of the old schema's own
        self.traces_dropped += 1
        return pair.model_copy(update={"trace": ()})
