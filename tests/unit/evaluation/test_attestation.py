"""Signed verdicts: what is believed, and by which name everything else is refused."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as elliptic_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from unit.evaluation.world import benchmark, config, endpoint, model, pair

from lore_core.attestation import Refused, Statement, TrustedKeys, sign
from lore_core.evaluation.run import evaluate
from lore_core.jobs import Signing
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import FileSink, Reporter

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MODEL, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
PEM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
TRUSTED = TrustedKeys([OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)])
DIGESTS = dict.fromkeys(("evidence", "benchmark", "gate_set", "profile"), OTHER)


def statement(**changes) -> Statement:
    values = {"evaluation": "nightly", "verdict": "Passed", "model": MODEL, "protocol": "LabelScore", **DIGESTS}
    return Statement(**(values | {"issued": NOW, "expires": NOW + timedelta(days=90)} | changes))


def envelope(key=OURS, **changes) -> str:
    return sign(statement(**changes), key.private_bytes(*PEM))


def altered(text: str, **changes) -> str:
    """The same envelope around another payload."""
    document = json.loads(text)
    payload = json.loads(base64.b64decode(document["payload"])) | changes
    return json.dumps(document | {"payload": base64.b64encode(json.dumps(payload).encode()).decode()})


def with_key_id_of_ours() -> str:
    """A stranger's signature under the name of a trusted key."""
    document, ours = json.loads(envelope(THEIRS)), json.loads(envelope())
    document["signatures"][0]["keyid"] = ours["signatures"][0]["keyid"]
    return json.dumps(document)


def refusal(text: str, model_digest: str = MODEL, now: datetime = NOW) -> str:
    with pytest.raises(Refused) as found:
        TRUSTED.verified(text).check(model_digest, now)
    return found.value.reason


def test_a_signed_verdict_is_believed_until_it_expires():
    found = TRUSTED.verified(envelope())
    found.check(MODEL, NOW + timedelta(days=89))
    assert found == statement()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (envelope(THEIRS), "EvidenceKeyUnknown"),
        (with_key_id_of_ours(), "EvidenceForged"),
        (altered(envelope(verdict="Failed"), verdict="Passed"), "EvidenceForged"),
        (altered(envelope(), expires="2099-01-01T00:00:00Z"), "EvidenceForged"),
        (envelope(verdict="Inconclusive"), "EvidenceNotPassed"),
        ("{}", "EvidenceUnreadable"),
        ("not json", "EvidenceUnreadable"),
        ("[" * 5000, "EvidenceUnreadable"),
        (envelope().replace("lore-platform.verdict.v1", "in-toto"), "EvidenceUnreadable"),
        (json.dumps(json.loads(envelope()) | {"payload": "§"}), "EvidenceUnreadable"),
        (json.dumps(json.loads(envelope()) | {"signatures": []}), "EvidenceKeyUnknown"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_name(text, reason):
    assert refusal(text) == reason


def test_a_verdict_about_another_model_or_past_its_time_is_refused():
    assert refusal(envelope(), OTHER) == "EvidenceForOtherModel"
    assert refusal(envelope(), MODEL, NOW + timedelta(days=90)) == "EvidenceExpired"


def test_only_ed25519_keys_are_taken():
    curve = elliptic_key(SECP256R1())
    with pytest.raises(ValueError, match="openssl genpkey"):
        sign(statement(), curve.private_bytes(*PEM))
    with pytest.raises(ValueError, match="no Ed25519"):
        TrustedKeys([curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)])


@pytest.fixture
def world(tmp_path: Path):
    return model(tmp_path), benchmark(tmp_path, [pair(row) for row in range(60)])


def signing(folder: Path) -> Signing:
    return Signing(credentials=str(folder), valid_seconds=3600)


def test_an_evaluation_signs_what_it_found(tmp_path, world):
    (tmp_path / "signing.pem").write_bytes(OURS.private_bytes(*PEM))
    asked = config(tmp_path, *world, signing=signing(tmp_path))
    with endpoint() as served:
        result = evaluate(asked, Reporter(FileSink(tmp_path / "report.json")), served)
    summary = json.loads((tmp_path / "report.json").read_text())["summary"]
    found = TRUSTED.verified(summary["attestation"])
    found.check(str(world[0].digest), datetime.now(UTC))
    assert (found.evidence, found.verdict, found.protocol) == (result.digest, "Passed", "LabelScore")
    assert found.profile == asked.profile.content_digest()
    assert (Path(result.uri.removeprefix("file://")) / "attestation.json").read_text() == summary["attestation"]


@pytest.mark.parametrize("content", [None, b"no key"])
def test_a_key_that_cannot_be_used_is_told_and_nothing_is_reported_as_signed(tmp_path, world, content):
    if content is not None:
        (tmp_path / "signing.pem").write_bytes(content)
    with endpoint() as served, pytest.raises(JobError) as found:
        evaluate(config(tmp_path, *world, signing=signing(tmp_path)), Reporter(None), served)
    assert (found.value.failure.reason, found.value.failure.field) == ("BadSigningKey", "signing")
