"""Whatever bytes a file has: every line reads, or the error names file, line and reason; nothing else is ever raised."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lore_core.jobs import Failure
from lore_core.records import Pair, RecordError, read_items, read_pairs, write_pairs
from lore_core.records.leakage import canonical_query
from lore_core.records.mapping import Columns, PairSource

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
records = st.dictionaries(st.sampled_from([*Pair.model_fields, "other"]), values, max_size=8)
good = st.fixed_dictionaries(
    {
        "id": st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8),
        "query": st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
            lambda text: bool(text.strip())
        ),
        "title": st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
        "item_id": st.integers(0, 10**12),
        "groundtruth": st.sampled_from(["L1", "L2", "L3", "L4"]),
        "subset": st.just("general"),
        "cpv_sku": st.dictionaries(
            st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8),
            st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
            max_size=4,
        ),
    }
)


def refusal(read: Callable[[], object]) -> Failure | None:
    """Why the file was refused, None where it was read."""
    try:
        read()
    except RecordError as error:
        return error.failure
    return None


def reads_or_names_the_place(data: bytes, name: str = "pairs.jsonl") -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        for read in (lambda: list(read_pairs(path)), lambda: list(read_items(path))):
            failure = refusal(read)
            if failure is not None:
                assert failure.reason == "BadRecord"
                assert failure.file == str(path)
                assert failure.line is not None
                assert 1 <= failure.line <= data.count(b"\n") + 1


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    reads_or_names_the_place(data)


@given(st.lists(records, max_size=4))
def test_any_json_objects(rows: list[dict[str, Any]]) -> None:
    reads_or_names_the_place("".join(json.dumps(row) + "\n" for row in rows).encode())


@given(good, st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_good_record_with_bytes_overwritten(record: dict[str, Any], place: int, junk: bytes) -> None:
    data = json.dumps(record, ensure_ascii=False).encode()
    cut = min(place, len(data))
    reads_or_names_the_place(data[:cut] + junk + data[cut + len(junk) :])


@given(good)
def test_good_records_survive_writing_and_reading(record: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        path.write_text(json.dumps(record) + "\n", encoding="utf-8")
        (pair,) = read_pairs(path)
        assert pair.query == record["query"]
        again = Path(folder) / "again.jsonl"
        write_pairs(again, [pair])
        assert list(read_pairs(again)) == [pair]


@settings(deadline=None)
@given(st.sampled_from(["p.csv", "p.jsonl", "p.csv.gz", "p.parquet"]), st.binary(max_size=200))
def test_any_bytes_in_an_imported_table(name: str, data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        failure = refusal(lambda: list(PairSource(Columns()).read(path)))
        assert failure is None or (failure.file == str(path) and failure.line is not None)


@given(st.text(max_size=60))
def test_the_canonical_form_of_a_query_is_stable(text: str) -> None:
    assert canonical_query(canonical_query(text)) == canonical_query(text)
