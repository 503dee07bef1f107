"""A cluster's private certificate authority, its certificates and its service-account key."""

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hack.cluster import files

_LIFETIME = datetime.timedelta(days=365)
# Clocks of a machine that has just been resumed may jump back.
_LEEWAY = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """The folder that holds one authority and all it signed."""

    directory: Path

    @property
    def certificate(self) -> Path:
        """The authority's own certificate, which clients trust."""
        return self.directory / "ca.crt"

    @property
    def pair(self) -> Pair:
        """The authority's certificate and key."""
        return Pair(self.certificate, self.directory / "ca.key")

    def prepare(self) -> None:
        """Create the authority unless it exists."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("lore-cluster-ca", ())
            builder = _builder(name, name, key.public_key()).add_extension(
                x509.BasicConstraints(ca=True, path_length=0), critical=True
            )
            usage = _key_usage(signs_certificates=True)
            certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
            _write_pair(self.pair, certificate, key)

    def server(self, name: str, hosts: Iterable[str]) -> Pair:
        """A serving certificate for the host names and addresses, made once."""
        pair = self._pair(name)
        if not pair.certificate.exists():
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            self._issue(pair, _name(name, ()), ExtendedKeyUsageOID.SERVER_AUTH, names)
        return pair

    def client(self, file: str, user: str, groups: Iterable[str] = ()) -> Pair:
        """A client certificate: the user is its common name, the groups are its organisations. Made once."""
        pair = self._pair(file)
        if not pair.certificate.exists():
            self._issue(pair, _name(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, None)
        return pair

    def signing_key(self, name: str) -> Pair:
        """A key pair without a certificate (public part in `certificate`), for service-account tokens. Made once."""
        pair = Pair(self.directory / f"{name}.pub", self.directory / f"{name}.key")
        if not pair.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            files.write(pair.key, _key_bytes(key), 0o600)
            files.write(pair.certificate, public)
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    def _issue(
        self, pair: Pair, subject: x509.Name, usage: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None
    ) -> None:
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer_key = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
        if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.pair.key} is not an elliptic-curve key")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, issuer.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        _write_pair(pair, builder.sign(issuer_key, hashes.SHA256()), key)


def _name(common: str, groups: Iterable[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_pair(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """The certificate last: it is what says that the pair is whole."""
    files.write(pair.key, _key_bytes(key), 0o600)
    files.write(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
