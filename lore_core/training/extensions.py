"""DeepSpeed's compiled extension, taken from the image where it fits this machine's CPU.

DeepSpeed compiles it at the first start, which takes most of a minute, and writes beside it later on. The trainer image holds
a copy in the folder that `LORE_EXTENSIONS` names, which a pod cannot write; `cpu-features` in it says what it was tuned for.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO

FEATURES: Final = "cpu-features"
_CPU_INFO: Final = Path("/proc/cpuinfo")


def extension_environment(environment: Mapping[str, str], cpu_info: Path = _CPU_INFO) -> dict[str, str]:
    """Variables for the ranks: a writable copy of the image's extensions, or nothing where there is none that fits."""
    kept = environment.get("LORE_EXTENSIONS")
    if not kept or "TORCH_EXTENSIONS_DIR" in environment:
        return {}
    source = Path(kept)
    if not (source / FEATURES).is_file() or (source / FEATURES).read_text().strip() != cpu_features(cpu_info):
        return {}
    copy = Path(tempfile.gettempdir()) / f"torch-extensions-{os.getpid()}"
    shutil.copytree(source, copy, dirs_exist_ok=True)  # times are kept: ninja builds again what looks older
    return {"TORCH_EXTENSIONS_DIR": str(copy)}


def extension_folder(environment: Mapping[str, str]) -> Path:
    """Where torch keeps what it compiles (torch.utils.cpp_extension)."""
    cache = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(environment.get("TORCH_EXTENSIONS_DIR") or Path(cache) / "torch_extensions")


@contextlib.contextmanager
def without_stale_locks(folder: Path) -> Iterator[None]:
    """Removes DeepSpeed's lock files below the folder, unless another training is inside this: then one may be in use.

    A killed rank leaves torch's lock file behind, and every later one waits for it for ever. Ours is the kernel's: it ends with
    its process.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # nobody can write there: then nobody left anything
            folder.mkdir(parents=True, exist_ok=True)
            trainings = stack.enter_context((folder / "lore-trainings.lock").open("a", encoding="utf-8"))
            _clear(folder, trainings)
            fcntl.flock(trainings, fcntl.LOCK_SH)
        yield


def _clear(folder: Path, trainings: TextIO) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(trainings, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob("**/deepspeed_*/lock"):
            left.unlink(missing_ok=True)


def cpu_features(cpu_info: Path = _CPU_INFO) -> str:
    """The CPU's feature flags, sorted; empty where the system does not list them."""
    if not cpu_info.is_file():
        return ""
    flags = re.search(r"(?m)^flags\s*:\s*(.*)$", cpu_info.read_text())
    return " ".join(sorted(flags[1].split())) if flags else ""
