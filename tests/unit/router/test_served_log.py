"""What the router tells of answered requests, so that their GoodRate can be measured."""

import io
import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from lore_core.goodrate.rows import read_served
from lore_core.router.answering import Answer
from lore_core.router.requests import Asked, AskedItem
from lore_core.router.served_log import _QUEUE, ServedLog

ANSWER = Answer(
    "search-7",
    "torso",
    "torso",
    "torso",
    ["L2"] * 3,
    [[0.25] * 4] * 3,
    [2.5] * 3,
    ["torso"] * 3,
    ["predictor"] * 3,
)
ASKED = Asked('red "shirt"\n{"request": 1}', "eu", [AskedItem(id=name) for name in ("a", "b", "c")])


class Counted:
    """Counts results, and says when so many were told."""

    def __init__(self, wanted: int) -> None:
        self.results = Counter[str]()
        self._wanted, self._done = wanted, threading.Event()

    def __call__(self, result: str) -> None:
        self.results[result] += 1
        if self.results.total() == self._wanted:
            self._done.set()

    def wait(self) -> Counter[str]:
        assert self._done.wait(60)
        return self.results


def test_a_line_is_what_goodrate_reads_and_items_stand_as_they_were_answered(tmp_path: Path) -> None:
    stream, told = io.BytesIO(), Counted(1)
    ServedLog(100, told, stream).offer("r1", ASKED, ANSWER, [2, 0])
    assert told.wait() == {"written": 1}
    (tmp_path / "log.jsonl").write_bytes(stream.getvalue())
    (row,) = read_served(tmp_path / "log.jsonl")
    assert (row.request, row.stratum, row.revision, row.market) == ("r1", "torso", "search-7", "eu")
    assert (row.query, row.items) == (ASKED.query, ("c", "a"))


def test_a_share_of_the_requests_is_taken() -> None:
    stream, told = io.BytesIO(), Counted(-1)
    log = ServedLog(10, told, stream)
    for number in range(1000):
        log.offer(f"r{number}", ASKED, ANSWER, [])
    taken = told.results.total() + log._waiting.qsize()
    assert 40 < taken < 160  # 100 expected, six standard deviations


def test_a_document_without_an_id_leaves_no_line() -> None:
    stream, told = io.BytesIO(), Counted(1)
    ServedLog(100, told, stream).offer("r1", Asked("shirt", "", [AskedItem(title="red shirt")]), ANSWER, [0])
    assert (told.wait(), stream.getvalue()) == ({"unnamed": 1}, b"")


class Stuck(io.BytesIO):
    """A pipe that nobody reads, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.let_go = threading.Event(), threading.Event()

    def write(self, data: object) -> int:
        self.reached.set()
        assert self.let_go.wait(60)
        return super().write(data)  # type: ignore[arg-type]


def test_a_pipe_that_nobody_reads_costs_lines_and_no_answer() -> None:
    stream, told = Stuck(), Counted(_QUEUE + 6)
    log = ServedLog(100, told, stream)
    log.offer("first", ASKED, ANSWER, [0])
    assert stream.reached.wait(60)
    for number in range(_QUEUE + 5):
        log.offer(f"r{number}", ASKED, ANSWER, [0])
    assert told.results == {"dropped": 5}
    stream.let_go.set()
    assert told.wait() == {"dropped": 5, "written": _QUEUE + 1}
    assert json.loads(stream.getvalue().splitlines()[0])["request"] == "first"


@pytest.mark.parametrize("percent", ["101", "-1", "some"])
def test_no_other_share_is_taken(percent: str, capsys: pytest.CaptureFixture[str]) -> None:
    from lore_core.cli import main

    with pytest.raises(SystemExit):
        main(["router", "serve", "--served-log-percent", percent])
    assert "--served-log-percent" in capsys.readouterr().err
