"""How many of a query's words stand in a title, in words that a prompt can show.

A cross-encoder that is told of exact matches need not learn to find them (Askari et al. 2023, arXiv 2301.09728, tell it
the BM25 score). What the function returns is part of the prompt version: another wording needs a field of its own.
"""

import re
import unicodedata
from typing import Final

_SPACELESS: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_WORD: Final = re.compile(rf"[{_SPACELESS}]|[^\W_{_SPACELESS}]+")
"""A run of letters and digits; languages written without spaces go by character."""


def overlap_text(query: str, title: str) -> str:
    """`all`, `none`, or `1 of 3` of the query's different words; empty for a query without words."""
    asked, there = _words(query), _words(title)
    if not asked:
        return ""
    found = len(asked & there)
    return {0: "none", len(asked): "all"}.get(found, f"{found} of {len(asked)}")


def _words(text: str) -> set[str]:
    return set(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
