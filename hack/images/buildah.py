"""The buildah command with a store of our own, so that nothing else on the machine is touched."""

import shutil
import subprocess
from pathlib import Path

from hack.cluster.paths import cache_root
from hack.images.errors import ImageError


def cache() -> Path:
    """The folder of everything about images."""
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def storage() -> Path:
    """The folder of the image store."""
    return cache() / "storage"


def run(*arguments: str) -> str:
    """Run buildah and return what it printed; its last lines go into the error."""
    done = subprocess.run(_command(*arguments), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise ImageError(f"buildah {arguments[0]} failed:\n{said}")
    return done.stdout


def exists(reference: str) -> bool:
    """Whether the store has the image."""
    done = subprocess.run(_command("inspect", "--type", "image", reference), capture_output=True, check=False)
    return done.returncode == 0


def _command(*arguments: str) -> list[str]:
    if shutil.which("buildah") is None:
        raise ImageError("buildah is not installed; run: apt-get install buildah")
    store = ["--root", str(storage()), "--runroot", str(cache() / "run"), "--storage-driver", "overlay"]
    return ["nice", "-n", "10", "buildah", *store, *arguments]
