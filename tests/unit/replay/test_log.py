"""Request logs: what is read, and how broken lines are told."""

import json
from pathlib import Path

import pytest

from lore_core.cli import main
from lore_core.replay.log import ReplayError, read_log

GOOD = json.dumps({"query": "red shirt", "items": [{"id": "i1"}]}).encode()


def log(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", ":2: body: not JSON in UTF-8"),
        (b'{"query": "\xff", "items": [{"id": "i1"}]}', ":2: body: not JSON in UTF-8"),
        (b'{"query": "\\ud800", "items": [{"id": "i1"}]}', ":2: body: not JSON in UTF-8"),
        (b'{"query": " ", "items": [{"id": "i1"}]}', ":2: query: must not be empty"),
        (b'{"query": "red", "items": []}', ":2: items: must not be empty"),
        (b'{"query": "red", "items": [{"id": "i1"}, {"id": "i1"}]}', ":2: items[1].id: repeats items[0].id"),
        (b'{"query": "red", "clicks": 3, "items": [{"id": "i1"}]}', ":2: clicks: "),
        (b'{"query": "red", "item_ids": []}', ":2: item_ids: a line with item_ids is a candidate"),
    ],
)
def test_a_broken_line_is_named_by_file_line_and_field(tmp_path: Path, line: bytes, words: str) -> None:
    path = log(tmp_path, GOOD, line, GOOD)
    with pytest.raises(ReplayError) as raised:
        read_log(path, 100, 0.0)
    assert f"{path}{words}" in str(raised.value)
    assert "1 of 3 lines are broken" in str(raised.value)
    found = read_log(path, 100, 0.5)
    assert len(found.requests) == 2
    assert words in found.broken[0]


def test_only_the_first_requests_are_read(tmp_path: Path) -> None:
    path = log(tmp_path, GOOD, b"", GOOD, b"{")
    assert len(read_log(path, 2, 0.0).requests) == 2


def test_an_empty_log_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, b"", b"")
    assert main(["route", "replay", str(path), "--before", "http://a", "--after", "http://b"]) == 1
    assert "no request in it" in capsys.readouterr().err
