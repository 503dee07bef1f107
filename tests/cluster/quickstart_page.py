"""docs/quickstart.md as a newcomer follows it: its shell commands, and a shell with the tree's `helm`, `kubectl` and `lore`."""

import os
import re
import subprocess
import sys
from pathlib import Path

from cluster.fixtures import REPOSITORY

from hack.cluster import tools

PAGE = REPOSITORY / "docs" / "quickstart.md"


def sections() -> dict[str, str]:
    """Heading → its shell commands, as they stand there."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    texts = zip(parts[::2], parts[1::2], strict=True)
    return {head: "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)) for head, text in texts}


def run(script: str, kubeconfig: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run lines of the page from the root of the tree, until one fails; what they left in the background ends with them."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("helm", "kubectl"):
        (programs / name).symlink_to(tools.require(name))
    (programs / "lore").write_text(f'#!/bin/sh\nexec {sys.executable} -m lore_core "$@"\n')
    (programs / "lore").chmod(0o755)
    libraries = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "operator")))
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    # A proxy of the environment must not see a call to this machine.
    direct = {name: ",".join(filter(None, (os.environ.get(name), "localhost"))) for name in ("no_proxy", "NO_PROXY")}
    environment = {**os.environ, **direct, "PATH": path, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": libraries}
    whole = f"set -eux\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"
    return subprocess.run(
        ["bash", "-c", whole], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
