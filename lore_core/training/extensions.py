"""DeepSpeed's compiled extension, taken from the image where it fits this machine's CPU.

DeepSpeed compiles it at the first start, which takes most of a minute, and writes beside it later on. The trainer image holds
a copy in the folder that `LORE_EXTENSIONS` names, which a pod cannot write; `cpu-features` in it says what it was tuned for.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

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


def cpu_features(cpu_info: Path = _CPU_INFO) -> str:
    """The CPU's feature flags, sorted; empty where the system does not list them."""
    if not cpu_info.is_file():
        return ""
    flags = re.search(r"(?m)^flags\s*:\s*(.*)$", cpu_info.read_text())
    return " ".join(sorted(flags[1].split())) if flags else ""
