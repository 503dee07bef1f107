"""The base image: Debian minbase and its Python, from the mirror that this machine's apt already uses."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from hack.images import buildah
from hack.images.errors import ImageError
from hack.images.recipe import BASE_PACKAGES, SUITE, Layer

# Documentation, translations and package lists are of no use in a container.
_DROPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)


def build(layer: Layer) -> None:
    """Make the root file system and import it as the image."""
    if shutil.which("debootstrap") is None:
        raise ImageError("debootstrap is not installed; run: apt-get install debootstrap")
    with tempfile.TemporaryDirectory(dir=buildah.cache(), prefix="base-") as scratch:
        rootfs = Path(scratch) / "rootfs"
        _debootstrap(rootfs)
        with tarfile.open(Path(scratch) / "base.tar", "w") as archive:
            archive.add(rootfs, arcname=".", filter=_keep)
        shutil.rmtree(rootfs)
        (Path(scratch) / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        buildah.run("build", "--isolation", "chroot", "--quiet", "--tag", layer.reference, scratch)


def _debootstrap(rootfs: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", SUITE, str(rootfs)]
    done = subprocess.run([*command, *_mirror()], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"debootstrap failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _mirror() -> list[str]:
    """The first Debian mirror of apt's own configuration; debootstrap's default where there is none."""
    if shutil.which("apt-get") is None:
        return []
    query = ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Identifier: Packages"]
    lines = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split()[1] for line in lines if line.startswith(f"{SUITE} ")][:1]


def _keep(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = member.name.removeprefix("./")
    inside = any(path.startswith(f"{folder}/") for folder in _DROPPED)
    return None if inside and not member.isdir() else member
