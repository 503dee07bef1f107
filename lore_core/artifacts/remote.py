"""Artifacts that are read over HTTP: repositories of a model hub (hf://) and of an OCI registry (oci://).

Both are plain requests, not a hub's or a registry's client: images are built with the hub's client offline, an artifact needs no
listing (its manifest names every file), and no byte is believed for where it came from.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import httpx

from lore_core.artifacts.ref import ArtifactRef, CredentialKeys, credential

HUB: Final = "https://huggingface.co"
_CHUNK: Final = 1 << 20
_TIMEOUT: Final = httpx.Timeout(30.0)
_REFUSED: Final = (401, 403)
_MISSING: Final = (404, 410)


class HttpFiles:
    """What `ArtifactStore` asks of a file system that is only read; subclasses say where a file is."""

    protocol = "http"
    root: str = ""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def _url(self, path: str) -> str:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        """Whether a file is there. Raises PermissionError."""
        try:
            with self._opened(path):
                return True
        except FileNotFoundError:
            return False

    def cat_file(self, path: str) -> bytes:
        """A file, whole. Raises FileNotFoundError, PermissionError, httpx.HTTPError."""
        with self._opened(path) as response:
            return response.read()

    def get_file(self, path: str, target: str) -> None:
        """A file, into a local one. Raises as `cat_file`."""
        with self._opened(path) as response, Path(target).open("wb") as file:
            for chunk in response.iter_bytes(_CHUNK):
                file.write(chunk)

    def find(self, path: str, detail: bool = True) -> dict[str, object]:
        """Nobody lists here: an artifact's manifest names its files."""
        raise OSError("it cannot be listed; name an artifact, whose manifest lists its files")

    ls = find

    @contextmanager
    def _opened(self, path: str) -> Iterator[httpx.Response]:
        with self._client.stream("GET", self._url(path.lstrip("/"))) as response:
            self.check(response)
            yield response

    @staticmethod
    def check(response: httpx.Response) -> None:
        """Raises FileNotFoundError, PermissionError or httpx.HTTPStatusError for an answer that is none."""
        if response.status_code in _MISSING:
            raise FileNotFoundError(str(response.url))
        if response.status_code in _REFUSED:
            raise PermissionError(f"{response.url.host} answered {response.status_code}")
        response.raise_for_status()


class HubFiles(HttpFiles):
    """One revision of one repository of a hub. `endpoint` and `token` of the Secret name a mirror and who asks."""

    protocol = "hf"

    def __init__(self, ref: ArtifactRef) -> None:
        """Raises ValueError where the uri names no repository."""
        self._folder, inside = _repository(ref.uri)
        self.root = inside
        self._endpoint = (credential(ref.credentials, CredentialKeys.ENDPOINT) or HUB).rstrip("/")
        token = credential(ref.credentials, CredentialKeys.TOKEN)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        super().__init__(http_client(ref, headers=headers))

    def _url(self, path: str) -> str:
        return f"{self._endpoint}/{self._folder}/{quote(path)}"


def _repository(uri: str) -> tuple[str, str]:
    """`hf://[datasets/]OWNER/NAME[@REVISION][/PATH]` as the folder that its files are resolved in, and PATH."""
    parts = [part for part in uri.removeprefix("hf://").split("/") if part]
    kind = [parts.pop(0)] if parts and parts[0] in ("datasets", "spaces") else []
    if len(parts) < 2:
        raise ValueError(f"{uri}: write hf://OWNER/NAME@REVISION")
    owner, (name, _, revision) = parts[0], parts[1].partition("@")
    folder = "/".join((*kind, owner, name, "resolve", quote(unquote(revision or "main"), safe="")))
    return folder, "/".join(parts[2:])


def http_client(
    ref: ArtifactRef, auth: httpx.Auth | None = None, headers: dict[str, str] | None = None
) -> httpx.Client:
    """A client that follows redirects, to which no credentials go along where the host changes."""
    folder = ref.credentials
    bundle = Path(folder) / CredentialKeys.CA_BUNDLE if folder else None
    trusted = ssl.create_default_context(cafile=str(bundle)) if bundle and bundle.is_file() else True
    return httpx.Client(verify=trusted, auth=auth, headers=headers, timeout=_TIMEOUT, follow_redirects=True)
