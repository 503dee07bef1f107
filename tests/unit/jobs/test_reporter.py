"""A pod's report reaches its ConfigMap, at most every ten seconds, and the end always does or fails loudly."""

import io
import json
import threading
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from lore_core.jobs import Failure, Progress, Result, shard_key
from lore_core.jobs.report import MAX_REPORT_BYTES
from lore_core.jobs.reporter import (
    ConfigMapSink,
    FileSink,
    JobError,
    Reporter,
    TerminalSink,
    reported,
    reporter_from_environment,
)

RESULT = Result(uri="s3://b/x", digest="sha256:" + "a" * 64)


class Recorded:
    """A sink that keeps what it is sent, and fails on demand."""

    def __init__(self, error: Exception | None = None) -> None:
        self.reports: list[dict] = []
        self.error = error

    def send(self, text: str) -> None:
        if self.error:
            raise self.error
        self.reports.append(json.loads(text))


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sink() -> Recorded:
    return Recorded()


def step(number: int) -> Progress:
    return Progress(step=number, total_steps=100, loss="0.5")


def test_progress_is_sent_at_most_every_ten_seconds(sink):
    clock = Clock()
    reporter = Reporter(sink, clock)
    reporter.started()
    for clock.now, number in [(3.0, 1), (9.9, 2), (10.0, 3), (15.0, 4), (20.0, 5)]:
        reporter.progress(step(number))
    assert [report["progress"]["step"] for report in sink.reports] == [0, 3, 5]


def test_the_end_is_sent_at_once(sink):
    reporter = Reporter(sink, Clock())
    reporter.started({"data": "sha256:" + "b" * 64}, total_steps=5)
    reporter.succeeded(RESULT, {"loss": "0.1"})
    last = sink.reports[-1]
    assert last["phase"] == "Succeeded"
    assert last["result"] == {"uri": "s3://b/x", "digest": RESULT.digest, "reused": False}
    assert last["resolved"] == {"data": "sha256:" + "b" * 64}


def test_progress_that_cannot_be_sent_does_not_stop_the_work(capsys):
    reporter = Reporter(Recorded(httpx.ConnectError("gone")), Clock())
    reporter.started()
    reporter.progress(step(1))
    assert "the work goes on" in capsys.readouterr().err


def test_an_end_that_cannot_be_sent_is_an_error():
    with pytest.raises(httpx.ConnectError):
        Reporter(Recorded(httpx.ConnectError("gone"))).succeeded(RESULT, {})


def failing_with(error: Exception, sink: Recorded) -> dict:
    with pytest.raises(type(error)), reported(Reporter(sink)):
        raise error
    return sink.reports[-1]


def test_work_that_cannot_be_done_ends_in_its_reason_file_line_and_field(sink):
    report = failing_with(JobError("BadRecord", "no label", file="a.jsonl", line=3, field="label"), sink)
    expected = {"reason": "BadRecord", "message": "no label", "file": "a.jsonl", "line": 3, "field": "label"}
    assert (report["phase"], report["failure"]) == ("Failed", expected)


def test_an_error_with_a_documented_reason_keeps_it(sink):
    class Torn(Exception):
        reason = "DigestMismatch"

    assert failing_with(Torn("x"), sink)["failure"] == {"reason": "DigestMismatch", "message": "Torn: x"}


@pytest.mark.parametrize(
    "error",
    [RuntimeError("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")],
    ids=["no reason", "a reason of a library"],
)
def test_any_other_error_is_internal(sink, error):
    assert failing_with(error, sink)["failure"]["reason"] == "InternalError"


def test_a_message_without_end_is_cut(sink):
    assert len(failing_with(RuntimeError("x" * 9000), sink)["failure"]["message"]) == 4096


def test_a_summary_too_large_to_send_ends_in_a_failure_that_is_sent(sink):
    with pytest.raises(ValueError, match="the limit is 65536"), reported(reporter := Reporter(sink)):
        reporter.succeeded(RESULT, {"scores": "x" * MAX_REPORT_BYTES})
    assert sink.reports[-1]["phase"] == "Failed"
    assert "result" not in sink.reports[-1]


def test_the_works_own_error_comes_through_where_it_cannot_be_reported(capsys):
    with pytest.raises(JobError, match="no label"), reported(Reporter(Recorded(OSError("full")))):
        raise JobError("BadRecord", "no label")
    assert "failure not reported: full" in capsys.readouterr().err


class _ApiServer(BaseHTTPRequestHandler):
    statuses: list[int]
    requests: list[tuple[str, Message, dict]]

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).requests.append((self.path, self.headers, body))
        self.send_response(self.statuses.pop(0))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def apiserver() -> Iterator[tuple[str, type[_ApiServer]]]:
    handler = type("Handler", (_ApiServer,), {"statuses": [], "requests": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    return tmp_path


def test_a_report_is_one_key_of_the_named_config_map(apiserver, account):
    address, handler = apiserver
    handler.statuses = [200]
    Reporter(ConfigMapSink("team", "job-report", account, address)).succeeded(RESULT, {})
    ((path, headers, body),) = handler.requests
    assert path == "/api/v1/namespaces/team/configmaps/job-report"
    assert headers["content-type"] == "application/merge-patch+json"
    assert json.loads(body["data"]["report.json"])["phase"] == "Succeeded"


def test_each_shard_has_a_key_of_its_own(apiserver, account, monkeypatch):
    address, handler = apiserver
    handler.statuses = [200, 200]
    for number, key in ((0, "report.json"), (7, "shard-7.json")):
        Reporter(ConfigMapSink("team", "job-report", account, address, shard_key(number))).started()
        assert list(handler.requests[-1][2]["data"]) == [key]


def test_many_shards_send_one_report_a_second_together_and_their_failures_fit():
    sent: list[str] = []
    now = [0.0]
    reporter = Reporter(SimpleNamespace(send=sent.append), lambda: now[0])
    reporter.shared_by(256)
    reporter.started()
    for now[0] in (11.0, 255.0, 256.0):
        reporter.progress(Progress(step=int(now[0]), total_steps=1000))
    assert [json.loads(text)["progress"]["step"] for text in sent] == [0, 256]
    reporter.failed(Failure(reason="WrongModel", message="x" * 4096))
    assert 256 * len(sent[-1]) < 2**20


def test_a_rotated_token_is_used(apiserver, account):
    address, handler = apiserver
    handler.statuses = [200, 200]
    sink = ConfigMapSink("team", "job-report", account, address)
    sink.send("{}")
    (account / "token").write_text("second\n")
    sink.send("{}")
    assert [headers["authorization"] for _, headers, _ in handler.requests] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("status", [404, 409, 429, 500, 503])
def test_a_busy_apiserver_or_a_report_that_is_only_being_made_is_asked_again(apiserver, account, status, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("lore_core.jobs.reporter.time.sleep", waits.append)
    address, handler = apiserver
    handler.statuses = [status, status, 200]
    ConfigMapSink("team", "job-report", account, address).send("{}")
    assert (len(handler.requests), waits) == (3, [1.0, 2.0])


def test_a_refusal_is_not_repeated(apiserver, account):
    address, handler = apiserver
    handler.statuses = [403]
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        ConfigMapSink("team", "job-report", account, address).send("{}")
    assert len(handler.requests) == 1


def test_an_apiserver_that_stays_away_is_an_error_in_the_end(apiserver, account, monkeypatch):
    monkeypatch.setattr("lore_core.jobs.reporter.time.sleep", lambda _: None)
    address, handler = apiserver
    handler.statuses = [503] * 5
    with pytest.raises(httpx.HTTPError, match="503"):
        ConfigMapSink("team", "job-report", account, address).send("{}")


def test_a_file_is_replaced_as_a_whole(tmp_path):
    sink = FileSink(tmp_path / "report.json")
    sink.send("first")
    sink.send("2")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("report.json", "2")]


def test_only_rank_zero_reports(monkeypatch, tmp_path):
    monkeypatch.setenv("LORE_REPORT", "team/job-report")
    monkeypatch.setenv("RANK", "1")
    reporter_from_environment().failed(Failure(reason="X", message=""))  # would need an apiserver


def test_outside_a_cluster_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("LORE_REPORT", raising=False)
    reporter_from_environment().succeeded(RESULT, {})


def test_a_named_file_wins_over_the_config_map(monkeypatch, tmp_path):
    monkeypatch.setenv("LORE_REPORT", "team/job-report")
    reporter_from_environment(tmp_path / "report.json").succeeded(RESULT, {})
    assert json.loads((tmp_path / "report.json").read_text())["phase"] == "Succeeded"


def test_a_person_at_a_terminal_sees_one_line_that_moves():
    screen = io.StringIO()
    reporter = Reporter(TerminalSink(screen))

    reporter.started(total_steps=100)
    reporter.succeeded(RESULT, {})

    assert screen.getvalue() == "\r\x1b[KRunning: 0/100 steps\r\x1b[KSucceeded: 0/100 steps\n"
