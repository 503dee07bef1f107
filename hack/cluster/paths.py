"""Where binaries, archives and run state are kept: always outside the source tree."""

import os
from pathlib import Path

# Where programs are looked for: Debian keeps some out of the PATH of some accounts.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def cache_root() -> Path:
    """The folder of everything that may be kept between runs (`LORE_CACHE`)."""
    configured = os.environ.get("LORE_CACHE")
    return Path(configured).absolute() if configured else Path.home() / ".cache" / "lore-platform"


def cluster_directory(name: str) -> Path:
    """The run state of the cluster `name` (`LORE_CLUSTER_DIR` names one folder outright)."""
    configured = os.environ.get("LORE_CLUSTER_DIR")
    return Path(configured).absolute() if configured else cache_root() / "cluster" / name


def tool_modules() -> Path:
    """The folder of the pinned Go tool modules."""
    return Path(__file__).resolve().parent.parent / "tools"
