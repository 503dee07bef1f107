import base64
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from hack.images.errors import ImageError
from hack.images.load import archive, chain_ids
from hack.images.store import read_image

REFERENCE = "localhost/lore-example:1"


def layer_archive() -> bytes:
    """What buildah packed: one file whose content the store keeps apart."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        entry = tarfile.TarInfo("etc/motd")
        entry.size = len(b"hello")
        packed.addfile(entry, io.BytesIO(b"hello"))
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one image of one layer, as containers/storage lays it out."""
    packed = layer_archive()
    digest = "sha256:" + hashlib.sha256(packed).hexdigest()
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest]}}).encode()
    config_digest = "sha256:" + hashlib.sha256(config).hexdigest()
    manifest = {
        "schemaVersion": 2,
        "config": {"digest": config_digest},
        "layers": [{"digest": digest, "size": len(packed)}],
    }
    (tmp_path / "overlay-layers").mkdir()
    (tmp_path / "overlay" / "L" / "diff" / "etc").mkdir(parents=True)
    (tmp_path / "overlay" / "L" / "diff" / "etc" / "motd").write_bytes(b"hello")
    header, rest = packed[:512], packed[517:]
    entries = [
        {"type": 2, "payload": base64.b64encode(header).decode()},
        {"type": 1, "name": "etc/motd", "size": 5, "payload": "AAA="},
        {"type": 2, "payload": base64.b64encode(rest).decode()},
    ]
    with gzip.open(tmp_path / "overlay-layers" / "L.tar-split.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, entries)))
    layers = [{"id": "L", "diff-digest": digest, "diff-size": len(packed)}]
    (tmp_path / "overlay-layers" / "layers.json").write_text(json.dumps(layers))
    folder = tmp_path / "overlay-images" / "I"
    folder.mkdir(parents=True)
    (folder / "manifest").write_text(json.dumps(manifest))
    (folder / ("=" + base64.b64encode(config_digest.encode()).decode())).write_bytes(config)
    images = [{"id": "I", "names": [REFERENCE], "layer": "L"}]
    (tmp_path / "overlay-images" / "images.json").write_text(json.dumps(images))
    return tmp_path


def members(chunks) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as opened:
        return {entry.name: opened.extractfile(entry).read() for entry in opened}


def test_a_layer_comes_out_of_the_store_byte_for_byte(store):
    image = read_image(store, REFERENCE)

    found = members(archive(REFERENCE, image, image.layers, store))

    assert found["blobs/" + image.layers[0].digest.replace(":", "/")] == layer_archive()


def test_a_layer_that_the_node_has_is_not_sent(store):
    image = read_image(store, REFERENCE)

    found = members(archive(REFERENCE, image, (), store))

    assert set(found) == {
        "oci-layout",
        "index.json",
        "blobs/sha256/" + hashlib.sha256(image.manifest).hexdigest(),
        "blobs/" + image.config_digest.replace(":", "/"),
    }


def test_the_image_arrives_under_its_name(store):
    image = read_image(store, REFERENCE)

    index = json.loads(members(archive(REFERENCE, image, (), store))["index.json"])

    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == REFERENCE


def test_an_image_that_was_not_built_is_named_with_the_remedy(store):
    with pytest.raises(ImageError, match=r"localhost/other:1 is not built; run: python -m hack.images build"):
        read_image(store, "localhost/other:1")


def test_a_chain_id_covers_all_layers_below():
    first, second = chain_ids(["sha256:a", "sha256:b"])

    assert first == "sha256:a"
    assert second == "sha256:" + hashlib.sha256(b"sha256:a sha256:b").hexdigest()
