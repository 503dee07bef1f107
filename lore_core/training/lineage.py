"""The stages that made a model, the first one first: written into each model's manifest, and handed on to what is made of it."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from lore_core.artifacts import MANIFEST_NAME, Digest, Manifest
from lore_core.jobs.errors import JobError
from lore_core.jobs.lora import Lora
from lore_core.jobs.wire import Decimal, Name, WireModel

LINEAGE: Final = "lineage"
"""Key of the manifest's metadata."""


_Word = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9.]{0,63}$")]


class SampledScores(WireModel):
    """pass@k by the names of its figures, over `pairs` of the tune split with `samples` answers each."""

    pairs: int
    samples: int
    scores: dict[_Word, Decimal]


class MadeBy(WireModel):
    """One stage: its kind (the method beside it where there are several), its inputs, and what it measured of its model.

    `step` is the one whose weights were taken, of `steps` planned; `scores` are over `scored_pairs` of the tune split,
    `sampled` of answers that were sampled to some of them.
    """

    stage: Name
    kind: str = Field(pattern=r"^[a-z]+( [A-Za-z0-9]+)?$", max_length=64)
    step: int
    steps: int
    batch_size: int
    learning_rate: Decimal
    final_loss: Decimal
    inputs: dict[_Word, Digest]
    scores: dict[_Word, Decimal] = {}
    scored_pairs: int = 0
    sampled: SampledScores | None = None
    lora: Lora | None = None


_LINEAGE: Final = TypeAdapter(tuple[MadeBy, ...])


def lineage_of(folder: Path, role: str) -> tuple[MadeBy, ...]:
    """The stages behind a fetched model; none for one that was imported. Raises JobError where they cannot be read."""
    manifest = Manifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    try:
        return _LINEAGE.validate_python(manifest.metadata.get(LINEAGE, ()), by_alias=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise JobError(
            "BadBaseModel",
            f"{role}: metadata.{LINEAGE}.{where} of its manifest: {first['msg']}; publish the model again",
            field=role,
        ) from error


def lineage_json(stages: tuple[MadeBy, ...]) -> JsonValue:
    """For a manifest's metadata."""
    found: JsonValue = _LINEAGE.dump_python(stages, mode="json", by_alias=True, exclude_none=True)
    return found
