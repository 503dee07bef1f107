"""A Git host on loopback: Git's own smart HTTP program behind Python's HTTP server. Fetched from and pushed to by plain Git."""

import http.client
import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit


class GitServer(ThreadingHTTPServer):
    """Serves the bare repositories below a folder."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.root = root

    def create(self, name: str) -> str:
        """The address of a new, empty repository to which anybody may push."""
        folder = self.root / f"{name}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder], check=True)
        subprocess.run(["git", "-C", folder, "config", "http.receivepack", "true"], check=True)
        return f"http://127.0.0.1:{self.server_port}/{folder.name}"


@contextmanager
def serving(root: Path) -> Iterator[GitServer]:
    """A server for the time of the block."""
    with GitServer(root) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Request(BaseHTTPRequestHandler):
    """One request as CGI: git-http-backend(1)."""

    protocol_version = "HTTP/1.1"
    server: GitServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Whoever fetches tells of its failures itself."""

    def _answer(self) -> None:
        asked, length = urlsplit(self.path), int(self.headers.get("Content-Length", 0))
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": asked.path,
            "QUERY_STRING": asked.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        command = ["git", "http-backend"]
        done = subprocess.run(
            command, input=self.rfile.read(length), env=environment, stdout=subprocess.PIPE, check=False
        )
        answer = io.BytesIO(done.stdout)
        headers = http.client.parse_headers(answer)
        body = answer.read()
        self.send_response(int(headers.get("Status", "200").split()[0]))
        for name, value in headers.items():
            if name not in ("Status", "Content-Length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
