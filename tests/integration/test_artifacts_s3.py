"""Artifacts on a real S3 endpoint: TLS from a private authority, the credentials a mounted Secret's folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hack.cluster import ports, probe, tools
from hack.cluster.pki import Authority
from hack.cluster.process import Daemon
from lore_core.artifacts import MANIFEST_NAME, ArtifactError, ArtifactRef, DigestMismatch, NotFound, open_store, publish
from lore_core.artifacts.inventory import inventory, remove
from lore_core.artifacts.store import AccessDenied, verify
from lore_core.cli import main

ACCESS, SECRET = "lorekey", "loresecretloresecret"


@dataclass(frozen=True)
class Gateway:
    """A running endpoint over a folder, and the Secret that reaches it."""

    folder: Path
    credentials: Path

    def ref(self, path: str, **options: str) -> ArtifactRef:
        return ArtifactRef(uri=f"s3://lore/{path}", **({"credentials": str(self.credentials)} | options))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = tmp_path_factory.mktemp("s3")
    binary, authority = tools.require("versitygw"), Authority(root / "pki")
    authority.prepare()
    serving = authority.server("s3", ("127.0.0.1",))
    (root / "data/lore").mkdir(parents=True)
    daemon = Daemon("versitygw", root)
    with ports.claim(1) as (port,):
        listen = [f"--port=127.0.0.1:{port}", f"--cert={serving.certificate}", f"--key={serving.key}"]
        command = [binary, *listen, "--region=us-east-1", "--health=/health", "--quiet", "posix", root / "data"]
        daemon.start(command, {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET})
        url = f"https://127.0.0.1:{port}"
        probe.wait([daemon], lambda: probe.answers(f"{url}/health", authority.certificate), 60.0)
    yield Gateway(root / "data/lore", secret(root / "secret", url, authority.certificate))
    daemon.stop()


def secret(folder: Path, url: str, authority: Path, **keys: str) -> Path:
    """A Secret as the kubelet mounts it: one file a key."""
    values = {"endpoint": url, "region": "us-east-1", "ca.crt": authority.read_text()}
    folder.mkdir()
    for name, value in (values | {"accessKeyId": ACCESS, "secretAccessKey": SECRET} | keys).items():
        (folder / name).write_text(value)
    return folder


def variant(gateway: Gateway, folder: Path, **changed: str | None) -> ArtifactRef:
    """A ref whose Secret differs in some keys; None leaves a key out."""
    folder.mkdir()
    for file in gateway.credentials.iterdir():
        value = changed.get(file.name.replace(".", "_"), file.read_text())
        if value is not None:
            (folder / file.name).write_text(value)
    return gateway.ref("model", credentials=str(folder))


@pytest.fixture(scope="module")
def published(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> ArtifactRef:
    folder = tmp_path_factory.mktemp("files")
    (folder / "sub").mkdir()
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 40_000)
    (folder / "sub/config.json").write_text("{}")
    return publish(folder, gateway.ref("model"), "model")


def test_what_is_fetched_is_what_was_published(published, tmp_path):
    manifest = verify(published, tmp_path)
    assert manifest.digest == published.digest
    assert (tmp_path / "weights.bin").read_bytes() == bytes(range(256)) * 40_000
    assert (tmp_path / "sub/config.json").read_text() == "{}"


def test_publishing_the_same_again_is_the_same_artifact(published, tmp_path):
    verify(published, tmp_path)
    assert publish(tmp_path, ArtifactRef(uri=published.uri, credentials=published.credentials), "model") == published


def test_what_was_never_published_is_named(gateway, tmp_path):
    with pytest.raises(NotFound, match=r"s3://lore/absent/lore-manifest\.json: nothing there \(tried to read\)"):
        verify(gateway.ref("absent"), tmp_path)


def test_a_bucket_that_does_not_exist_is_named(gateway, tmp_path):
    with pytest.raises(NotFound, match="s3://elsewhere/x"):
        verify(ArtifactRef(uri="s3://elsewhere/x", credentials=str(gateway.credentials)), tmp_path)


def test_a_damaged_object_is_refused(gateway, published, tmp_path):
    copy = tmp_path / "copy"
    verify(published, copy)
    damaged = publish(copy, gateway.ref("damaged"), "model")
    open_store(damaged).write_bytes("sub/config.json", b"[]")
    with pytest.raises(DigestMismatch, match=r"s3://lore/damaged/sub/config\.json: content does not match"):
        verify(damaged, tmp_path / "again")
    assert not (tmp_path / "again" / MANIFEST_NAME).exists()


def test_an_object_that_rots_on_disk_is_refused(gateway, published, tmp_path):
    copy = tmp_path / "copy"
    verify(published, copy)
    rotten = publish(copy, gateway.ref("rotten"), "model")
    (gateway.folder / "rotten/sub/config.json").write_text("[]")
    with pytest.raises(ArtifactError, match=r"s3://lore/rotten/sub/config\.json"):
        verify(rotten, tmp_path / "again")
    assert not (tmp_path / "again" / MANIFEST_NAME).exists()


def test_a_wrong_secret_names_the_uri_and_the_permission(gateway, published, tmp_path):
    ref = variant(gateway, tmp_path / "secret", secretAccessKey="wrong")
    with pytest.raises(AccessDenied, match=r"s3://lore/model/lore-manifest\.json: no permission to read; .*secretRef"):
        verify(ref, tmp_path / "copy")


def test_an_authority_that_is_not_given_is_an_error_that_names_the_uri(gateway, published, tmp_path):
    with pytest.raises(ArtifactError, match="s3://lore/model"):
        verify(variant(gateway, tmp_path / "secret", ca_crt=None), tmp_path / "copy")


def test_an_endpoint_that_does_not_answer_is_an_error_that_names_the_uri(gateway, published, tmp_path):
    ref = variant(gateway, tmp_path / "secret", endpoint="https://127.0.0.1:1")
    with pytest.raises(ArtifactError, match="s3://lore/model"):
        open_store(ref).manifest()


def test_a_workspace_in_a_bucket_is_looked_through_with_ages_and_cleaned(gateway, tmp_path):
    (tmp_path / "weights").write_text("12345")
    place = "runs/stages/" + "a" * 20 + "/model"
    made = publish(tmp_path, gateway.ref(place), "model", {"base": "sha256:" + "b" * 64})

    (item,), unknown = inventory(gateway.ref("runs"))

    assert (item.digest, item.inputs, unknown) == (made.digest, {"sha256:" + "b" * 64}, {})
    assert item.written is not None
    assert abs((datetime.now(UTC) - item.written).total_seconds()) < 3600
    remove(gateway.ref("runs"), item)
    assert inventory(gateway.ref("runs")) == ((), {})


def discard(ref: ArtifactRef, digest: str | None = None) -> int:
    """What the Job of a deleted model with deletionPolicy Delete runs."""
    named = ["--uri", ref.uri, "--digest", digest or ref.digest or "", "--credentials", str(ref.credentials)]
    return main(["discard", *named])


def test_a_model_is_discarded_whole_and_once_more_is_no_error(gateway, tmp_path, capsys):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/weights").write_bytes(b"weights")
    neighbour, ref = (publish(tmp_path, gateway.ref(f"discarded/{name}"), "model") for name in ("llm-2", "llm"))

    assert discard(ref) == 0
    assert not [path for path in (gateway.folder / "discarded/llm").rglob("*") if path.is_file()]
    assert open_store(neighbour).exists()
    assert discard(ref) == 0
    assert "nothing was removed" in capsys.readouterr().out


def test_what_the_digest_does_not_name_is_not_discarded(gateway, published, capsys):
    assert discard(published, "sha256:" + "0" * 64) == 1
    assert "digest is" in capsys.readouterr().err
    assert open_store(published).exists()
