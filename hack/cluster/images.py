"""Container images: read from OCI archives, and the one tiny image that a node itself needs."""

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hack.cluster.command import run
from hack.cluster.errors import ClusterError
from hack.cluster.paths import SEARCH, cache_root

BUSYBOX = "localhost/lore-busybox:1"
# Sleeping is what the pause container of a pod does; whoever wants more of busybox gives a command.
_CONTAINERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENTRYPOINT ["/bin/busybox", "sleep", "2147483647"]
"""


def archive_content(archive: Path) -> dict[str, str]:
    """The archive's image names and their manifest digests; raises ClusterError naming what it lacks."""
    try:
        with tarfile.open(archive) as opened:
            member = opened.extractfile("index.json")
            index = json.load(member) if member else {}
    except (OSError, KeyError, tarfile.TarError, ValueError) as error:
        raise ClusterError(
            f"{archive}: not an OCI archive ({error}); make one with: buildah push IMAGE oci-archive:FILE:NAME"
        ) from error
    return dict(_named(archive, manifest) for manifest in index.get("manifests", []))


def busybox_archive() -> Path:
    """An archive of BUSYBOX, built once for each version of the machine's busybox."""
    program = shutil.which("busybox", path=SEARCH)
    if program is None:
        raise ClusterError("busybox is missing: apt-get install busybox-static")
    content = Path(program).read_bytes()
    archive = cache_root() / "busybox" / f"{_digest(content, _CONTAINERFILE.encode())}.oci.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".build-") as scratch:
            _build(Path(scratch), content).rename(archive)
    return archive


def _build(context: Path, program: bytes) -> Path:
    (context / "busybox").write_bytes(program)
    (context / "busybox").chmod(0o755)
    (context / "Containerfile").write_text(_CONTAINERFILE)
    built = context / "image.oci.tar"
    # chroot: this machine has no container engine; timestamp: the same input is the same digest.
    options = ("--quiet", "--isolation=chroot", "--timestamp=0", f"--tag=oci-archive:{built}:{BUSYBOX}")
    run("buildah", "build", *options, context)
    return built


def _named(archive: Path, manifest: Mapping[str, object]) -> tuple[str, str]:
    annotations = manifest.get("annotations")
    name = annotations.get("org.opencontainers.image.ref.name") if isinstance(annotations, dict) else None
    # Without a registry's host the kubelet would look for docker.io's.
    if not isinstance(name, str) or "/" not in name:
        raise ClusterError(
            f"{archive}: an image in it has no full name such as localhost/lore-router:dev; "
            "give it one with: buildah push IMAGE oci-archive:FILE:NAME"
        )
    return name, str(manifest.get("digest"))


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:12]
