"""Query frequency: one versioned normaliser, and the immutable snapshot that says head, torso or tail for a query.

`normaliser` and `snapshot` are light and used by the router on every request; building imports DuckDB when it runs.
"""

from lore_core.strata.normaliser import NORMALISER_VERSION, query_hash, query_key
from lore_core.strata.snapshot import SnapshotError, StrataSnapshot, Stratum

__all__ = ["NORMALISER_VERSION", "SnapshotError", "StrataSnapshot", "Stratum", "query_hash", "query_key"]
