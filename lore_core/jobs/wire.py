"""What every document of the pod contract is made of: the frame of its models, and numbers and names as strings."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lore_core.artifacts.manifest import canonical_json, sha256_digest

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Decimal = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=24)]
Confidence = Annotated[str, Field(pattern=r"^0\.[5-9][0-9]{0,5}$")]
"""Confidence of a one-sided bound, from 0.5 up to below 1."""
Positive = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,5}(\.[0-9]{1,6})?|0\.[0-9]{0,5}[1-9])$")]
Weight = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$", max_length=13)]
"""At least 0; 0 switches off what it weighs."""
Share = Annotated[str, Field(pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$", max_length=8)]
LabelName = Literal["L1", "L2", "L3", "L4"]


class WireModel(BaseModel):
    """Immutable, strict, camelCase."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    def content_digest(self) -> str:
        """Digest of the canonical JSON form; absent options do not count."""
        return sha256_digest(canonical_json(self.model_dump(mode="json", by_alias=True, exclude_none=True)))
