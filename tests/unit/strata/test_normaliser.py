"""Spellings that mean the same query get one key, and the key of a key is itself."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.strata import query_hash, query_key

VECTORS = json.loads((Path(__file__).parent / "normaliser-v1.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["raw"]))
def test_every_conformance_vector_holds(vector: dict[str, str]) -> None:
    assert query_key(vector["raw"]) == unicodedata.normalize("NFC", vector["key"])


@given(st.text(max_size=60))
def test_normalising_a_key_changes_nothing(text: str) -> None:
    assert query_key(query_key(text)) == query_key(text)


@given(st.from_regex(r"([a-z]+|[0-9]+)( ([a-z]+|[0-9]+))*", fullmatch=True))
def test_plain_words_and_numbers_are_their_own_key_however_they_are_written(text: str) -> None:
    assert query_key(text) == query_key(f" {text.upper()}  ") == text


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x2FFF), max_size=40))
def test_case_and_width_never_matter(text: str) -> None:
    assert query_key(unicodedata.normalize("NFKC", text).casefold()) == query_key(text)


@given(st.text(max_size=60))
def test_a_key_can_always_be_hashed_and_has_no_spaces_at_its_ends(text: str) -> None:
    key = query_key(text)
    assert key == key.strip()
    assert 0 <= query_hash(key) < 1 << 64


def test_hashes_depend_on_the_secret() -> None:
    assert query_hash("iphone 15", b"a" * 16) != query_hash("iphone 15", b"b" * 16)


def test_a_lone_surrogate_is_dropped() -> None:
    assert query_key("red\ud800 shoe") == "red shoe"
