"""W3C trace context: what a caller sends is passed on to predictors unchanged (https://www.w3.org/TR/trace-context/)."""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE: Final = re.compile(r"[\x20-\x7e]{1,512}")

OUTGOING: ContextVar[str] = ContextVar("outgoing", default="")
"""Header lines for requests to predictors, of the question that the current task answers."""


def trace_lines(headers: Mapping[str, str]) -> str:
    """Header lines to send on; none where the parent is not valid, since a state without a parent means nothing."""
    parent = headers.get(TRACEPARENT)
    if parent is None or not _PARENT.fullmatch(parent):
        return ""
    state = headers.get(TRACESTATE, "")
    kept = f"{TRACESTATE}: {state}\r\n" if _STATE.fullmatch(state) else ""
    return f"{TRACEPARENT}: {parent}\r\n{kept}"
