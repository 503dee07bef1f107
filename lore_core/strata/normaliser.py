"""One key for all spellings of a query: the versioned normaliser, version 1.

Steps, in order (docs/formats/strata.md; `tests/unit/strata/normaliser-v1.json` holds the conformance vectors):
NFKC and case folding; control, format, private-use and unassigned characters dropped; apostrophes dropped, thousands commas
dropped, other punctuation and symbols become spaces; letters, digits and CJK runs separated by one space, spaces between two
CJK runs removed. `+` and `#` stay where they end a word, `.` inside a number. No synonyms, no stemming. A query that
would become empty keeps its folded text.
"""

import hashlib
import itertools
import re
import unicodedata
from typing import Final

NORMALISER_VERSION: Final = 1

_CJK: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_TOKEN: Final = re.compile(rf"\d+(?:\.\d+)*(?:\+(?!\w))?|[{_CJK}]+|[^\s\d.+#{_CJK}]+[+#]*")
_NORMAL: Final = re.compile(r"(?:[a-z]+|[0-9]+)(?: (?:[a-z]+|[0-9]+))*")
"""Most queries are their own key; this finds many of them at a fraction of the cost."""
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_KEPT_PUNCTUATION: Final = frozenset(".+#")
_DROPPED: Final = frozenset("'\u2018\u2019\u02bc`")
_REMEMBERED: Final = 32_768
_DROPPED_CATEGORIES: Final = frozenset({"Cf", "Cs", "Co", "Cn"})


class _Characters(dict[int, str]):
    """What each character becomes; remembered for as many as real queries use, not for all that hostile ones could."""

    def __missing__(self, code: int) -> str:
        found = _character(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = found
        return found


def _character(char: str) -> str:
    category = unicodedata.category(char)
    if char in _DROPPED or category in _DROPPED_CATEGORIES:
        return ""
    if char in _KEPT_PUNCTUATION or category[0] in "LMN":
        return char
    return " "


_CHARACTERS: Final = _Characters()


def query_key(query: str) -> str:
    """The normalised query; idempotent. Never empty unless the query holds nothing but spaces and dropped characters."""
    if _NORMAL.fullmatch(query):
        return query
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", query).casefold())
    text = _THOUSANDS.sub("", folded).translate(_CHARACTERS)
    tokens = _TOKEN.findall(text)
    if not tokens:
        return " ".join("".join(c for c in folded if unicodedata.category(c) not in _DROPPED_CATEGORIES).split())
    return "".join(_joined(tokens))


def _joined(tokens: list[str]) -> list[str]:
    parts = [tokens[0]]
    for before, token in itertools.pairwise(tokens):
        if not (_is_cjk(before) and _is_cjk(token)):
            parts.append(" ")
        parts.append(token)
    return parts


def _is_cjk(token: str) -> bool:
    code = ord(token[0])
    return code >= 0x3005 and (
        code <= 0x3007 or 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x323AF
    )  # fmt: skip


def query_hash(key: str, secret: bytes = b"") -> int:
    """BLAKE2b-64 of a query key, little-endian; `secret` (at most 64 bytes) keys it."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=secret).digest(), "little")
