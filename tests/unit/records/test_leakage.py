import pytest

from lore_core.records import Label, Pair
from lore_core.records.leakage import canonical_query, overlaps
from lore_core.records.split import split_by_query


def pair(query: str, item: str) -> Pair:
    return Pair(id=f"{query}/{item}", query=query, title="t", item_id=item, groundtruth=Label.L1, subset="general")


@pytest.mark.parametrize(
    ("one", "two"), [("iPhone  15", "iphone-15"), ("ＩＰＨＯＮＥ 15", "15 iphone"), ("Straße", "STRASSE")]
)
def test_spellings_of_one_query_are_one_query(one: str, two: str) -> None:
    assert canonical_query(one) == canonical_query(two)


def test_queries_of_punctuation_alone_stay_apart() -> None:
    assert canonical_query("?!") != canonical_query("***")


def test_overlap_counts_queries_near_duplicates_items_and_pairs() -> None:
    train = [pair("red kettle", "1"), pair("bluetooth speaker small", "2"), pair("tent", "3")]
    gate = [pair("Kettle red", "1"), pair("bluetooth speakers small", "9"), pair("umbrella", "3")]
    (found,) = overlaps({"train": train, "gate": gate})
    assert (found.queries, found.near_duplicate_queries, found.items, found.pairs) == (1, 1, 2, 1)
    assert found.examples == ("red kettle",)
    assert not found.clean


def test_disjoint_splits_are_clean_even_where_items_recur() -> None:
    (found,) = overlaps({"train": [pair("tent", "1")], "gate": [pair("lamp", "1")]})
    assert found.clean
    assert found.items == 1


def test_all_pairs_of_a_query_go_to_one_split_however_it_is_spelled() -> None:
    pairs = [pair(f"{spelling} {n}", str(n)) for n in range(40) for spelling in ("Lamp", "lamp", "LAMP!")]
    found = split_by_query(pairs, {"train": 80, "tune": 10, "calibration": 10}, seed=1)
    assert sum(map(len, found.values())) == len(pairs)
    assert {name: len({canonical_query(p.query) for p in rows}) for name, rows in found.items()} == {
        "train": 32,
        "tune": 4,
        "calibration": 4,
    }
    assert all(overlap.clean for overlap in overlaps(found))


def test_a_split_does_not_depend_on_file_order_but_on_the_seed() -> None:
    pairs = [pair(f"query {n}", str(n)) for n in range(50)]
    shares = {"train": 1, "tune": 1}

    def ids(rows: list[Pair], seed: int) -> set[str]:
        return {p.id for p in split_by_query(rows, shares, seed)["train"]}

    assert ids(pairs, 1) == ids(pairs[::-1], 1)
    assert ids(pairs, 1) != ids(pairs, 2)


def test_too_few_queries_for_the_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="2 queries cannot fill 3 splits"):
        split_by_query([pair("a", "1"), pair("b", "1")], {"train": 1, "tune": 1, "calibration": 1}, seed=1)
