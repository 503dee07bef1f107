"""An archive is read before containerd is asked to take it."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from hack.cluster.errors import ClusterError
from hack.cluster.images import archive_content


def archive(path: Path, *names: str | None) -> Path:
    manifests = [
        {"digest": f"sha256:{n}", "annotations": {"org.opencontainers.image.ref.name": name} if name else {}}
        for n, name in enumerate(names)
    ]
    content = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    with tarfile.open(path, "w") as opened:
        member = tarfile.TarInfo("index.json")
        member.size = len(content)
        opened.addfile(member, io.BytesIO(content))
    return path


def test_its_images_are_listed_with_their_digests(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tar", "localhost/router:1", "localhost/server:1")

    assert archive_content(made) == {"localhost/router:1": "sha256:0", "localhost/server:1": "sha256:1"}


@pytest.mark.parametrize("name", [None, "latest"])
def test_an_image_without_a_full_name_is_refused(tmp_path: Path, name: str | None) -> None:
    with pytest.raises(ClusterError, match="no full name"):
        archive_content(archive(tmp_path / "a.tar", name))


def test_what_is_no_archive_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("not a tar")

    with pytest.raises(ClusterError, match="buildah push IMAGE oci-archive:"):
        archive_content(tmp_path / "a.tar")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"gone\.tar"):
        archive_content(tmp_path / "gone.tar")
