"""A folder of advisories in the OSV format, answering as OSV's API does: for pip-audit where there is no network.

The Python Packaging Advisory Database (github.com/pypa/advisory-database, one YAML file each) and OSV's own export for PyPI
(one JSON file each) have that format. Which versions a record is about: https://ossf.github.io/osv-schema/#evaluation.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Record = dict[str, Any]


class Advisories:
    """Advisories of Python packages, by package."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._of: dict[str, list[Record]] = {}
        for record in records:
            for name in {canonicalize_name(part["package"]["name"]) for part in _python(record)}:
                self._of.setdefault(name, []).append(record)
        self.newest = max((date.fromisoformat(str(record["modified"])[:10]) for record in records), default=date.min)
        """Day of the last change: nothing that was published later is known here."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Every YAML and JSON file below the folder. ValueError where there is none, or one is no advisory."""
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".json"))
        records = [_record(path) for path in files if not any(part.startswith(".") for part in path.parts)]
        if not records:
            raise ValueError(
                f"{folder}: holds no advisory; it is to be a checkout of github.com/pypa/advisory-database"
            )
        return cls(records)

    def about(self, name: str, version: str) -> list[Record]:
        """Those that hold for this version of the package."""
        return [record for record in self._of.get(canonicalize_name(name), ()) if _affects(record, name, version)]

    @contextmanager
    def served(self) -> Iterator[str]:
        """Address of a query endpoint like OSV's `/v1/query`, on this machine alone."""

        class Query(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                asked = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
                text = json.dumps({"vulns": self.about(asked["package"]["name"], asked["version"])}).encode()
                handler.send_response(200)
                handler.send_header("content-length", str(len(text)))
                handler.end_headers()
                handler.wfile.write(text)

            def log_message(handler, format: str, *args: Any) -> None:
                """Quiet."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Query) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
            server.shutdown()


def _record(path: Path) -> Record:
    # Every scalar stays text: as YAML, version 1.10 would be the number 1.1.
    found = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CBaseLoader)
    if not isinstance(found, dict) or not {"id", "modified"} <= found.keys():
        raise ValueError(f"{path}: no advisory in the OSV format, which has an id and a date of its last change")
    return found


def _python(record: Record) -> list[Record]:
    return [part for part in record.get("affected", ()) if part.get("package", {}).get("ecosystem") == "PyPI"]


def _affects(record: Record, name: str, version: str) -> bool:
    wanted, asked = canonicalize_name(name), Version(version)
    return any(
        any(_is(asked, text) for text in part.get("versions", ()))
        or any(_within(asked, r) for r in part.get("ranges", ()))
        for part in _python(record)
        if canonicalize_name(part["package"]["name"]) == wanted
    )


def _is(version: Version, text: str) -> bool:
    try:
        return version == Version(text)
    except InvalidVersion:
        return False


def _within(version: Version, span: Mapping[str, Any]) -> bool:
    if span["type"] != "ECOSYSTEM":
        return False
    inside = False
    for event in sorted(span["events"], key=_start):
        (kind, text), *_ = event.items()
        at = _version(text)
        if (kind == "introduced" and version >= at) or (kind == "fixed" and version >= at):
            inside = kind == "introduced"
        elif kind == "last_affected" and version > at:
            inside = False
    return inside


def _start(event: Mapping[str, str]) -> Version:
    return _version(next(iter(event.values())))


def _version(text: str) -> Version:
    """OSV's `0` is before every version."""
    return Version("0.dev0" if text == "0" else text)
