"""Questions over TLS: a renewed certificate is served without a restart, and a broken one never."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from integration.router.certificates import write_pair
from integration.router.world import QUERIES, RunningRouter

from lore_core.router.http import HttpServer
from lore_core.router.tls import ServerTls


async def asked(port: int, trusted: Path) -> tuple[bytes, int]:
    """Status line, and serial number of the certificate shown."""
    context = ssl.create_default_context(cafile=str(trusted))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    body = b'{"query": "%s", "items": [{"id": "i1"}]}' % QUERIES["head"].encode()
    writer.write(b"POST /v1/relevance HTTP/1.1\r\nhost: r\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    status = await reader.readline()
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return status, x509.load_der_x509_certificate(shown).serial_number


async def test_a_renewed_certificate_is_shown_and_a_torn_pair_is_not(ready: RunningRouter, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    first = write_pair(folder)
    tls = ServerTls(folder / "tls.crt", folder / "tls.key")
    server = HttpServer(ready.app, ready.app.refuse, ready.app.max_body)
    port = await server.start("127.0.0.1", 0, tls.context)
    assert await asked(port, folder / "tls.crt") == (b"HTTP/1.1 200 OK\r\n", first)
    assert not tls.refresh()

    second = write_pair(folder)
    os.utime(folder / "tls.crt", (1, 1))
    assert tls.refresh()
    assert await asked(port, folder / "tls.crt") == (b"HTTP/1.1 200 OK\r\n", second)

    trusted = tmp_path / "trusted"
    trusted.write_bytes((folder / "tls.crt").read_bytes())
    certificate = (folder / "tls.crt").read_bytes()
    write_pair(folder)
    (folder / "tls.crt").write_bytes(certificate)
    os.utime(folder / "tls.crt", (2, 2))
    with pytest.raises(ssl.SSLError):
        tls.refresh()
    assert await asked(port, trusted) == (b"HTTP/1.1 200 OK\r\n", second)
    await server.close(1.0)
