"""Optional bearer tokens and quotas: `/v1/...` and `/v2/...` answer only callers with one of the tokens in a file.

A line of the file is `TOKEN`, or `TOKEN CLIENT`, or `TOKEN CLIENT RATE` with the requests a second that the client may send to
one router. A client may have several tokens, old and new ones while they are exchanged; its rate is the last one given.
"""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WORDS: Final = 3
_UNNAMED: Final = "unnamed"


class Bucket:
    """A token bucket: `rate` requests a second, and as many (at least one) at once after a pause."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._most, self._clock = rate, max(1.0, rate), clock
        self._left, self._seen = self._most, clock()

    def take(self) -> float:
        """0 where a request may go on; else the seconds until one may."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if self._left < 1.0:
            return (1.0 - self._left) / self._rate
        self._left -= 1.0
        return 0.0


@dataclass(frozen=True, slots=True)
class Client:
    """Who holds a token; without a rate nothing bounds it."""

    name: str
    rate: float | None = None


class BearerTokens:
    """The tokens of a file; read again when the file changes, so that a mounted Secret can be rotated."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ValueError naming the line where the file cannot be understood, OSError where it cannot be read."""
        self._path, self._clock = path, clock
        self._buckets: dict[Client, Bucket] = {}
        self._stamp, self._tokens = self._read()

    def client(self, authorization: str | None) -> Client | None:
        """Whose token the header carries; a file that became unreadable or wrong leaves the old tokens."""
        self._refresh()
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        wanted = given.strip().encode()
        found = [client for token, client in self._tokens if hmac.compare_digest(wanted, token)]
        return found[0] if found else None

    def wait(self, client: Client) -> float:
        """0 where the client's quota allows a request now, which it takes; else the seconds until it does."""
        if client.rate is None:
            return 0.0
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = Bucket(client.rate, self._clock)
        return bucket.take()

    def _refresh(self) -> None:
        try:
            if self._path.stat().st_mtime_ns != self._stamp:
                self._stamp, self._tokens = self._read()
        except (OSError, ValueError):
            return

    def _read(self) -> tuple[int, tuple[tuple[bytes, Client], ...]]:
        stamp = self._path.stat().st_mtime_ns
        lines = enumerate(self._path.read_text(encoding="utf-8").splitlines(), 1)
        given = [_parsed(f"{self._path}:{number}", line.split()) for number, line in lines if line.strip()]
        if not given:
            raise ValueError(f"{self._path}: no token in it; write one a line")
        rates = {client.name: client.rate for _, client in given if client.rate is not None}
        tokens = tuple((token, Client(client.name, rates.get(client.name))) for token, client in given)
        known = {client for _, client in tokens}
        self._buckets = {client: bucket for client, bucket in self._buckets.items() if client in known}
        return stamp, tokens


def _parsed(where: str, words: list[str]) -> tuple[bytes, Client]:
    if len(words) > _WORDS:
        raise ValueError(f"{where}: {len(words)} words; write TOKEN, or TOKEN CLIENT, or TOKEN CLIENT RATE")
    rate = None
    if len(words) == _WORDS:
        try:
            rate = float(words[2])
        except ValueError:
            rate = 0.0
        if not 0 < rate < float("inf"):
            raise ValueError(f"{where}: rate {words[2]!r} is not a number of requests a second above 0")
    return words[0].encode(), Client(words[1] if len(words) > 1 else _UNNAMED, rate)
