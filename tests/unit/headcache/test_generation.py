"""A generation answers for exactly the pairs and the content that were scored, and for nothing else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.headcache import GenerationError, HeadEntry, HeadGeneration
from lore_core.headcache.generation import BIN_NAME, generation_bytes

HASH = st.integers(0, (1 << 64) - 1)
SCORES = (0.125, 0.25, 0.5, 0.125)


def opened(folder: Path, data: bytes) -> HeadGeneration:
    (folder / BIN_NAME).write_bytes(data)
    return HeadGeneration.open(folder)


def hashes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


@pytest.fixture
def generation(tmp_path: Path) -> HeadGeneration:
    entries = [HeadEntry(7, item, 100 + item, SCORES) for item in (3, 1, 2)]
    return opened(tmp_path, generation_bytes([*entries, HeadEntry(9, 1, 500, (1.0, 0.0, 0.0, 0.0))]))


@given(st.dictionaries(st.tuples(HASH, HASH), st.tuples(HASH, st.integers(0, 100)), max_size=30))
def test_every_entry_is_found_with_its_own_scores(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[tuple[int, int], tuple[int, int]]
) -> None:
    entries = [HeadEntry(q, i, c, (s / 128, 1 - s / 128, 0.0, 0.0)) for (q, i), (c, s) in wanted.items()]
    generation = opened(tmp_path_factory.mktemp("head"), generation_bytes(entries))
    for entry in entries:
        found = generation.lookup(entry.query, hashes(entry.item), hashes(entry.content))
        assert found.hit.tolist() == [True]
        assert tuple(found.probabilities[0].tolist()) == entry.probabilities


def test_items_are_answered_in_the_order_asked(generation: HeadGeneration) -> None:
    found = generation.lookup(7, hashes(2, 99, 1), hashes(102, 0, 101))
    assert found.hit.tolist() == [True, False, True]
    assert found.probabilities[1].tolist() == [0, 0, 0, 0]


def test_changed_content_is_a_stale_miss(generation: HeadGeneration) -> None:
    found = generation.lookup(7, hashes(1), hashes(999))
    assert (found.hit.tolist(), found.stale.tolist()) == ([False], [True])
    assert found.probabilities.tolist() == [[0, 0, 0, 0]]


def test_an_unknown_item_is_a_miss_and_not_stale(generation: HeadGeneration) -> None:
    assert generation.lookup(7, hashes(4), hashes(1)).stale.tolist() == [False]


def test_the_same_item_under_another_query_is_not_answered(generation: HeadGeneration) -> None:
    assert not generation.lookup(9, hashes(1), hashes(101)).hit.any()
    assert not generation.lookup(8, hashes(1), hashes(101)).hit.any()


def test_a_text_without_an_id_is_found_by_its_content(generation: HeadGeneration) -> None:
    assert generation.lookup_texts(7, hashes(103, 104, 101)).hit.tolist() == [True, False, True]


def test_a_thousand_items_at_once(tmp_path: Path) -> None:
    generation = opened(tmp_path, generation_bytes(HeadEntry(1, i, i, SCORES) for i in range(1000)))
    ids = np.arange(1000, dtype=np.uint64)
    assert generation.lookup(1, ids, ids).hit.all()


def test_an_empty_generation_answers_nothing(tmp_path: Path) -> None:
    assert not opened(tmp_path, generation_bytes([])).lookup(1, hashes(1), hashes(1)).hit.any()


def test_equal_entries_give_equal_bytes_in_any_order() -> None:
    entries = [HeadEntry(q, i, 0, SCORES) for q in range(3) for i in range(3)]
    assert generation_bytes(entries) == generation_bytes(reversed(entries))


def test_a_pair_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        generation_bytes([HeadEntry(1, 1, 1, SCORES), HeadEntry(1, 1, 2, SCORES)])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "need"),
        (lambda data: data + b"\0", "need"),
        (lambda data: data[:10], "no generation"),
        (lambda data: b"", "empty"),
        (lambda data: b"X" + data[1:], "not a head generation"),
        (lambda data: data[:12] + b"\x09" + data[13:], "normaliser 9"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path: Path, damage, message: str) -> None:
    with pytest.raises(GenerationError, match=rf"head\.bin.*{message}"):
        opened(tmp_path, damage(generation_bytes([HeadEntry(1, 1, 1, SCORES)])))
