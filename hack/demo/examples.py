"""The example manifests, and the digests in them: those of the data that the tree generates."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from hack.cluster.kubectl import Kubectl
from hack.demo.data import ROOT
from hack.demo.errors import DemoError

EXAMPLES: Final = ROOT / "examples"
NAMESPACE: Final = "lore-quickstart"
CLAIM: Final = "workspace"
# A uri and, on the next line, its digest.
_PINNED: Final = re.compile(
    r"(?m)^(?P<head> *uri: pvc://workspace/(?P<place>\S+)\n *digest: )(?P<digest>sha256:[0-9a-f]{64})$"
)


def apply(kubectl: Kubectl, *parts: str) -> None:
    """`kubectl apply -f` of files or folders below examples/."""
    for part in parts:
        kubectl("apply", f"--filename={EXAMPLES / part}")


def manifests() -> list[Path]:
    """All example files."""
    return sorted(EXAMPLES.rglob("*.yaml"))


def check(digests: Mapping[str, str]) -> None:
    """DemoError where a manifest names another digest than the data has."""
    for path, place, found in _pins():
        if place in digests and digests[place] != found:
            raise DemoError(
                f"{path.relative_to(ROOT)}: the digest of {place} is {found}, the data has {digests[place]}; "
                "if the generator was changed on purpose, run: python -m hack.demo.pin"
            )


def pin(digests: Mapping[str, str]) -> list[Path]:
    """Write the data's digests into the manifests; returns the files that changed."""
    changed = []
    for path in manifests():
        text = path.read_text()
        new = _PINNED.sub(lambda found: found["head"] + digests.get(found["place"], found["digest"]), text)
        if new != text:
            path.write_text(new)
            changed.append(path)
    return changed


def _pins() -> Iterator[tuple[Path, str, str]]:
    for path in manifests():
        for found in _PINNED.finditer(path.read_text()):
            yield path, found["place"], found["digest"]
