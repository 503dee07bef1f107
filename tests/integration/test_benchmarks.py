"""The short forms of benchmarks: they run, hold their bounds, and leave nothing on the disk."""

import re
from pathlib import Path

import pytest

from lore_core.capacity.service_times import read_service_times

from .short_forms import short


def test_a_strata_build_of_a_million_rows_is_measured_beside_plain_sql_within_two_gib(tmp_path: Path) -> None:
    said = short("benchmarks.strata", tmp_path)

    assert "1,000,000 rows" in said
    assert [line.split("  ")[1] for line in said.splitlines() if "MiB, work" in line] == [
        "lore strata build",
        "plain SQL",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.serving
@pytest.mark.usefixtures("serving_environment")
def test_a_replayed_day_costs_what_real_predictors_take_beside_the_tail_alone(tmp_path: Path) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    said = short("benchmarks.replay", scratch, "--json", str(tmp_path / "times.json"))

    assert "head pairs hit" in said
    assert "no reasoning; untrained weights" in said
    assert re.search(r"1[0-4]\.\d tokens of reasoning \(at most 14\)", said)
    factors = {policy: float(times) for policy, times in re.findall(r"^(Per\w+) .*: factor (\S+)", said, re.MULTILINE)}
    assert factors.keys() == {"PerQuery", "PerItem"}
    assert factors["PerItem"] > factors["PerQuery"] > 0
    times = read_service_times(tmp_path / "times.json")
    assert "torso with untrained weights, tail with untrained weights" in times.source
    assert min(times.torso_pair_seconds, times.tail_pair_seconds, times.head_request_seconds) > 0
    assert list(scratch.glob("lore-*")) == []  # vLLM's own sockets stay
