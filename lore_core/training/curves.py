"""`lore-training.json` of a model artifact: the curves of the stage that made it."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from lore_core.artifacts.manifest import canonical_json
from lore_core.jobs.errors import JobError
from lore_core.jobs.report import MeasureName
from lore_core.jobs.wire import WireModel
from lore_core.training.history import MOST_POINTS

CURVES_NAME: Final = "lore-training.json"


class TrainingCurves(WireModel):
    """`[step, value]` rows by name."""

    format_version: Literal[1] = 1
    curves: dict[MeasureName, Annotated[tuple[tuple[float, float], ...], Field(max_length=MOST_POINTS)]]

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, path: Path) -> "TrainingCurves":
        """Raises JobError naming file and field."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise JobError(
                "BadData", f"{path.name}: not there; the model was made before curves were kept, or imported"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise JobError("BadData", f"{path.name}: {where}: {first['msg']}; publish the model again") from error
