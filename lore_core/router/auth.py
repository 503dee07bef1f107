"""Optional bearer tokens: `/v1/...` and `/v2/...` answer only callers with one of the tokens in a file."""

import hmac
from pathlib import Path


class BearerTokens:
    """The tokens of a file, one a line; read again when the file changes, so that a mounted Secret can be rotated."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError where the file holds no token, OSError where it cannot be read."""
        self._path = path
        self._stamp, self._tokens = self._read()

    def allows(self, authorization: str | None) -> bool:
        """Whether the header carries one of the tokens; a file that became unreadable or empty leaves the old ones."""
        self._refresh()
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        wanted = given.strip().encode()
        return any([hmac.compare_digest(wanted, token) for token in self._tokens])

    def _refresh(self) -> None:
        try:
            if self._path.stat().st_mtime_ns != self._stamp:
                self._stamp, self._tokens = self._read()
        except (OSError, ValueError):
            return

    def _read(self) -> tuple[int, tuple[bytes, ...]]:
        stamp = self._path.stat().st_mtime_ns
        tokens = tuple(line.strip() for line in self._path.read_bytes().splitlines() if line.strip())
        if not tokens:
            raise ValueError(f"{self._path}: no token in it; write one a line")
        return stamp, tokens
