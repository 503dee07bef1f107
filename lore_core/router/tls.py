"""The router's own certificate, renewed without a restart."""

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Final

_LOOK_SECONDS: Final = 10.0


class ServerTls:
    """A TLS context of a certificate chain and its key, both PEM files. New connections get what the files last held whole."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OSError, of which ssl.SSLError is one, where the two cannot be used."""
        self._files = certificate, key
        self.context = _context()
        self._stamp = self._changed()
        self._load(self.context)

    def refresh(self) -> bool:
        """Load the files where they changed; whether they did. What cannot be used leaves the old pair: raises OSError."""
        stamp = self._changed()
        if stamp == self._stamp:
            return False
        self._load(_context())  # a pair that does not match would break a context that serves
        self._load(self.context)
        self._stamp = stamp
        return True

    async def follow(self, seconds: float = _LOOK_SECONDS) -> None:
        """Refresh again and again, until cancelled; problems are reported once."""
        said = ""
        while True:
            await asyncio.sleep(seconds)
            try:
                self.refresh()
                said = ""
            except OSError as error:
                if str(error) != said:
                    print(f"router: TLS: {self._files[0]}, {self._files[1]}: {error}", file=sys.stderr)
                said = str(error)

    def _changed(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns for file in self._files)

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(*self._files)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
