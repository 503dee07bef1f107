"""Reading and writing artifacts on any fsspec store.

The manifest is written last and read first: a folder without one is not an artifact. `pvc://CLAIM/PATH` is a folder below
`LORE_PVC_ROOT` (default `/mnt/lore/pvc`), where the operator mounts each claim under its own name.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from pydantic import JsonValue, ValidationError

import lore_core
from lore_core.artifacts.manifest import MANIFEST_NAME, FileEntry, Manifest, Producer, sha256_digest
from lore_core.artifacts.ref import ArtifactRef, CredentialKeys, credential

_CHUNK: Final = 1 << 20
_SLACK: Final = 1 << 20
"""Bytes for manifests, markers and half-filled blocks beside the files themselves."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
READ_ONLY: Final = ("hf", "oci")
"""Schemes that are read and not written: what is there was pushed with the hub's or the registry's own tools."""
_MAKE_ROOM: Final = "make room with `lore gc`, or enlarge the volume or its quota"


class ArtifactError(Exception):
    """An artifact cannot be used; the message names the uri and the remedy."""

    reason = "ArtifactError"


class NotFound(ArtifactError):
    """Nothing complete is there."""

    reason = "ArtifactNotFound"


class AccessDenied(ArtifactError):
    """The store refused; the message names the permission that was tried."""

    reason = "ArtifactAccessDenied"


class DigestMismatch(ArtifactError):
    """The bytes are not those that the digest names."""

    reason = "DigestMismatch"


class WorkspaceFull(ArtifactError):
    """There is no room for what is to be written; what lay there before is as it was."""

    reason = "WorkspaceFull"


class StoredFile(NamedTuple):
    """One file of a store; `modified` is None where the store does not tell."""

    size: int
    modified: datetime | None


class ArtifactStore:
    """One artifact's folder on its store."""

    def __init__(self, ref: ArtifactRef, filesystem: Any, root: str) -> None:
        """Use `open_store`; `root` is the folder's path as the filesystem spells it."""
        self.ref = ref
        self._fs = filesystem
        self._root = root.rstrip("/")

    def _path(self, relative: str) -> str:
        return f"{self._root}/{relative}"

    @contextlib.contextmanager
    def _errors(self, permission: str, relative: str) -> Iterator[None]:
        uri = f"{self.ref.uri.rstrip('/')}/{relative}"
        scheme = self.ref.uri.partition("://")[0]
        if scheme in READ_ONLY and permission in ("write", "delete"):
            raise AccessDenied(f"{uri}: {scheme} is only read here, not to {permission}; use pvc, s3, gs or abfs")
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(
                f"{uri}: nothing there (tried to {permission}); check the uri and that its producer finished"
            ) from error
        except PermissionError as error:
            raise AccessDenied(
                f"{uri}: no permission to {permission}; grant it or check secretRef ({error})"
            ) from error
        except Exception as error:  # each store's library has errors of its own: unreachable, untrusted, torn
            if isinstance(error, OSError) and error.errno in _FULL:
                raise WorkspaceFull(f"{uri}: no space left to {permission} it; {_MAKE_ROOM}") from error
            raise ArtifactError(f"{uri}: could not {permission}: {type(error).__name__}: {error}") from error

    def exists(self) -> bool:
        """Whether a complete artifact (one with a manifest) is there."""
        with self._errors("read", MANIFEST_NAME):
            return bool(self._fs.exists(self._path(MANIFEST_NAME)))

    def read_bytes(self, relative: str) -> bytes:
        """One file, whole. Raises NotFound or AccessDenied."""
        with self._errors("read", relative):
            return bytes(self._fs.cat_file(self._path(relative)))

    def write_bytes(self, relative: str, data: bytes) -> None:
        """One file, whole; on a local store by rename, so that a reader never sees half of it."""
        with self._errors("write", relative):
            target = self._path(relative)
            self._fs.makedirs(os.path.dirname(target), exist_ok=True)
            if self._is_local:
                partial = f"{target}.partial-{os.getpid()}"
                self._fs.pipe_file(partial, data)
                os.replace(partial, target)
            else:
                self._fs.pipe_file(target, data)

    def upload(self, source: Path, relative: str) -> None:
        """Copy a local file to the store."""
        with self._errors("write", relative):
            target = self._path(relative)
            self._fs.makedirs(os.path.dirname(target), exist_ok=True)
            self._fs.put_file(str(source), target)

    def download(self, relative: str, target: Path) -> None:
        """Copy a file of the store to a local path."""
        with self._errors("read", relative):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fs.get_file(self._path(relative), str(target))

    def folders(self) -> list[str]:
        """Names of the folders that lie directly in this one; none where it is not there."""
        with self._errors("list", ""):
            if not self._fs.exists(self._root):
                return []
            found = self._fs.ls(self._root, detail=True)
            return sorted(item["name"].rstrip("/").rpartition("/")[2] for item in found if item["type"] == "directory")

    def file_names(self) -> list[str]:
        """Names of the files that lie directly in this folder; none where it is not there."""
        with self._errors("list", ""):
            if not self._fs.exists(self._root):
                return []
            found = self._fs.ls(self._root, detail=True)
            return sorted(item["name"].rpartition("/")[2] for item in found if item["type"] == "file")

    def files(self) -> dict[str, StoredFile]:
        """All files below the folder by their path in it; none where it is not there."""
        with self._errors("list", ""):
            found = self._fs.find(self._root, detail=True)
        return {
            path.removeprefix(f"{self._root}/"): StoredFile(int(info["size"]), _modified(info))
            for path, info in found.items()
        }

    def remove(self) -> None:
        """Delete the folder with all that is in it: every manifest first, so that no half of it is taken for whole."""
        with self._errors("delete", ""):
            for path in self._fs.find(self._root):
                if path.endswith(f"/{MANIFEST_NAME}"):
                    self._fs.rm_file(path)
            self._fs.rm(self._root, recursive=True)

    def require_room(self, size: int) -> None:
        """Raise WorkspaceFull unless so many bytes fit. An object store does not tell, and passes."""
        free = self._free()
        if free is not None and free < size + _SLACK:
            raise WorkspaceFull(f"{self.ref.uri}: {size:,} bytes are to be written, {free:,} are free; {_MAKE_ROOM}")

    def _free(self) -> int | None:
        if not self._is_local:
            return None
        there = next(path for path in (Path(self._root), *Path(self._root).parents) if path.exists())
        told = os.statvfs(there)
        return told.f_bavail * told.f_frsize

    def manifest(self) -> Manifest:
        """The manifest, checked against the ref's digest where it has one."""
        data = self.read_bytes(MANIFEST_NAME)
        found = sha256_digest(data)
        if self.ref.digest is not None and found != self.ref.digest:
            raise DigestMismatch(
                f"{self.ref.uri}: digest is {found}, expected {self.ref.digest}; the uri was re-pointed or the digest is wrong"
            )
        try:
            return Manifest.model_validate_json(data)
        except ValidationError as error:
            raise ArtifactError(f"{self.ref.uri}/{MANIFEST_NAME}: not a manifest: {error}") from error

    @property
    def _is_local(self) -> bool:
        protocol = self._fs.protocol
        return "file" in (protocol if isinstance(protocol, tuple | list) else (protocol,))


def _modified(info: Mapping[str, Any]) -> datetime | None:
    """When a file was written, as local file systems and S3 spell it."""
    if isinstance(stamp := info.get("mtime"), int | float):
        return datetime.fromtimestamp(stamp, UTC)
    return stamp if isinstance(stamp := info.get("LastModified"), datetime) else None


def open_store(ref: ArtifactRef) -> ArtifactStore:
    """The store that `ref.uri` names, with its credentials. Touches no network by itself."""
    import fsspec

    parts = urlsplit(ref.uri)
    if ".." in parts.path.split("/") or parts.netloc in ("..", "."):
        raise ArtifactError(f"{ref.uri}: `..` leads out of the store; name the folder itself")
    if parts.scheme == "pvc":
        root = Path(os.environ.get("LORE_PVC_ROOT", "/mnt/lore/pvc")) / parts.netloc / parts.path.lstrip("/")
        return ArtifactStore(ref, fsspec.filesystem("file"), str(root))
    if parts.scheme == "file":
        if parts.netloc:
            raise ArtifactError(f"{ref.uri}: names the host {parts.netloc!r}; write three slashes: file:///PATH")
        return ArtifactStore(ref, fsspec.filesystem("file"), parts.path)
    if parts.scheme == "s3":
        return ArtifactStore(ref, fsspec.filesystem("s3", **_s3_options(ref.credentials)), parts.netloc + parts.path)
    if parts.scheme in ("gs", "abfs"):
        return ArtifactStore(ref, fsspec.filesystem(parts.scheme), parts.netloc + parts.path)
    if parts.scheme in READ_ONLY:
        return _over_http(ref, parts.scheme)
    raise ArtifactError(f"{ref.uri}: scheme {parts.scheme!r} cannot be read here")


def _over_http(ref: ArtifactRef, scheme: str) -> ArtifactStore:
    from lore_core.artifacts.registry import RegistryFiles
    from lore_core.artifacts.remote import HubFiles

    try:
        files = HubFiles(ref) if scheme == "hf" else RegistryFiles(ref)
    except ValueError as error:
        raise ArtifactError(str(error)) from error
    return ArtifactStore(ref, files, files.root)


def _s3_options(folder: str | None) -> dict[str, Any]:
    client: dict[str, Any] = {}
    if endpoint := credential(folder, CredentialKeys.ENDPOINT):
        client["endpoint_url"] = endpoint
    if region := credential(folder, CredentialKeys.REGION):
        client["region_name"] = region
    if folder is not None and (Path(folder) / CredentialKeys.CA_BUNDLE).is_file():
        client["verify"] = str(Path(folder) / CredentialKeys.CA_BUNDLE)
    options: dict[str, Any] = {"client_kwargs": client, "skip_instance_cache": True, "use_listings_cache": False}
    if key := credential(folder, CredentialKeys.ACCESS_KEY):
        options |= {"key": key, "secret": credential(folder, CredentialKeys.SECRET_KEY)}
    return options


def file_digest(path: Path) -> tuple[str, int]:
    """Digest and size of a local file, read once in chunks."""
    hasher, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
            size += len(chunk)
    return "sha256:" + hasher.hexdigest(), size


def describe(
    folder: Path, kind: str, inputs: Mapping[str, str] | None = None, metadata: Mapping[str, JsonValue] | None = None
) -> Manifest:
    """The manifest of a local folder's files, in path order; nothing is written."""
    entries = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST_NAME):
        digest, size = file_digest(path)
        entries.append(FileEntry(path=path.relative_to(folder).as_posix(), sha256=digest, size=size))
    producer = Producer(name="lore", version=lore_core.__version__)
    return Manifest(
        kind=kind, producer=producer, files=tuple(entries), inputs=dict(inputs or {}), metadata=dict(metadata or {})
    )


def publish(
    folder: Path,
    to: ArtifactRef,
    kind: str,
    inputs: Mapping[str, str] | None = None,
    metadata: Mapping[str, JsonValue] | None = None,
) -> ArtifactRef:
    """Copy a local folder to `to` as an artifact, manifest last, and return the ref with its digest.

    A folder that already holds the same artifact is left as it is; one that holds another is refused.
    """
    manifest, store = describe(folder, kind, inputs, metadata), open_store(to)
    if store.exists():
        found = open_store(ArtifactRef(uri=to.uri, credentials=to.credentials)).manifest().digest
        if found != manifest.digest:
            raise DigestMismatch(f"{to.uri}: already holds {found}, refusing to overwrite it with {manifest.digest}")
        return to.model_copy(update={"digest": found})
    store.require_room(sum(entry.size for entry in manifest.files))
    for entry in manifest.files:
        store.upload(folder / entry.path, entry.path)
    store.write_bytes(MANIFEST_NAME, manifest.to_bytes())
    return to.model_copy(update={"digest": manifest.digest})


def verify(ref: ArtifactRef, into: Path, only: tuple[str, ...] | None = None) -> Manifest:
    """Fetch an artifact into the local folder `into`, checking every byte; the manifest is written there last.

    `only` limits the fetch to paths that start with one of the prefixes. Raises NotFound, AccessDenied, DigestMismatch, and
    then leaves no manifest in `into`, not even one of an earlier fetch.
    """
    store = open_store(ref)
    manifest = store.manifest()
    (into / MANIFEST_NAME).unlink(missing_ok=True)
    for entry in manifest.files:
        if only is not None and not entry.path.startswith(only):
            continue
        target = into / entry.path
        if not (target.is_file() and file_digest(target) == (entry.sha256, entry.size)):
            store.download(entry.path, target)
        if file_digest(target) != (entry.sha256, entry.size):
            raise DigestMismatch(
                f"{ref.uri}/{entry.path}: content does not match the manifest; the artifact is damaged"
            )
    into.mkdir(parents=True, exist_ok=True)
    partial = into / f"{MANIFEST_NAME}.partial"
    partial.write_bytes(manifest.to_bytes())
    partial.replace(into / MANIFEST_NAME)
    return manifest
