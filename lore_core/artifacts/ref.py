"""How an artifact is named: a uri, the digest of its manifest, and where the credentials for its store lie."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]

URI_PATTERN: Final = r"^(pvc|s3|gs|abfs|file|hf|oci)://[^\s?#]+$"


class CredentialKeys:
    """Documented keys of the Secret that `secretRef` names; each key is a file in `credentials`."""

    ENDPOINT: Final = "endpoint"
    REGION: Final = "region"
    CA_BUNDLE: Final = "ca.crt"
    ACCESS_KEY: Final = "accessKeyId"
    SECRET_KEY: Final = "secretAccessKey"
    TOKEN: Final = "token"
    SIGNING_KEY: Final = "signing.pem"


def credential(folder: str | None, key: str) -> str | None:
    """One key of a mounted Secret, or None where the Secret does not have it."""
    if folder is None:
        return None
    path = Path(folder) / key
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


class ArtifactRef(BaseModel):
    """One artifact as a pod sees it.

    `credentials` is the folder the operator mounted the Secret at (one file per key); the value itself never appears in a
    config. `digest` may be absent only where the reader records the digest it found.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(pattern=URI_PATTERN, max_length=1024)
    digest: Digest | None = None
    credentials: str | None = None

    def child(self, path: str) -> "ArtifactRef":
        """A location below this one, with the same credentials and no digest of its own yet."""
        return ArtifactRef(uri=f"{self.uri.rstrip('/')}/{path.lstrip('/')}", credentials=self.credentials)
