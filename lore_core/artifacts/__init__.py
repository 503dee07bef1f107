"""Immutable, self-describing artifacts: a folder of files and a `lore-manifest.json` that is written last."""

from lore_core.artifacts.manifest import MANIFEST_NAME, FileEntry, Manifest, Producer
from lore_core.artifacts.ref import ArtifactRef, CredentialKeys, Digest
from lore_core.artifacts.store import (
    READ_ONLY,
    ArtifactError,
    ArtifactStore,
    DigestMismatch,
    NotFound,
    StoredFile,
    WorkspaceFull,
    open_store,
    publish,
    verify,
)

__all__ = [
    "MANIFEST_NAME",
    "READ_ONLY",
    "ArtifactError",
    "ArtifactRef",
    "ArtifactStore",
    "CredentialKeys",
    "Digest",
    "DigestMismatch",
    "FileEntry",
    "Manifest",
    "NotFound",
    "Producer",
    "StoredFile",
    "WorkspaceFull",
    "open_store",
    "publish",
    "verify",
]
