"""Waiting until a daemon answers."""

import http.client
import ssl
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.cluster.process import Daemon

_POLL_SECONDS = 0.1


def answers(url: str, authority: Path | None = None) -> bool:
    """Whether a GET of the url returns 200."""
    context = ssl.create_default_context(cafile=str(authority)) if authority else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=5) as response:
            return int(response.status) == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def wait(daemons: Sequence[Daemon], ready: Callable[[], bool], seconds: float) -> None:
    """Wait until the last daemon is ready; an error with the end of a log when one dies or it takes longer."""
    deadline = time.monotonic() + seconds
    while not ready():
        for daemon in daemons:
            if daemon.pid() is None:
                raise daemon.failure("ended before it was ready")
        if time.monotonic() > deadline:
            raise daemons[-1].failure(f"was not ready within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def wait_for(what: str, ready: Callable[[], bool], seconds: float) -> None:
    """Wait for a state that no single daemon stands for."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
