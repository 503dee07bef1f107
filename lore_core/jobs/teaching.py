"""How a distill stage uses its teacher's scores."""

from typing import Final

from pydantic import ConfigDict

from lore_core.jobs.wire import Weight, WireModel

TEACHER_NEEDED: Final = "marginWeight, weighTeacher and calibrateTeacher go with a teacher"


class TeacherKnobs(WireModel):
    """What a teacher is used for beside its label probabilities, and how far it is trusted. All off by default."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    margin_weight: Weight = "0"
    """How much it counts that items of one query stand as far apart in expected grade as the teacher has them; above 0 a
    query's pairs are drawn together."""
    weigh_teacher: bool = False
    """What the teacher says of a pair counts by the probability that it gives the gold label: little where it is unsure, less
    where it disagrees."""
    calibrate_teacher: bool = False
    """Score at the temperature that makes gold labels of the calibration split likeliest."""

    @property
    def needs_teacher(self) -> bool:
        """Whether any of them is used."""
        return float(self.margin_weight) > 0 or self.weigh_teacher or self.calibrate_teacher
