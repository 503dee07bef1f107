"""Which layers an image has and what each is keyed by. Pure: reads the tree, runs nothing.

base ── torch ──┬── trainer-dependencies ── trainer
  │             └── server-dependencies ─── server
  ├── operator-dependencies ── operator
  └── router-dependencies ──── router
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hack.images.errors import ImageError

COMPONENTS: Final = ("operator", "router", "trainer", "server")
SUITE: Final = "bookworm"
BASE_PACKAGES: Final = ("python3", "ca-certificates")
# What the torch layer holds: these names, at the versions of the component's own lock.
_TORCH_NAMES: Final = re.compile(r"^(torch|triton|nvidia-.*|cuda-.*)$")
_LOCKS: Final = {"operator": "operator", "router": "router", "trainer": "training", "server": "serving-cpu"}
_HEAVY: Final = ("trainer", "server")
# Only the operator's image carries the operator, so that its changes leave the keys of the others alone.
_SOURCES: Final = {"operator": ("lore_core", "operator/lore_operator")}


@dataclass(frozen=True)
class Layer:
    """One image of the chain.

    Attributes:
        name: image name without registry, e.g. `lore-trainer`.
        key: hex digest of everything the layer and its parents are made from; the image's tag.
        parent: the image it starts from; None for the base.
        dockerfile: Dockerfile below the root; None for the base.
        target: build stage to stop at; None for the last.
        files: path in the build context → content.
        component: whose wheel the layer installs; None for the layers below.
    """

    name: str
    key: str
    parent: "Layer | None" = None
    dockerfile: str | None = None
    target: str | None = None
    files: tuple[tuple[str, bytes], ...] = ()
    component: str | None = None

    @property
    def reference(self) -> str:
        """`localhost/NAME:KEY`."""
        return f"localhost/{self.name}:{self.key}"


def chain(component: str, root: Path, lock: str | None = None) -> tuple[Layer, ...]:
    """The layers of one component, lowest first. `lock` replaces the component's requirements file."""
    if component not in COMPONENTS:
        raise ImageError(f"{component}: no such image; known: {', '.join(COMPONENTS)}")
    requirements = (root / "requirements" / f"{lock or _LOCKS[component]}.txt").read_text()
    layers = [_base()]
    if component in _HEAVY:
        torch, requirements = split_lock(requirements)
        layers.append(_layer("lore-torch", root, "torch", None, layers[-1], {"requirements/torch.txt": torch}))
    name, files = f"lore-{component}", {f"requirements/{component}.txt": requirements} | _scripts(component, root)
    layers.append(_layer(f"{name}-dependencies", root, component, "dependencies", layers[-1], files))
    top = _layer(name, root, component, None, layers[-1], {}, salt=source_digest(component, root).encode())
    return (*layers, replace(top, component=component))


def split_lock(text: str) -> tuple[str, str]:
    """A lock file in two: the entries of the torch layer, and the others."""
    entries = [entry for entry in re.split(r"(?m)^(?=[A-Za-z0-9])", text) if entry.strip()]
    heavy = [entry for entry in entries if _TORCH_NAMES.match(entry.split("==")[0])]
    light = [entry for entry in entries if entry not in heavy]
    return "".join(_without_comments(heavy)), "".join(_without_comments(light))


def sources(component: str, root: Path) -> tuple[Path, ...]:
    """The files of the project that the component's wheel holds, in path order."""
    folders = [root / folder for folder in _SOURCES.get(component, ("lore_core",))]
    found = (path for folder in folders for path in folder.rglob("*"))
    return tuple(sorted(path for path in found if path.is_file() and path.suffix != ".pyc"))


def source_digest(component: str, root: Path) -> str:
    """Digest of what the wheel is built from; tool settings in pyproject.toml do not count."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    kept = [project["build-system"], project["project"], project["tool"]["hatch"]]
    files = ((path.relative_to(root).as_posix().encode(), path.read_bytes()) for path in sources(component, root))
    return _digest([json.dumps(kept, sort_keys=True).encode(), *(part for pair in files for part in pair)])


def stages(dockerfile: str) -> tuple[str, ...]:
    """The text of each build stage, so that editing the last one leaves the keys of those below alone."""
    return tuple(part for part in re.split(r"(?m)^(?=FROM )", dockerfile) if part.startswith("FROM "))


def _scripts(component: str, root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((root / "images" / component).glob("*.py"))}


def _base() -> Layer:
    key = _digest(part.encode() for part in (SUITE, *BASE_PACKAGES))
    return Layer("lore-base", key)


def _layer(
    name: str, root: Path, folder: str, target: str | None, parent: Layer, files: dict[str, str], salt: bytes = b""
) -> Layer:
    dockerfile = f"images/{folder}/Dockerfile"
    text = stages((root / dockerfile).read_text())[0 if target else -1]
    content = tuple((path, value.encode()) for path, value in sorted(files.items()))
    parts = [
        parent.key.encode(),
        text.encode(),
        *(part for path, data in content for part in (path.encode(), data)),
        salt,
    ]
    return Layer(name, _digest(parts), parent, dockerfile, target, content)


def _without_comments(entries: list[str]) -> list[str]:
    # The `# via` comments differ between locks that pin the same release, and would split the shared layer.
    return [re.sub(r"(?m)^\s*#.*\n", "", entry) for entry in entries]


def _digest(parts: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:20]
