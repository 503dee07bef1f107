"""Builds the layers that are missing, lowest first."""

import fcntl
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hack.images import base, buildah, context, load
from hack.images.recipe import COMPONENTS, Layer, chain

ROOT = Path(__file__).resolve().parents[2]


def build(components: Sequence[str], lock: str | None = None) -> dict[str, str]:
    """Build what is missing; component → image reference. `lock` replaces the server's requirements file."""
    references = {}
    for component in components:
        layers = _chain(component, lock)
        with exclusive():
            for layer in layers:
                if not buildah.exists(layer.reference):
                    _build_layer(layer)
        references[component] = layers[-1].reference
    return references


def tags(components: Sequence[str], lock: str | None = None) -> dict[str, str]:
    """Component → image reference, whether it is built or not."""
    return {component: _chain(component, lock)[-1].reference for component in components}


def load_into(socket: Path, references: Sequence[str]) -> None:
    """Make built images present in the containerd that listens on the socket."""
    with exclusive():
        load.load(references, socket)


def prune(socket: Path) -> list[str]:
    """Remove the images of earlier states of the tree, here and in the node's containerd."""
    with exclusive():
        return load.prune([layer.reference for name in COMPONENTS for layer in chain(name, ROOT)], socket)


def _chain(component: str, lock: str | None) -> tuple[Layer, ...]:
    return chain(component, ROOT, lock if component == "server" else None)


def push(reference: str, registry: str) -> str:
    """Copy a built image to a registry under the same name and tag; returns the new reference."""
    target = f"{registry.rstrip('/')}/{reference.removeprefix('localhost/')}"
    buildah.run("push", "--quiet", reference, f"docker://{target}")
    return target


def _build_layer(layer: Layer) -> None:
    started = time.monotonic()
    print(f"building {layer.name} {layer.key}", flush=True)
    if layer.parent is None or layer.dockerfile is None:
        base.build(layer)
    else:
        _build_dockerfile(layer, layer.parent, ROOT / layer.dockerfile)
    print(f"built {layer.name} in {time.monotonic() - started:.0f} s", flush=True)


def _build_dockerfile(layer: Layer, parent: Layer, dockerfile: Path) -> None:
    with tempfile.TemporaryDirectory(dir=buildah.cache(), prefix="context-") as scratch:
        context.prepare(Path(scratch), layer, ROOT)
        options = ["--isolation", "chroot", "--file", str(dockerfile), "--tag", layer.reference]
        options += ["--build-arg", f"BASE_IMAGE={parent.reference}"]
        options += ["--volume", f"{context.uv_cache()}:{context.UV_CACHE}"]
        if layer.target:
            options += ["--target", layer.target]
        elif parent.target:
            # The stage below is an image already: take it instead of building it again.
            options += ["--build-context", f"{parent.target}=docker-image://{parent.reference}"]
        buildah.run("build", *options, scratch)


@contextmanager
def exclusive() -> Iterator[None]:
    """One builder at a time; the lock dies with its holder."""
    with (buildah.cache() / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
