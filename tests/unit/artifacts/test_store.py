"""What is read is what was published, whole, or an error that names the uri and what to do."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from lore_core.artifacts import MANIFEST_NAME, ArtifactError, ArtifactRef, DigestMismatch, NotFound, open_store, publish
from lore_core.artifacts.store import AccessDenied, verify


def at(folder: Path, digest: str | None = None) -> ArtifactRef:
    return ArtifactRef(uri=f"file://{folder}", digest=digest)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"alpha")
    (folder / "sub/b.bin").write_bytes(bytes(range(256)) * 5000)
    return folder


@pytest.fixture
def published(files: Path, tmp_path: Path) -> ArtifactRef:
    return publish(files, at(tmp_path / "store"), "model", inputs={"data": "sha256:" + "b" * 64})


def test_what_is_fetched_is_what_was_published(published, files, tmp_path):
    manifest = verify(published, tmp_path / "copy")
    assert manifest.digest == published.digest
    assert [entry.path for entry in manifest.files] == ["a.txt", "sub/b.bin"]
    for entry in manifest.files:
        assert (tmp_path / "copy" / entry.path).read_bytes() == (files / entry.path).read_bytes()


def test_the_same_files_elsewhere_have_the_same_digest(published, files, tmp_path):
    again = publish(files, at(tmp_path / "elsewhere"), "model", inputs={"data": "sha256:" + "b" * 64})
    assert again.digest == published.digest


def test_publishing_the_same_again_changes_nothing(published, files, tmp_path):
    before = (tmp_path / "store" / MANIFEST_NAME).stat().st_mtime_ns
    again = publish(files, at(tmp_path / "store"), "model", inputs={"data": "sha256:" + "b" * 64})
    assert again.digest == published.digest
    assert (tmp_path / "store" / MANIFEST_NAME).stat().st_mtime_ns == before


def test_publishing_other_files_over_an_artifact_is_refused(published, files, tmp_path):
    (files / "a.txt").write_bytes(b"other")
    with pytest.raises(DigestMismatch, match=r"already holds sha256:.*refusing to overwrite"):
        publish(files, at(tmp_path / "store"), "model")
    assert (tmp_path / "store/a.txt").read_bytes() == b"alpha"


def test_files_without_a_manifest_are_no_artifact(published, tmp_path):
    (tmp_path / "store" / MANIFEST_NAME).unlink()
    assert not open_store(published).exists()
    with pytest.raises(NotFound, match=r"file://.*/lore-manifest\.json: nothing there .*check the uri"):
        verify(published, tmp_path / "copy")


def test_an_interrupted_publish_can_be_finished(files, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/a.txt").write_bytes(b"al")
    assert verify(publish(files, at(tmp_path / "store"), "model"), tmp_path / "copy").kind == "model"


@pytest.mark.parametrize("damage", [b"alphA", b"alph", b"alpha!"], ids=["changed", "cut", "longer"])
def test_a_damaged_file_is_refused_and_leaves_no_manifest(published, tmp_path, damage):
    (tmp_path / "store/a.txt").write_bytes(damage)
    with pytest.raises(DigestMismatch, match=r"store/a\.txt: content does not match"):
        verify(published, tmp_path / "copy")
    assert not (tmp_path / "copy" / MANIFEST_NAME).exists()


def test_a_failed_fetch_over_an_earlier_one_leaves_no_manifest(published, tmp_path):
    verify(published, tmp_path / "copy")
    (tmp_path / "copy/a.txt").unlink()
    (tmp_path / "store/a.txt").unlink()
    with pytest.raises(NotFound):
        verify(published, tmp_path / "copy")
    assert not (tmp_path / "copy" / MANIFEST_NAME).exists()


def test_a_file_that_was_tampered_with_after_a_fetch_is_fetched_again(published, tmp_path):
    verify(published, tmp_path / "copy")
    (tmp_path / "copy/a.txt").write_bytes(b"evil!")
    verify(published, tmp_path / "copy")
    assert (tmp_path / "copy/a.txt").read_bytes() == b"alpha"


def test_another_artifact_under_the_uri_is_refused(published, files, tmp_path):
    (files / "a.txt").write_bytes(b"other")
    other = publish(files, at(tmp_path / "other"), "model")
    with pytest.raises(DigestMismatch, match=f"digest is {other.digest}, expected {published.digest}"):
        verify(at(tmp_path / "other", published.digest), tmp_path / "copy")


def test_a_ref_without_digest_takes_what_is_there_and_says_its_digest(published, tmp_path):
    assert verify(at(tmp_path / "store"), tmp_path / "copy").digest == published.digest


def test_a_manifest_that_is_none_is_named(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / MANIFEST_NAME).write_text("{}")
    with pytest.raises(ArtifactError, match=r"lore-manifest\.json: not a manifest"):
        verify(at(tmp_path / "store"), tmp_path / "copy")


def test_a_part_of_an_artifact_can_be_fetched(published, tmp_path):
    verify(published, tmp_path / "copy", only=("sub/",))
    assert (tmp_path / "copy/sub/b.bin").exists()
    assert not (tmp_path / "copy/a.txt").exists()


def test_a_claim_is_a_folder_below_the_pvc_root(files, tmp_path, monkeypatch):
    monkeypatch.setenv("LORE_PVC_ROOT", str(tmp_path / "mnt"))
    publish(files, ArtifactRef(uri="pvc://workspace/runs/1"), "model")
    assert (tmp_path / "mnt/workspace/runs/1" / MANIFEST_NAME).is_file()


@pytest.mark.parametrize("uri", ["pvc://claim/../../etc", "pvc://../etc", "file:///a/../b", "s3://bucket/../other/x"])
def test_a_uri_cannot_climb_out_of_its_store(uri):
    with pytest.raises(ArtifactError, match="leads out of the store"):
        open_store(ArtifactRef(uri=uri))


def test_a_file_uri_with_two_slashes_is_explained():
    with pytest.raises(ArtifactError, match="write three slashes"):
        open_store(ArtifactRef(uri="file://data/pairs"))


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("hf://model", "write hf://OWNER/NAME@REVISION"),
        ("oci://registry.example/Model", "write oci://HOST/REPOSITORY:TAG"),
        ("oci://registry.example/model:tag/folder", "write oci://HOST/REPOSITORY:TAG"),
        ("oci://registry.example/model@sha256:short", "write oci://HOST/REPOSITORY:TAG"),
    ],
)
def test_a_uri_that_names_no_repository_is_told_how_to_write_one(uri, words):
    with pytest.raises(ArtifactError, match=words):
        open_store(ArtifactRef(uri=uri))


@pytest.mark.parametrize("uri", ["hf://org/model@v1", "oci://registry.example/model:v1"])
def test_a_hub_and_a_registry_are_only_read(files, uri):
    with pytest.raises(AccessDenied, match="is only read here, not to write; use pvc, s3, gs or abfs"):
        open_store(ArtifactRef(uri=uri)).write_bytes("a", b"")
    with pytest.raises(AccessDenied, match="is only read here, not to delete"):
        open_store(ArtifactRef(uri=uri)).remove()


@pytest.mark.parametrize("uri", ["http://x/y", "/local/path", "s3://", "s3://a b", "s3://a?x=1", "s3://a#b"])
def test_a_uri_is_checked_when_it_is_written_down(uri):
    with pytest.raises(ValidationError, match="uri"):
        ArtifactRef(uri=uri)


@pytest.mark.parametrize("digest", ["abc", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32])
def test_a_digest_is_a_full_sha256(digest):
    with pytest.raises(ValidationError, match="digest"):
        ArtifactRef(uri="file:///x", digest=digest)


@pytest.mark.parametrize(("base", "path"), [("s3://b/x/", "/y"), ("s3://b/x", "y")])
def test_a_child_keeps_credentials_and_has_no_digest(base, path):
    ref = ArtifactRef(uri=base, digest="sha256:" + "a" * 64, credentials="/secrets/s3")
    assert ref.child(path) == ArtifactRef(uri="s3://b/x/y", credentials="/secrets/s3")
