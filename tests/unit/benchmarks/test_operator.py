"""What `python -m benchmarks.operator --peer` says beside a row."""

from dataclasses import fields, replace

from benchmarks.operator.__main__ import by_process, ratios
from benchmarks.operator.measure import Cost, Row


def test_a_peer_is_shown_with_our_share_of_its_cost() -> None:
    row = replace(Row(*(0 for _ in fields(Row))), objects=1000, seconds=5.0, cpu=3.0, peak_mib=150.0)
    cost = Cost(seconds=20.0, job_sets=10.0, cpu=4.0, peak_mib=60.0, load=7.5, spent={})

    said = ratios(row, "Trainer", cost)

    assert said == (
        "ours by Trainer: seconds to all Jobs 0.25, seconds to all Jobs by theirs to all JobSets 0.50, CPU seconds 0.75, MiB 2.50"
    )


def test_processes_are_named_the_most_expensive_first() -> None:
    assert by_process({"etcd": 3.5, "kube-apiserver": 30.25}) == "kube-apiserver 30.2, etcd 3.5"
