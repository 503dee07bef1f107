"""What counts the rows of a log: SQL that DuckDB and Spark both understand, so that either makes the same bytes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from lore_core.strata.log import LogShape

MEMORY: Final = "1GB"


class Engine(Protocol):
    """Tables by name. Both engines know `query_key`, the router's normaliser, as a function."""

    divided: str
    """The operator that divides whole numbers."""

    def read(self, files: list[Path], shape: LogShape) -> None:
        """Define `log_rows`; nothing is read but headers. Raises LogError for a missing column or a torn file."""

    def rejected(self) -> int:
        """Rows of the last `define` that were no rows at all, as a CSV may have them."""

    def define(self, table: str, query: str) -> None:
        """Make a table of what a query finds, in place of an earlier one. Raises LogError."""

    def values(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Make a table of these rows; `columns` are names with their types."""

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """What a query finds. Raises LogError."""
