"""What `python -m benchmarks.operator --peer` says beside a row."""

from dataclasses import fields, replace

from benchmarks.operator.__main__ import compared
from benchmarks.operator.measure import Cost, Row


def test_a_peer_is_shown_with_our_share_of_its_cost() -> None:
    row = replace(Row(*(0 for _ in fields(Row))), objects=1000, seconds=5.0, cpu=3.0, peak_mib=150.0)

    said = compared(row, "Trainer", Cost(seconds=20.0, cpu=4.0, peak_mib=60.0, load=7.5))

    assert (
        said.split(": ", 1)[1]
        == "seconds 20 (ours 0.25 of it), CPU s 4 (ours 0.75 of it), peak MiB 60 (ours 2.50 of it), load average 7.5"
    )
