"""The manifest: what files an artifact has, what made it, and from which inputs. Its digest is the artifact's digest."""

import hashlib
import json
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from lore_core.artifacts.ref import Digest

MANIFEST_NAME: Final = "lore-manifest.json"


def sha256_digest(data: bytes) -> str:
    """`sha256:<hex>` of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """One byte string for one JSON value: keys sorted, no spaces, UTF-8, newline at the end."""
    return (
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Model):
    """One file: path relative to the artifact, content digest, size in bytes."""

    path: str = Field(min_length=1, max_length=512)
    sha256: Digest
    size: int = Field(ge=0)

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
            raise ValueError(f"{path!r} does not stay inside the artifact")
        return path


class Producer(_Model):
    """The program that wrote the artifact."""

    name: str
    version: str


class Manifest(_Model):
    """The content of `lore-manifest.json`. It carries no time stamp, so equal content has an equal digest."""

    format_version: int = Field(default=1, ge=1, le=1)
    kind: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    producer: Producer
    files: tuple[FileEntry, ...]
    inputs: dict[str, Digest] = {}
    metadata: dict[str, JsonValue] = {}

    def to_bytes(self) -> bytes:
        """The canonical bytes that are stored and hashed."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Digest of the artifact."""
        return sha256_digest(self.to_bytes())
