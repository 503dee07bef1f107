"""The three files of a GoodRate measurement, JSONL with one object a line: served requests, the sample, ratings."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lore_core.records.jsonl import read_records

GOOD_ITEMS: Final = ("L3", "L4")
GOOD_PAGES: Final = ("Good", "Mid")
PAGE_LABELS: Final = ("Good", "Mid", "Bad")
Identifier = Annotated[str, Field(min_length=1, max_length=4096)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Served(_Row):
    """One answered request: the items as they were shown, best first.

    `stratum` and `revision` are the router's, as `x-lore-stratum` and `x-lore-revision` say them; a log that does not know the
    revision leaves it out.
    """

    request: Identifier
    date: date
    stratum: Annotated[str, Field(min_length=1, max_length=64)]
    query: Annotated[str, Field(min_length=1, max_length=16_384)]
    market: Annotated[str, Field(max_length=64)] = ""
    items: tuple[Identifier, ...] = Field(min_length=1, max_length=1000)
    revision: Annotated[str, Field(max_length=63)] = ""


class Drawn(Served):
    """A request of the sample.

    `sampled` of the `population` requests of its day and stratum were drawn, `rated` of those for people; `people` says
    whether this one is.
    """

    population: int = Field(ge=1)
    sampled: int = Field(ge=1)
    rated: int = Field(ge=0)
    people: bool


class Rating(_Row):
    """What one rater says of an item shown for a request, or, without `item`, of the page. `guideline` names its version."""

    request: Identifier
    item: Identifier | None = None
    rater: Identifier
    label: Literal["L1", "L2", "L3", "L4", "Good", "Mid", "Bad"]
    guideline: Annotated[str, Field(min_length=1, max_length=256)]

    @model_validator(mode="after")
    def _kind(self) -> "Rating":
        if (self.item is None) != (self.label in PAGE_LABELS):
            raise ValueError("L1 to L4 are an item's labels; Good, Mid and Bad a page's, without item")
        return self

    @property
    def good(self) -> bool:
        """Whether it speaks for the item or page."""
        return self.label in (GOOD_ITEMS if self.item is not None else GOOD_PAGES)


class Vote(_Row):
    """One rater's look at two pages for a query, which revisions were on which side, and the side that is better.

    Raters saw no names: these are put in afterwards.
    """

    query: Annotated[str, Field(min_length=1, max_length=16_384)]
    left: Identifier
    right: Identifier
    vote: Literal["left", "same", "right"]
    rater: Identifier
    guideline: Annotated[str, Field(min_length=1, max_length=256)]

    @property
    def better(self) -> str | None:
        """The revision that is better; None where they are the same."""
        return {"left": self.left, "right": self.right}.get(self.vote)


def read_served(path: Path) -> Iterator[Served]:
    """Streamed. Raises RecordError."""
    return (row for _, row in read_records(path, Served))


def read_drawn(path: Path) -> list[Drawn]:
    """The whole sample. Raises RecordError."""
    return [row for _, row in read_records(path, Drawn)]


def read_votes(path: Path) -> list[Vote]:
    """All votes. Raises RecordError."""
    return [row for _, row in read_records(path, Vote)]


def read_ratings(path: Path) -> list[Rating]:
    """All ratings. Raises RecordError."""
    return [row for _, row in read_records(path, Rating)]
