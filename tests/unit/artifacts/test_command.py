"""`lore fetch`, the predictor's init container."""

from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.cli import main


@pytest.fixture
def published(tmp_path: Path) -> ArtifactRef:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/weights").write_bytes(b"0" * 100)
    return publish(tmp_path / "files", ArtifactRef(uri=f"file://{tmp_path}/store"), "model")


def fetch(ref: ArtifactRef, digest: str, into: Path) -> int:
    return main(["fetch", "--uri", ref.uri, "--digest", digest, "--into", str(into)])


def test_a_verified_fetch_says_what_it_got(published, tmp_path, capsys):
    assert fetch(published, published.digest, tmp_path / "models") == 0
    assert capsys.readouterr().out == f"{published.uri}: 1 files, 100 bytes, {published.digest}\n"


def test_another_digest_fails_and_leaves_nothing_to_load(published, tmp_path, capsys):
    assert fetch(published, "sha256:" + "0" * 64, tmp_path / "models") == 1
    assert "lore fetch: " in capsys.readouterr().err
    assert not (tmp_path / "models/weights").exists()


def test_a_malformed_digest_fails_without_a_traceback(published, tmp_path, capsys):
    assert fetch(published, "latest", tmp_path / "models") == 1
    assert "digest" in capsys.readouterr().err
