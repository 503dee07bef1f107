"""A model of a hub or a registry as the predictor's init container fetches it: verified by digest, whoever held the bytes."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.http_artifacts import INDEX, TOKEN, Site, digest_of, serving

from hack.cluster.pki import Authority
from lore_core.artifacts import MANIFEST_NAME, ArtifactRef, NotFound, open_store
from lore_core.artifacts.store import AccessDenied, ArtifactError, describe, verify
from lore_core.cli import main

FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 9000, "sub/tokenizer.json": b"[1]"}


@pytest.fixture
def model(tmp_path: Path) -> tuple[dict[str, bytes], str]:
    """A whole artifact's files, its manifest with them, and its digest."""
    folder = tmp_path / "model"
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    manifest = describe(folder, "model")
    return {**FILES, MANIFEST_NAME: manifest.to_bytes()}, manifest.digest


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as found:
        yield found


def secret(folder: Path, **keys: str) -> str:
    """A Secret as the kubelet mounts it."""
    folder.mkdir(exist_ok=True)
    for name, value in keys.items():
        (folder / name.replace("_", ".")).write_text(value)
    return str(folder)


def put_on_hub(site: Site, files: dict[str, bytes], revision: str = "v1", inside: str = "") -> None:
    site.files |= {f"team/model/resolve/{revision}/{inside}{path}": data for path, data in files.items()}


def hub(site: Site, tmp_path: Path, uri: str = "hf://team/model@v1", **keys: str) -> ArtifactRef:
    return ArtifactRef(uri=uri, credentials=secret(tmp_path / "secret", endpoint=site.address, **keys))


def registry(site: Site, tmp_path: Path, uri: str = "oci://registry.example/team/model:v1", **keys: str) -> ArtifactRef:
    return ArtifactRef(uri=uri, credentials=secret(tmp_path / "secret", endpoint=site.address, **keys))


def fetched(ref: ArtifactRef, digest: str, into: Path) -> int:
    """What the init container runs."""
    assert ref.credentials is not None
    return main(["fetch", "--uri", ref.uri, "--digest", digest, "--into", str(into), "--credentials", ref.credentials])


def whole(folder: Path) -> bool:
    return {path: (folder / path).read_bytes() for path in FILES} == FILES


# A model hub


@pytest.mark.parametrize(
    ("uri", "revision", "inside"),
    [
        ("hf://team/model@v1", "v1", ""),
        ("hf://team/model", "main", ""),
        ("hf://team/model@refs%2Fpr%2F1", "refs/pr/1", ""),
        ("hf://team/model@v1/exports/small", "v1", "exports/small/"),
    ],
)
def test_a_model_of_a_hub_is_fetched_and_verified(
    site: Site, model: tuple[dict[str, bytes], str], tmp_path: Path, uri: str, revision: str, inside: str
) -> None:
    put_on_hub(site, model[0], revision, inside)

    assert fetched(hub(site, tmp_path, uri), model[1], tmp_path / "into") == 0
    assert whole(tmp_path / "into")


def test_the_hubs_token_goes_to_the_hub_and_not_where_it_sends_us(
    site: Site, model: tuple[dict[str, bytes], str], tmp_path: Path
) -> None:
    site.token = "hub-token"
    put_on_hub(site, model[0])
    with serving(Site()) as site.elsewhere:
        assert fetched(hub(site, tmp_path, token="hub-token"), model[1], tmp_path / "into") == 0
        assert [given for _, given in site.elsewhere.asked] == [None]
    assert whole(tmp_path / "into")


def test_a_hub_that_refuses_is_told_by_the_uri_and_the_secret(
    site: Site, model: tuple[dict[str, bytes], str], tmp_path: Path
) -> None:
    site.token = "hub-token"
    put_on_hub(site, model[0])

    with pytest.raises(
        AccessDenied, match=r"hf://team/model@v1/lore-manifest\.json: no permission to read; .*secretRef"
    ):
        verify(hub(site, tmp_path), tmp_path / "into")


def test_a_repository_without_a_manifest_is_no_artifact(site: Site, tmp_path: Path) -> None:
    put_on_hub(site, FILES)

    with pytest.raises(NotFound, match=r"hf://team/model@v1/lore-manifest\.json: nothing there"):
        verify(hub(site, tmp_path), tmp_path / "into")
    assert not open_store(hub(site, tmp_path)).exists()


# An OCI registry


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_model_of_a_registry_is_fetched_and_verified(
    site: Site, model: tuple[dict[str, bytes], str], tmp_path: Path, by: str
) -> None:
    pushed = site.push("team/model:v1", model[0])
    uri = "oci://registry.example/team/model" + (":v1" if by == "tag" else f"@{pushed}")

    assert fetched(registry(site, tmp_path, uri), model[1], tmp_path / "into") == 0
    assert whole(tmp_path / "into")


def test_a_registry_that_wants_a_token_is_asked_with_the_one_it_gives_for_the_password(
    site: Site, model: tuple[dict[str, bytes], str], tmp_path: Path
) -> None:
    site.password = "pull-secret"
    site.push("team/model:v1", model[0])
    ref = registry(site, tmp_path, accessKeyId="puller", secretAccessKey="pull-secret")

    assert fetched(ref, model[1], tmp_path / "into") == 0
    assert whole(tmp_path / "into")
    blobs = [given for path, given in site.asked if "/blobs/" in path]
    assert set(blobs) == {f"Bearer {TOKEN}"}
    assert [path.partition("?")[0] for path, _ in site.asked].count("/token") < len(blobs), "a token is kept"


def test_a_wrong_password_names_the_uri_and_the_secret(
    site: Site, model: tuple[dict[str, bytes], str], tmp_path: Path
) -> None:
    site.password = "pull-secret"
    site.push("team/model:v1", model[0])
    ref = registry(site, tmp_path, accessKeyId="puller", secretAccessKey="wrong")

    with pytest.raises(AccessDenied, match=r"oci://registry\.example/team/model:v1/lore-manifest\.json: no permission"):
        verify(ref, tmp_path / "into")


def test_a_password_is_not_sent_in_clear_because_a_registry_says_so(
    model: tuple[dict[str, bytes], str], tmp_path: Path
) -> None:
    """The registry speaks TLS and names a place without it to ask for tokens."""
    authority = Authority(tmp_path / "pki")
    authority.prepare()
    files = authority.server("registry", ("127.0.0.1",))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    with serving(Site(password="pull-secret"), tls) as site, serving(Site()) as clear:
        site.push("team/model:v1", model[0])
        keys = {"accessKeyId": "puller", "secretAccessKey": "pull-secret", "ca_crt": authority.certificate.read_text()}
        ref = registry(site, tmp_path, **keys)
        assert verify(ref, tmp_path / "into").digest == model[1]

        reached, site.address = site.address, clear.address  # where its challenges point from now on
        ref = ArtifactRef(uri=ref.uri, credentials=secret(tmp_path / "secret", endpoint=reached, **keys))
        with pytest.raises(AccessDenied):
            verify(ref, tmp_path / "again")
        assert clear.asked == []


@pytest.mark.parametrize(
    ("push", "words"),
    [
        (
            lambda site: site.push("team/model:v1", {}, mediaType=INDEX, layers=None, manifests=[]),
            "no manifest with layers",
        ),
        (
            lambda site: site.push("team/model:v1", {}, layers=[{"digest": digest_of(b"tar")}]),
            "push the folder with oras",
        ),
        (lambda site: site.tag("team/model:v1", b"<html>", "text/html"), "text/html, no manifest with layers"),
    ],
    ids=["an index", "a container image", "a page"],
)
def test_what_is_no_artifact_in_a_registry_is_told(
    site: Site, tmp_path: Path, push: Callable[[Site], str], words: str
) -> None:
    push(site)

    with pytest.raises(ArtifactError, match=words):
        verify(registry(site, tmp_path), tmp_path / "into")


def test_a_registry_that_gives_another_manifest_than_the_digest_names_is_refused(
    site: Site, model: tuple[dict[str, bytes], str], tmp_path: Path
) -> None:
    asked = digest_of(b"another")
    kind, body = site.manifests[f"team/model/manifests/{site.push('team/model:v1', model[0])}"]
    site.manifests[f"team/model/manifests/{asked}"] = (kind, body)

    with pytest.raises(ArtifactError, match=f"asked for was {asked}"):
        verify(registry(site, tmp_path, f"oci://registry.example/team/model@{asked}"), tmp_path / "into")


# Wherever the bytes were


def swap_weights(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "model.safetensors": files["model.safetensors"][::-1]}


def swap_everything(files: dict[str, bytes]) -> dict[str, bytes]:
    """Another whole artifact under the same name."""
    manifest = json.loads(files[MANIFEST_NAME])
    changed = swap_weights(files)
    for entry in manifest["files"]:
        entry["sha256"] = digest_of(changed[entry["path"]])
    return {**changed, MANIFEST_NAME: json.dumps(manifest).encode()}


@pytest.mark.parametrize("source", ["hub", "registry"])
@pytest.mark.parametrize("swapped", [swap_weights, swap_everything])
def test_bytes_that_are_not_those_of_the_digest_are_never_left_to_be_served(
    site: Site,
    model: tuple[dict[str, bytes], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    swapped: Callable[[dict[str, bytes]], dict[str, bytes]],
) -> None:
    files = swapped(model[0])
    put_on_hub(site, files)
    site.push("team/model:v1", files)
    ref = hub(site, tmp_path) if source == "hub" else registry(site, tmp_path)

    assert fetched(ref, model[1], tmp_path / "into") == 1
    assert not (tmp_path / "into" / MANIFEST_NAME).exists()
    assert ref.uri in capsys.readouterr().err


@pytest.mark.parametrize("source", ["hub", "registry"])
def test_a_source_that_does_not_answer_is_an_error_that_names_the_uri(site: Site, tmp_path: Path, source: str) -> None:
    site.address = "http://127.0.0.1:1"
    ref = hub(site, tmp_path) if source == "hub" else registry(site, tmp_path)

    with pytest.raises(ArtifactError, match=ref.uri):
        verify(ref, tmp_path / "into")
