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
    assert found.allows("Bearer one")
    assert found.allows("bearer two")
    assert not any(
        found.allows(header) for header in (None, "", "Bearer", "Bearer ", "Bearer on", "Basic one", "one", "Bearer ü")
    )


def test_tokens_are_rotated_with_the_file_and_never_lost_with_it(tmp_path: Path) -> None:
    path = tokens(tmp_path / "tokens", "old", 1)
    found = BearerTokens(path)
    tokens(path, "new", 2)
    assert (found.allows("Bearer new"), found.allows("Bearer old")) == (True, False)
    tokens(path, "\n", 3)
    assert found.allows("Bearer new")
    path.unlink()
    assert found.allows("Bearer new")


def test_a_file_without_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no token in it"):
        BearerTokens(tokens(tmp_path / "tokens", " \n", 1))
