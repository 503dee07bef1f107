"""Stand-ins for a model hub and an OCI registry on loopback: what their HTTP interfaces answer to who reads, no more.

Hub: `/OWNER/NAME/resolve/REVISION/PATH`; large files are redirected to another host, as the hub does with its CDN. Registry:
the pull half of the distribution API v2, with tokens (`/token`, Basic) where it has a password.
"""

import base64
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
TITLE = "org.opencontainers.image.title"
TOKEN = "a-token-that-the-registry-gave"
LARGE = 1000


@dataclass
class Site:
    """What is served: `files` by path for the hub, `blobs` and `manifests` for the registry. `asked` are paths and tokens."""

    files: dict[str, bytes] = field(default_factory=dict)
    token: str | None = None
    password: str | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""
    elsewhere: "Site | None" = None

    def push(self, name: str, files: dict[str, bytes], **changes: Any) -> str:
        """As `oras push`: a layer a file, named by its title. The manifest's digest."""
        layers = []
        for path, data in files.items():
            digest = self.blob(data)
            layers.append({"digest": digest, "size": len(data), "annotations": {TITLE: path}})
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": layers} | changes
        return self.tag(name, json.dumps(document).encode(), str(document["mediaType"]))

    def tag(self, name: str, body: bytes, kind: str) -> str:
        digest = digest_of(body)
        for reference in (name.rpartition(":")[2], digest):
            self.manifests[f"{name.rpartition(':')[0]}/manifests/{reference}"] = (kind, body)
        return digest

    def blob(self, data: bytes) -> str:
        self.blobs[digest_of(data)] = data
        return digest_of(data)


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@contextmanager
def serving(site: Site, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A server on a loopback port until the block ends."""

    class Handler(_Handler):
        pass

    Handler.site = site
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site.address = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        self.site.asked.append((self.path, given))
        path = unquote(self.path.partition("?")[0]).lstrip("/")
        if path == "token":
            self._give_token(given)
        elif path.startswith("v2/"):
            self._registry(path.removeprefix("v2/"), given)
        else:
            self._hub(path, given)

    def _hub(self, path: str, given: str | None) -> None:
        site = self.site
        if site.token and given != f"Bearer {site.token}":
            self._answer(401, b"Repository not found")
        elif (data := site.files.get(path)) is None:
            self._answer(404, b"Entry not found")
        elif site.elsewhere is not None and len(data) > LARGE:
            site.elsewhere.files[digest_of(data)] = data
            self._answer(302, b"", Location=f"{site.elsewhere.address}/{digest_of(data)}")
        else:
            self._answer(200, data)

    def _registry(self, path: str, given: str | None) -> None:
        site, name = self.site, path.partition("/manifests/")[0].partition("/blobs/")[0]
        if site.password and given != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="{site.address}/token",service="registry",scope="repository:{name}:pull"'
            self._answer(401, b"{}", **{"WWW-Authenticate": challenge})
        elif path in site.manifests:
            kind, body = site.manifests[path]
            self._answer(200, body, **{"Content-Type": kind})
        elif (match := re.search(r"/blobs/(sha256:\w+)$", path)) and match[1] in site.blobs:
            self._answer(200, site.blobs[match[1]])
        else:
            self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')

    def _give_token(self, given: str | None) -> None:
        wanted = "Basic " + base64.b64encode(f"puller:{self.site.password}".encode()).decode()
        if given == wanted and "scope=repository" in self.path:
            self._answer(200, json.dumps({"token": TOKEN}).encode())
        else:
            self._answer(401, b"{}")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not a word."""
