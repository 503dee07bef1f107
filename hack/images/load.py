"""Moves built images into a node's containerd: only the layers it lacks, streamed, with no archive in between."""

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hack.images import buildah
from hack.images.errors import ImageError
from hack.images.store import StoredImage, StoredLayer, read_image, stream_layer

_LARGE: Final = 64 << 20  # layer content above this size (bytes) is not kept beside its snapshot
_BLOCK: Final = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Containerd:
    """The image store of one containerd, in the kubelet's namespace."""

    socket: Path

    def names(self) -> frozenset[str]:
        """References of the images it has."""
        return frozenset(self._ctr("images", "list", "--quiet").split())

    def snapshots(self) -> frozenset[str]:
        """Chain ids of the layers it has unpacked."""
        return frozenset(line.split()[0] for line in self._ctr("snapshots", "list").splitlines()[1:])

    def remove_content(self, digests: Iterable[str]) -> None:
        """Delete layer content that is unpacked; containers are made from the snapshots."""
        present = set(self._ctr("content", "list", "--quiet").split())
        for digest in sorted(present & set(digests)):
            self._ctr("content", "rm", digest)

    def remove_images(self, names: Iterable[str]) -> None:
        """Forget images."""
        for name in names:
            self._ctr("images", "rm", name)

    def receive(self, chunks: Iterable[bytes]) -> None:
        """Import an OCI archive that is made while it is sent."""
        command = self._command("images", "import", "-")
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            failure = _send(process.stdin, chunks)
            said = process.stdout.read().decode(errors="replace") if process.stdout else ""
        if process.returncode != 0 or failure:
            raise ImageError(f"containerd did not take the image:\n{said[-2000:]}")

    def _command(self, *arguments: str) -> list[str]:
        return ["ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments]

    def _ctr(self, *arguments: str) -> str:
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ImageError(f"ctr {' '.join(arguments)}: {done.stderr.strip()}; is the node up?")
        return done.stdout


def load(references: Sequence[str], socket: Path) -> None:
    """Make built images present in containerd."""
    target = Containerd(socket)
    for reference in references:
        if reference not in target.names():
            _load_one(reference, target)


def prune(current: Iterable[str], socket: Path) -> list[str]:
    """Remove our images whose reference is not current, from buildah's store and the node; returns what went."""
    keep = set(current)
    stored = buildah.run("images", "--format", "{{.Name}}:{{.Tag}}", "--noheading").split()
    stale = [name for name in stored if name.startswith("localhost/lore-") and name not in keep]
    if stale:
        buildah.run("rmi", "--force", *stale)
    if socket.exists():
        keep |= {name for name in Containerd(socket).names() if not name.startswith("localhost/lore-")}
        keep |= {name for name in Containerd(socket).names() if name.startswith("localhost/lore-busybox:")}
        Containerd(socket).remove_images(sorted(Containerd(socket).names() - keep))
    return stale


def chain_ids(diff_ids: Sequence[str]) -> Iterator[str]:
    """Chain id of each layer (OCI image specification, "Layer ChainID")."""
    chain = ""
    for diff in diff_ids:
        chain = "sha256:" + hashlib.sha256(f"{chain} {diff}".encode()).hexdigest() if chain else diff
        yield chain


def archive(reference: str, image: StoredImage, layers: Sequence[StoredLayer], store: Path) -> Iterator[bytes]:
    """An OCI archive of the image that carries only the given layers."""
    descriptor = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:" + hashlib.sha256(image.manifest).hexdigest(),
        "size": len(image.manifest),
        "annotations": {"io.containerd.image.name": reference},
    }
    index = {"schemaVersion": 2, "manifests": [descriptor]}
    yield from _member("oci-layout", [b'{"imageLayoutVersion":"1.0.0"}'])
    yield from _member("index.json", [json.dumps(index).encode()])
    yield from _member(_blob(str(descriptor["digest"])), [image.manifest])
    yield from _member(_blob(image.config_digest), [image.config])
    for layer in layers:
        yield from _member(_blob(layer.digest), stream_layer(store, layer), layer.size)
    yield bytes(2 * _BLOCK)


def _load_one(reference: str, target: Containerd) -> None:
    store = buildah.storage()
    image, present = read_image(store, reference), target.snapshots()
    chains = chain_ids(image.diff_ids)
    needed = [layer for layer, chain in zip(image.layers, chains, strict=True) if chain not in present]
    target.receive(archive(reference, image, needed, store))
    target.remove_content(layer.digest for layer in needed if layer.size > _LARGE)


def _member(name: str, chunks: Iterable[bytes], size: int | None = None) -> Iterator[bytes]:
    """One file of a tar archive; `size` in bytes where the chunks are a stream."""
    if size is None:
        chunks = list(chunks)
        size = sum(map(len, chunks))
    entry = tarfile.TarInfo(name)
    entry.size = size
    yield entry.tobuf(tarfile.GNU_FORMAT)
    yield from chunks
    yield bytes(-size % _BLOCK)


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _send(stream: IO[bytes] | None, chunks: Iterable[bytes]) -> bool:
    """Whether the receiver went away before all was sent; its own words say why."""
    if stream is None:
        return True
    try:
        for chunk in chunks:
            stream.write(chunk)
        stream.close()
    except BrokenPipeError:
        return True
    return False
