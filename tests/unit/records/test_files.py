import json
from pathlib import Path
from typing import Any

import pytest

from lore_core.jobs.errors import JobError
from lore_core.records import Needs, Pair, RecordError, TraceStep, read_pairs, read_splits, write_pairs
from lore_core.records.jsonl import MAX_LINE_BYTES

GOOD: dict[str, Any] = {
    "id": "1",
    "query": "red kettle",
    "title": "kettle",
    "item_id": 42,
    "groundtruth": "L3",
    "subset": "general",
}


def written(tmp_path: Path, *lines: str | bytes | dict[str, Any]) -> Path:
    path = tmp_path / "pairs.jsonl"
    encoded = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in encoded))
    return path


def refused(path: Path) -> RecordError:
    with pytest.raises(RecordError) as caught:
        list(read_pairs(path))
    return caught.value


def test_a_rair_record_reads_with_attributes_as_a_map_or_as_json_text(tmp_path: Path) -> None:
    rair = GOOD | {"shop_name": "店", "cpv_sku": '{"品牌": "舒拜", "可伸缩": true}', "rule_list": "判定为L4"}
    mapped = GOOD | {"id": "2", "cpv_sku": {"brand": "x", "sizes": [1, 2.5]}}
    one, two = read_pairs(written(tmp_path, rair, mapped))
    assert one.cpv_sku == {"品牌": "舒拜", "可伸缩": "yes"}
    assert two.cpv_sku == {"brand": "x", "sizes": "1, 2.5"}
    assert one.item_id == "42"


def test_what_is_written_reads_back_equal(tmp_path: Path) -> None:
    step = TraceStep(dimension="colour", demand="red", evidence="crimson", rule="r1", verdict="near")
    pair = Pair.model_validate(
        GOOD
        | {
            "cpv_sku": {"a": "é\u2028"},
            "needs": Needs(rule=True),
            "trace": (step,),
            "flip_group": "g",
            "market": "north",
        }
    )
    path = tmp_path / "out.jsonl"
    assert write_pairs(path, [pair]) == 1
    assert list(read_pairs(path)) == [pair]


def test_long_attributes_survive_whole(tmp_path: Path) -> None:
    long = {f"name {n}": "v" * 600 for n in range(100)}
    (pair,) = read_pairs(written(tmp_path, GOOD | {"cpv_sku": long}))
    assert pair.cpv_sku == long


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        ('{"id": "2", "query"', None, "not valid JSON"),
        ("[1]", None, "not an object"),
        ("", None, "empty line"),
        (b'{"id": "\xff"}', None, "not UTF-8"),
        ('{"id": "2", "id": "3"}', None, "occurs twice"),
        ('{"id": NaN}', None, "NaN is not JSON"),
        ("[" * 100_000, None, "nested too deeply"),
        (GOOD | {"id": "2", "groundtruth": "L5"}, "groundtruth", "--label"),
        (GOOD | {"id": "2", "colour": "red"}, "colour", "unknown field"),
        ({k: v for k, v in GOOD.items() if k != "title"}, "title", "missing"),
        (GOOD | {"id": "2", "query": " "}, "query", "match"),
        (GOOD | {"id": "2", "query": 7}, "query", "string"),
        (GOOD | {"id": "2", "query": "x" * 2_000}, "query", "shorten"),
        (GOOD | {"id": "2", "item_id": True}, "item_id", "string"),
        (GOOD | {"id": "2", "query": "\ud800"}, "query", "string"),
        (GOOD | {"id": "2", "needs": {"rule": 1}}, "needs.rule", "bool"),
        (GOOD | {"id": "2", "cpv_sku": '{"a"'}, "cpv_sku", "correct"),
        (GOOD | {"id": "2", "cpv_sku": {"a": {"b": 1}}}, "cpv_sku.a", "string"),
        (GOOD | {"id": "2", "image_base64": "not base64!"}, "image_base64", "match"),
        (GOOD | {"id": "2", "trace": [{"dimension": "colour"}]}, "trace.0.demand", "missing"),
        (GOOD, "id", "second time"),
    ],
)
def test_a_bad_second_line_is_refused_with_file_line_and_field(
    tmp_path: Path, line: str | bytes | dict[str, Any], field: str | None, says: str
) -> None:
    path = written(tmp_path, GOOD, line)
    error = refused(path)
    assert isinstance(error, JobError)
    failure = error.failure
    assert (failure.reason, failure.file, failure.line, failure.field) == ("BadRecord", str(path), 2, field)
    assert says in failure.message
    assert f"{path}:2" in failure.message
    assert ";" in failure.message  # the remedy


def test_pairs_before_a_bad_line_are_streamed(tmp_path: Path) -> None:
    stream = read_pairs(written(tmp_path, GOOD, "{"))
    assert next(stream).id == "1"
    with pytest.raises(RecordError):
        next(stream)


def test_an_endless_line_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    with path.open("wb") as stream:
        stream.truncate(4 * MAX_LINE_BYTES)
    assert "longer than" in refused(path).failure.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "absent.jsonl")
    assert error.failure.file == str(tmp_path / "absent.jsonl")
    assert "check the path" in error.failure.message


def test_an_id_is_unique_over_all_splits(tmp_path: Path) -> None:
    for name, identity in (("train", "1"), ("tune", "2"), ("calibration", "1")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(GOOD | {"id": identity}) + "\n")
    with pytest.raises(RecordError) as caught:
        read_splits(tmp_path)
    assert caught.value.failure.file == str(tmp_path / "calibration.jsonl")


def test_a_file_is_replaced_only_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    good = Pair.model_validate(GOOD)
    write_pairs(path, [good])

    def broken() -> Any:
        yield good.model_copy(update={"id": "2"})
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        write_pairs(path, broken())
    assert [pair.id for pair in read_pairs(path)] == ["1"]
