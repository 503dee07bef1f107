"""Free loopback ports that two clusters starting at once do not both take."""

import contextlib
import fcntl
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster.errors import ClusterError
from hack.cluster.paths import cache_root

# Below Linux's default range for outgoing connections, so that none of those takes a port first.
_RANGE = range(20000, 32768)


@contextmanager
def claim(count: int) -> Iterator[list[int]]:
    """Claim free ports while their programs start; afterwards the listening programs hold them themselves."""
    folder = cache_root() / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    ports: list[int] = []
    with contextlib.ExitStack() as claims:
        for port in random.sample(_RANGE, len(_RANGE)):
            if len(ports) == count:
                break
            handle = claims.enter_context((folder / str(port)).open("w"))
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _bind(port)
                ports.append(port)
        if len(ports) < count:
            raise ClusterError(f"fewer than {count} free ports between {_RANGE.start} and {_RANGE.stop}")
        yield ports


def _bind(port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
