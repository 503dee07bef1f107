"""Two items share a content hash only if a prompt would show the same of both."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.headcache import Features, content_hash, read_features
from lore_core.headcache.items import text_hash
from lore_core.records import RecordError

ITEMS = st.builds(
    Features,
    title=st.text(max_size=5),
    shop_name=st.text(max_size=5),
    cpv_sku=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    vqa_result=st.text(max_size=5),
)


@given(ITEMS, ITEMS)
def test_the_hash_tells_items_apart(one: Features, two: Features) -> None:
    same = one == two and list(one.cpv_sku) == list(two.cpv_sku)
    assert (content_hash(one) == content_hash(two)) == same


@pytest.mark.parametrize(
    "changed",
    [
        Features("shirt", "acme", {"colour": "red"}, "a shirt"),
        Features("shirts", "acm", {"colour": "red"}, ""),
        Features("shirt", "acme", {"colour": "blue"}, ""),
        Features("shirt", "acme", {"colourred": ""}, ""),
        Features("shirt", "acme", {}, ""),
    ],
)
def test_any_change_of_what_a_prompt_shows_changes_the_hash(changed: Features) -> None:
    assert content_hash(changed) != content_hash(Features("shirt", "acme", {"colour": "red"}, ""))


@given(st.text(max_size=20))
def test_an_item_that_is_only_a_title_hashes_like_the_text(text: str) -> None:
    assert content_hash(Features(text)) == text_hash(text)


def test_items_are_read_with_their_features(tmp_path: Path) -> None:
    line = {
        "item_id": "i1",
        "title": "shirt",
        "shop_name": "acme",
        "cpv_sku": {"colour": "red"},
        "vqa_result": "a shirt",
    }
    (tmp_path / "items.jsonl").write_text(json.dumps(line) + "\n")
    assert list(read_features(tmp_path)) == [("i1", Features("shirt", "acme", {"colour": "red"}, "a shirt"))]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": "i1", "title": "a"}\n{"item_id": "i2"}\n')
    with pytest.raises(RecordError, match=r"items\.jsonl.*2.*title"):
        list(read_features(tmp_path))
