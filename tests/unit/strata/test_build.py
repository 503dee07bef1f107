"""A query log becomes strata by share of traffic, the same way every time, and a broken log is refused by line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.artifacts import ArtifactRef, verify
from lore_core.cli import main
from lore_core.strata import StrataSnapshot
from lore_core.strata.build import Boundaries, LogError, assign, build


def log(folder: Path, *lines: object) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_boundaries_follow_the_share_of_traffic(tmp_path: Path) -> None:
    counts = {"phone": 50, "shoe": 30, "lamp": 15, "odd thing": 5}
    path = log(tmp_path, *({"query": query, "count": count} for query, count in counts.items()))
    build(path, Boundaries(head=0.5, torso=0.3), tmp_path / "out")
    snapshot = StrataSnapshot.open(tmp_path / "out")
    assert [snapshot.stratum(query) for query in counts] == ["head", "torso", "tail", "tail"]


def test_spellings_are_counted_together(tmp_path: Path) -> None:
    path = log(tmp_path, {"query": "iPhone15"}, {"query": "iphone 15"}, {"query": "lamp"})
    counts = build(path, Boundaries(head=0.5, torso=0.0), tmp_path / "out")
    assert (counts["head"].queries, counts["head"].requests) == (1, 2)


def test_equal_logs_give_equal_bytes(tmp_path: Path) -> None:
    path = log(tmp_path, *({"query": f"q{n}", "count": 1 + n % 3} for n in range(50)))
    for name in ("one", "two"):
        build(path, Boundaries(0.4, 0.3), tmp_path / name)
    assert (tmp_path / "one/strata.bin").read_bytes() == (tmp_path / "two/strata.bin").read_bytes()


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 100), min_size=1, max_size=30))
def test_more_traffic_never_means_a_lower_stratum(totals: dict[str, int]) -> None:
    assigned = assign(totals, Boundaries(0.5, 0.3))
    order = [("head", "torso", "tail").index(stratum) for _, stratum, _ in assigned]
    assert order == sorted(order)
    assert [requests for _, _, requests in assigned] == sorted(totals.values(), reverse=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ('{"count": 1}', "line 2: query: must be text"),
        ('{"query": null}', "line 2: query: must be text"),
        ('{"query": "a", "count": 0}', "line 2: count: must be"),
        ('{"query": "a", "count": "many"}', "line 2: count: must be"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"query": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(LogError, match=message):
        build(path, Boundaries(0.5, 0.3), tmp_path / "out")


def test_the_command_publishes_an_artifact_that_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, {"query": "phone", "count": 9}, {"query": "lamp"})
    assert main(["strata", "build", "--log", str(path), "--output", f"file://{tmp_path}/published"]) == 0
    digest = capsys.readouterr().out.split()[-1]
    manifest = verify(ArtifactRef(uri=f"file://{tmp_path}/published", digest=digest), tmp_path / "fetched")
    assert manifest.kind == "strata"
    assert StrataSnapshot.open(tmp_path / "fetched").stratum("phone") == "head"


def test_a_missing_log_is_an_error_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nothing.jsonl"
    assert main(["strata", "build", "--log", str(missing), "--output", f"file://{tmp_path}/published"]) == 1
    assert f"{missing}: not there" in capsys.readouterr().err
