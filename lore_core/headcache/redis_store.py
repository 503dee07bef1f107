"""Head scores in a Redis or Valkey server: for heads that change faster than generations are rolled out (docs/formats/head.md).

One hash holds the entries of one query by one scorer, so scores of another model, prompt, rule set or profile are never seen.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from lore_core.headcache.generation import Hashes, HeadEntry, Lookup
from lore_core.headcache.reuse import Scorer

_ENTRY: Final = struct.Struct("<Q4f")
_SUM_TOLERANCE: Final = 1e-3
_QUERIES_A_BATCH: Final = 500


class StoreError(Exception):
    """The store cannot be used; the message names its address and what to do."""


def query_key_of(scorer: Scorer, query: int) -> str:
    """The key of one query's hash."""
    return f"lore:head:{scorer.key}:{query:016x}"


def _by_item(item: int) -> str:
    return f"i{item:016x}"


def _by_content(content: int) -> str:
    return f"t{content:016x}"


def connection_options(credentials: Path | None) -> dict[str, Any]:
    """Keys of the mounted Secret, all optional: username, password, ca.crt. The address says redis:// or rediss:// (TLS)."""
    if credentials is None:
        return {}
    names = {"username": "username", "password": "password"}
    found: dict[str, Any] = {
        option: (credentials / key).read_text(encoding="utf-8").strip()
        for option, key in names.items()
        if (credentials / key).is_file()
    }
    if (credentials / "ca.crt").is_file():
        found["ssl_ca_certs"] = str(credentials / "ca.crt")
    return found


class RedisHead:
    """Lookups of one scorer's entries. As in a generation, an entry answers only for the content it was scored with."""

    def __init__(self, url: str, scorer: Scorer, seconds: float, credentials: Path | None = None) -> None:
        """`seconds` bounds connecting and each answer. Nothing is connected yet."""
        from redis.asyncio import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._scorer = scorer
        self._client = Redis.from_url(
            url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0),
            **connection_options(credentials),
        )  # fmt: skip

    async def lookup(self, query: int, items: Hashes, content: Hashes) -> Lookup:
        """As `HeadGeneration.lookup`. Raises what redis-py raises."""
        return _found(await self._values(query, [_by_item(item) for item in items.tolist()]), content)

    async def lookup_texts(self, query: int, content: Hashes) -> Lookup:
        """As `HeadGeneration.lookup_texts`. Raises what redis-py raises."""
        return _found(await self._values(query, [_by_content(one) for one in content.tolist()]), content)

    async def _values(self, query: int, fields: list[str]) -> Sequence[bytes | None]:
        values: Sequence[bytes | None] = await self._client.hmget(query_key_of(self._scorer, query), fields)
        return values

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _found(values: Sequence[bytes | None], content: Hashes) -> Lookup:
    n = len(values)
    hit, stale, scores = np.zeros(n, bool), np.zeros(n, bool), np.zeros((n, 4), np.float32)
    for row, value in enumerate(values):
        entry = _entry(value)
        if entry is None:
            continue
        hit[row] = entry[0] == content[row]
        stale[row] = not hit[row]
        if hit[row]:
            scores[row] = entry[1:]
    return Lookup(hit, stale, scores)


def _entry(value: bytes | None) -> tuple[int, float, float, float, float] | None:
    """Content hash and probabilities; None for what is missing or no entry: others may write to the store, too."""
    if value is None or len(value) != _ENTRY.size:
        return None
    content, *scores = _ENTRY.unpack(value)
    if not all(math.isfinite(p) and p >= 0 for p in scores) or abs(sum(scores) - 1) > _SUM_TOLERANCE:
        return None
    return content, *scores


def push(
    url: str, scorer: Scorer, entries: Iterable[HeadEntry], expire: int | None = None, credentials: Path | None = None
) -> int:
    """Write entries, grouped by query; returns how many. What the store has beside them stays.

    `expire` is in seconds from now, for all of a query's entries. Raises StoreError.
    """
    from redis import Redis, RedisError

    count = 0
    try:
        with Redis.from_url(url, **connection_options(credentials)) as client:
            groups = ((query, list(group)) for query, group in groupby(entries, key=lambda entry: entry.query))
            while batch := list(islice(groups, _QUERIES_A_BATCH)):
                with client.pipeline(transaction=False) as pipeline:
                    for query, group in batch:
                        pipeline.hset(query_key_of(scorer, query), mapping=_mapping(group))
                        if expire is not None:
                            pipeline.expire(query_key_of(scorer, query), expire)
                        count += len(group)
                    pipeline.execute()
    except (RedisError, OSError) as error:
        raise StoreError(
            f"{url}: {type(error).__name__}: {error}; push again, what is there is written over"
        ) from error
    return count


def _mapping(group: Iterable[HeadEntry]) -> dict[str | bytes, bytes]:
    found: dict[str | bytes, bytes] = {}
    for entry in group:
        value = _ENTRY.pack(entry.content, *entry.probabilities)
        found[_by_item(entry.item)] = found[_by_content(entry.content)] = value
    return found
