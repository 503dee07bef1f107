"""Trace context is passed on only where it is one, and tokens are compared with those of the file as it is now."""

import os
from pathlib import Path

import pytest

from lore_core.router.auth import BearerTokens
from lore_core.router.trace import trace_lines

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_parent_and_state_are_passed_on() -> None:
    lines = trace_lines({"traceparent": PARENT, "tracestate": "a=b,c=d"})
    assert lines == f"traceparent: {PARENT}\r\ntracestate: a=b,c=d\r\n"


@pytest.mark.parametrize(
    "parent",
    ["", "x", PARENT.upper(), f"ff{PARENT[2:]}", PARENT.replace("b7ad6b7169203331", "0" * 16), PARENT + "\r\nx: y"],
)
def test_what_is_no_parent_is_dropped_with_its_state(parent: str) -> None:
    assert trace_lines({"traceparent": parent, "tracestate": "a=b"}) == ""


@pytest.mark.parametrize("state", ["a=\r\nevil: 1", "x" * 600, "ü"])
def test_a_state_that_is_none_is_dropped(state: str) -> None:
    assert trace_lines({"traceparent": PARENT, "tracestate": state}) == f"traceparent: {PARENT}\r\n"


def tokens(path: Path, text: str, second: int) -> Path:
    path.write_text(text)
    os.utime(path, (second, second))
    return path


def test_a_token_of_the_file_is_needed(tmp_path: Path) -> None:
    found = BearerTokens(tokens(tmp_path / "tokens", "one\n\ntwo \n", 1))
    assert found.client("Bearer one")
    assert found.client("bearer two")
    assert not any(
        found.client(header) for header in (None, "", "Bearer", "Bearer ", "Bearer on", "Basic one", "one", "Bearer ü")
    )


def test_tokens_are_rotated_with_the_file_and_never_lost_with_it(tmp_path: Path) -> None:
    path = tokens(tmp_path / "tokens", "old", 1)
    found = BearerTokens(path)
    tokens(path, "new", 2)
    assert found.client("Bearer new")
    assert not found.client("Bearer old")
    tokens(path, "\n", 3)
    assert found.client("Bearer new")
    path.unlink()
    assert found.client("Bearer new")


def test_a_file_without_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no token in it"):
        BearerTokens(tokens(tmp_path / "tokens", " \n", 1))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_beyond_its_rate_waits_for_what_is_missing(tmp_path: Path) -> None:
    clock = Clock()
    found = BearerTokens(tokens(tmp_path / "tokens", "one web 2\ntwo web\nthree batch 0.5\nfour", 1), clock)
    web, same, batch, free = (found.client(f"Bearer {token}") for token in ("one", "two", "three", "four"))
    assert web is not None
    assert batch is not None
    assert free is not None
    assert same == web
    assert [found.wait(web) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert [found.wait(batch) for _ in range(2)] == [0.0, 2.0]
    clock.now = 0.5
    assert [found.wait(web) for _ in range(2)] == [0.0, 0.5]
    assert not any(found.wait(free) for _ in range(100))


def test_a_rotated_token_keeps_what_its_client_has_used_up(tmp_path: Path) -> None:
    path = tokens(tmp_path / "tokens", "old web 1", 1)
    found = BearerTokens(path, Clock())
    client = found.client("Bearer old")
    assert client is not None
    assert found.wait(client) == 0.0
    tokens(path, "old web 1\nnew web 1", 2)
    client = found.client("Bearer new")
    assert client is not None
    assert found.wait(client) == 1.0


@pytest.mark.parametrize(
    "line", ["one web fast", "one web 0", "one web -1", "one web inf", "one web nan", "one web 1 2"]
)
def test_a_line_that_is_not_understood_is_refused_by_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match="tokens:2: "):
        BearerTokens(tokens(tmp_path / "tokens", f"first\n{line}\n", 1))
