"""Signed verdicts for tests of decisions: one key that is trusted, one that is not."""

from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lore_core.attestation import Statement, TrustedKeys, sign

TRUSTED, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = TRUSTED.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
KEYS = TrustedKeys([PUBLIC])


def attestation(now: datetime, key: Ed25519PrivateKey = TRUSTED, **values: Any) -> str:
    """A verdict of thirty days, `Passed` unless said otherwise."""
    known = {"evaluation": "nightly", "verdict": "Passed", "protocol": "LabelScore", "issued": now}
    other = dict.fromkeys(("evidence", "benchmark", "gate_set", "profile"), "sha256:" + "e" * 64)
    statement = Statement(**(known | other | {"expires": now + timedelta(days=30)} | values))
    return sign(statement, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
