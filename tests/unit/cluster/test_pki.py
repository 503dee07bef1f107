"""Certificates of the private authority hold for exactly the names they were made for."""

import socket
import ssl
import threading
from pathlib import Path

import pytest

from hack.cluster.pki import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.prepare()
    return made


def handshake(serving: Pair, client: ssl.SSLContext, name: str) -> None:
    """One TLS handshake over a socket pair; raises what the client raises."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(serving.certificate, serving.key)
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name):
            pass
    finally:
        thread.join()
        here.close()


@pytest.mark.parametrize("name", ["s3.lore-storage.svc", "10.244.0.1"])
def test_a_client_that_trusts_the_authority_accepts_the_server(authority: Authority, name: str) -> None:
    serving = authority.server("s3", ("s3.lore-storage.svc", "10.244.0.1"))

    handshake(serving, ssl.create_default_context(cafile=str(authority.certificate)), name)


def test_another_name_is_refused(authority: Authority) -> None:
    serving = authority.server("s3", ("s3.lore-storage.svc",))

    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(serving, ssl.create_default_context(cafile=str(authority.certificate)), "other.svc")


def test_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    serving = authority.server("s3", ("s3.lore-storage.svc",))
    other = Authority(tmp_path / "other")
    other.prepare()

    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(serving, ssl.create_default_context(cafile=str(other.certificate)), "s3.lore-storage.svc")


def test_keys_are_readable_by_their_owner_alone(authority: Authority) -> None:
    keys = [authority.pair.key, authority.server("s3", ("localhost",)).key, authority.signing_key("tokens").key]

    assert [key.stat().st_mode & 0o777 for key in keys] == [0o600] * 3


def test_what_exists_is_not_made_again(authority: Authority) -> None:
    first = authority.server("s3", ("localhost",)).certificate.read_bytes()

    authority.prepare()

    assert authority.server("s3", ("localhost",)).certificate.read_bytes() == first
