"""vLLM's inspections of model classes, taken from the image.

Before vLLM loads a model it imports the model's class in a process of its own, and keeps what it found out below its cache
folder. That folder is empty in a new pod, and the import takes long. The server image holds the inspections of the classes that
the platform serves in the folder that `LORE_INSPECTIONS` names; vLLM uses one only where it was made from the very source file
that it has.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_KEPT: Final = "LORE_INSPECTIONS"
_FOLDER: Final = "modelinfos"


def take() -> None:
    """Entry point of `vllm.general_plugins`: vLLM calls it in each of its processes, before it looks at a model."""
    put(os.environ)


def put(environment: Mapping[str, str]) -> None:
    """Copy the image's inspections to where vLLM looks for its own, unless it has some there.

    Where that cannot be done, vLLM finds out itself: a server starts later for it, and starts.
    """
    target = _cache(environment) / _FOLDER
    if (kept := environment.get(_KEPT)) and not target.exists():
        with contextlib.suppress(OSError):
            shutil.copytree(kept, target, dirs_exist_ok=True)  # another process of the server may be doing the same


def _cache(environment: Mapping[str, str]) -> Path:
    """Where vLLM keeps files (vllm.envs)."""
    if named := environment.get("VLLM_CACHE_ROOT"):
        return Path(named)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vllm"
