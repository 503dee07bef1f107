"""oci://HOST[:PORT]/REPOSITORY[:TAG|@DIGEST]: an artifact in an OCI registry, one layer a file, as `oras push` writes it.

A layer's file is named by its annotation `org.opencontainers.image.title`. Container images (KServe's modelcars among them)
keep files in archives: they are not read.
"""

import base64
import json
import re
from collections.abc import Generator
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lore_core.artifacts.manifest import sha256_digest
from lore_core.artifacts.ref import ArtifactRef, CredentialKeys, credential
from lore_core.artifacts.remote import HttpFiles, http_client

TITLE: Final = "org.opencontainers.image.title"
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_URI: Final = re.compile(
    r"oci://(?P<host>[^/@]+)/(?P<repository>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')
_UNAUTHORISED: Final = 401


class _Layer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    annotations: dict[str, str] = {}


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="ignore")
    layers: tuple[_Layer, ...]


class RegistryFiles(HttpFiles):
    """The files of one manifest. `endpoint` of the Secret is the registry's address where it is not https://HOST."""

    protocol = "oci"

    def __init__(self, ref: ArtifactRef) -> None:
        """Raises ValueError where the uri is none of a registry."""
        named = _URI.fullmatch(ref.uri)
        if named is None:
            raise ValueError(f"{ref.uri}: write oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…")
        base = (credential(ref.credentials, CredentialKeys.ENDPOINT) or f"https://{named['host']}").rstrip("/")
        self._base = f"{base}/v2/{named['repository']}"
        self._digest, self._version = named["digest"], named["digest"] or named["tag"] or "latest"
        super().__init__(http_client(ref, auth=_auth(ref, base)))

    def _url(self, path: str) -> str:
        found = self._layers.get(path)
        if found is None:
            raise FileNotFoundError(path)
        return f"{self._base}/blobs/{found}"

    @cached_property
    def _layers(self) -> dict[str, str]:
        """Digest of a layer by the path of its file. Raises ValueError where the manifest is none of single files."""
        response = self._client.get(
            f"{self._base}/manifests/{self._version}", headers={"Accept": ", ".join(MANIFEST_TYPES)}
        )
        self.check(response)
        if self._digest and sha256_digest(response.content) != self._digest:
            raise ValueError(
                f"the registry's manifest is {sha256_digest(response.content)}, asked for was {self._digest}"
            )
        try:
            layers = _Manifest.model_validate_json(response.content).layers
        except ValidationError as error:
            kind = response.headers.get("content-type", "of no type")
            raise ValueError(f"what the registry has is {kind}, no manifest with layers") from error
        titles = [layer.annotations.get(TITLE) for layer in layers]
        if None in titles or len(set(titles)) != len(titles):
            raise ValueError("its layers are no single files, each with a title of its own: push the folder with oras")
        return {str(title): layer.digest for title, layer in zip(titles, layers, strict=True)}


def _auth(ref: ArtifactRef, base: str) -> "RegistryAuth":
    name, secret = (credential(ref.credentials, key) for key in (CredentialKeys.ACCESS_KEY, CredentialKeys.SECRET_KEY))
    basic = "Basic " + base64.b64encode(f"{name}:{secret or ''}".encode()).decode() if name else None
    token = credential(ref.credentials, CredentialKeys.TOKEN)
    return RegistryAuth(urlsplit(base).scheme, basic, f"Bearer {token}" if token else None)


class RegistryAuth(httpx.Auth):
    """The registry says whom to ask for a token (or that Basic will do); what it was given is used until it is refused."""

    def __init__(self, scheme: str, basic: str | None, header: str | None) -> None:
        self._scheme, self._basic, self._header = scheme, basic, header

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask; where that is refused, ask for a token, and then once more."""
        if self._header:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != _UNAUTHORISED:
            return
        scheme, _, words = response.headers.get("www-authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._basic and self._basic != self._header:
            self._header = self._basic
        elif scheme.lower() == "bearer" and (asked := self._token_request(dict(_PARAMETER.findall(words)))) is not None:
            answer = yield asked
            if (token := _token(answer)) is None:
                return
            self._header = f"Bearer {token}"
        else:
            return
        request.headers["Authorization"] = self._header
        yield request

    def _token_request(self, challenge: dict[str, str]) -> httpx.Request | None:
        realm = challenge.pop("realm", "")
        if urlsplit(realm).scheme not in ("https", self._scheme):
            return None  # a password goes nowhere in clear that the uri does not say
        wanted: dict[str, str] = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        return httpx.Request("GET", realm, params=wanted, headers={"Authorization": self._basic} if self._basic else {})


def _token(answer: httpx.Response) -> str | None:
    """The token that was given; None where it was refused."""
    if not answer.is_success:
        return None
    told = json.loads(answer.read())
    found = told.get("token") or told.get("access_token") if isinstance(told, dict) else None
    return str(found) if found else None
