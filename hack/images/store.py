"""Reads images out of buildah's store, one layer at a time.

`buildah push` writes an image whole: seven gigabytes to a file, for a change of one kilobyte. The store holds all that is
needed to stream only the layers a node lacks: the image's manifest and config, each layer's files, and a tar-split record
(github.com/vbatts/tar-split) from which the layer's archive comes back byte for byte.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.images.errors import ImageError

_CHUNK: Final = 1 << 20
_FILE, _SEGMENT = 1, 2  # tar-split's entry types: a file's content, and the archive's own bytes around it


@dataclass(frozen=True)
class StoredLayer:
    """One layer: its digest (uncompressed), its size in bytes, its folder in the store."""

    digest: str
    size: int
    identity: str


@dataclass(frozen=True)
class StoredImage:
    """One image: manifest and config as bytes, the config's digest, the layers lowest first."""

    manifest: bytes
    config_digest: str
    config: bytes
    layers: tuple[StoredLayer, ...]

    @property
    def diff_ids(self) -> list[str]:
        """The layers' digests as the config lists them."""
        return [str(digest) for digest in json.loads(self.config)["rootfs"]["diff_ids"]]


def read_image(root: Path, reference: str) -> StoredImage:
    """The image of that name; ImageError if the store has none."""
    records = json.loads((root / "overlay-images" / "images.json").read_text())
    record = next((entry for entry in records if reference in entry.get("names", ())), None)
    if record is None:
        raise ImageError(f"{reference} is not built; run: python -m hack.images build")
    folder = root / "overlay-images" / record["id"]
    manifest = (folder / "manifest").read_bytes()
    config_digest = json.loads(manifest)["config"]["digest"]
    config = (folder / _key_file(config_digest)).read_bytes()
    return StoredImage(manifest, config_digest, config, _layers(root, record["layer"]))


def stream_layer(root: Path, layer: StoredLayer) -> Iterator[bytes]:
    """The layer's tar archive."""
    files = root / "overlay" / layer.identity / "diff"
    with gzip.open(root / "overlay-layers" / f"{layer.identity}.tar-split.gz", "rt", encoding="utf-8") as entries:
        for line in entries:
            if not line.strip():
                continue
            entry = json.loads(line)
            if entry["type"] == _SEGMENT:
                yield base64.b64decode(entry["payload"])
            elif entry["type"] == _FILE and entry.get("size", 0):
                yield from _content(files / _entry_name(entry))


def _layers(root: Path, top: str) -> tuple[StoredLayer, ...]:
    records = {entry["id"]: entry for entry in json.loads((root / "overlay-layers" / "layers.json").read_text())}
    found, identity = [], top
    while identity:
        record = records[identity]
        found.append(StoredLayer(record["diff-digest"], record["diff-size"], identity))
        identity = record.get("parent", "")
    return tuple(reversed(found))


def _key_file(key: str) -> str:
    # The store encodes names that are not plain file names.
    return "=" + base64.b64encode(key.encode()).decode()


def _entry_name(entry: dict[str, Any]) -> str:
    raw = entry.get("name_raw")
    name = base64.b64decode(raw).decode("utf-8", "surrogateescape") if raw else str(entry["name"])
    return name.lstrip("/")


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
