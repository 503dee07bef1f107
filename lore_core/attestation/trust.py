"""Ed25519 signatures around statements, in the envelope of DSSE.

The envelope is `{"payloadType", "payload", "signatures": [{"keyid", "sig"}]}` (DSSE 1.0.2, github.com/secure-systems-lab/dsse), and
what is signed is its pre-authentication encoding; so any tool that speaks DSSE can check one. A key's id is the SHA-256 of its
SubjectPublicKeyInfo. The id only finds the key: nothing is believed that the key itself does not verify.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from lore_core.artifacts.manifest import canonical_json
from lore_core.attestation.statement import Refused, Statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PAYLOAD_TYPE: Final = "application/vnd.lore-platform.verdict.v1+json"
MAX_ENVELOPE: Final = 16_384
_UNREADABLE: Final = "EvidenceUnreadable"


def sign(statement: Statement, private_key: bytes) -> str:
    """The signed envelope as one line of JSON. `private_key` is PEM (PKCS #8). Raises ValueError for any other key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(private_key, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"the signing key is {type(key).__name__}; make one with: openssl genpkey -algorithm ed25519")
    payload = canonical_json(statement.model_dump(mode="json", by_alias=True, exclude_none=True))
    signature = {"keyid": key_id(key.public_key()), "sig": _encoded(key.sign(_authenticated(payload)))}
    return json.dumps({"payloadType": PAYLOAD_TYPE, "payload": _encoded(payload), "signatures": [signature]})


def key_id(key: "Ed25519PublicKey") -> str:
    """Name of a public key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return "sha256:" + sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class TrustedKeys:
    """The public keys whose verdicts count here."""

    def __init__(self, pems: Iterable[bytes] = ()) -> None:
        """`pems` are public keys in PEM. Raises ValueError for one that is no Ed25519 public key."""
        self._keys = {key_id(key): key for key in map(_public_key, pems)}

    def __len__(self) -> int:
        return len(self._keys)

    def verified(self, envelope: str) -> Statement:
        """The statement of an envelope that one of the keys signed. Raises Refused."""
        document = _document(envelope)
        payload = _decoded(document["payload"])
        ids = [signature["keyid"] for signature in document["signatures"]]
        known = [item for item in document["signatures"] if item["keyid"] in self._keys]
        if not known:
            raise Refused(
                "EvidenceKeyUnknown", f"none of its keys is trusted here ({', '.join(ids) or 'it has no signature'})"
            )
        if not any(self._signed(item, payload) for item in known):
            raise Refused("EvidenceForged", "its signature does not match its content: it was altered, or forged")
        try:
            return Statement.model_validate_json(payload)
        except ValidationError as error:
            raise Refused(_UNREADABLE, f"it was signed, but is no statement of this version: {error}") from error

    def _signed(self, signature: dict[str, str], payload: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._keys[signature["keyid"]].verify(_decoded(signature["sig"]), _authenticated(payload))
        except InvalidSignature:
            return False
        return True


def _public_key(pem: bytes) -> "Ed25519PublicKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{type(key).__name__} is no Ed25519 public key")
    return key


def _authenticated(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _document(envelope: str) -> dict[str, Any]:
    if len(envelope) > MAX_ENVELOPE:
        raise Refused(_UNREADABLE, f"it has {len(envelope)} characters, more than {MAX_ENVELOPE}")
    try:
        found = json.loads(envelope)
        kind = found["payloadType"]
        signatures = [{name: str(item[name]) for name in ("keyid", "sig")} for item in found["signatures"]]
        document = {"payload": str(found["payload"]), "signatures": signatures}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(_UNREADABLE, f"it is no DSSE envelope: {type(error).__name__}: {error}") from error
    if kind != PAYLOAD_TYPE:
        raise Refused(_UNREADABLE, f"its payloadType is {str(kind)[:200]!r}, needed is {PAYLOAD_TYPE}")
    return document


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(_UNREADABLE, f"it is no base64: {error}") from error
