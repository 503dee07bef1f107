"""A teacher that is slow, overloaded, broken or hostile: every case ends counted, nothing is paid twice, nothing is lost."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from unit.synthesis.world import VirtualClock, config, rule_teacher, run, served, world_pairs

from lore_core.benchmark.rule_teacher import FaultRates, RuleTeacher
from lore_core.benchmark.teacher_server import WireFaults
from lore_core.jobs.errors import JobError
from lore_core.records import Pair
from lore_core.synthesis.progressive import Mode

PAIRS = world_pairs(1)


def reasons(report: dict[str, object], capability: str) -> dict[str, int]:
    found = report["capabilities"]
    assert isinstance(found, dict)
    return dict(found[capability]["reasons"])


def test_overload_and_broken_replies_are_tried_again_until_they_pass(tmp_path: Path) -> None:
    clock = VirtualClock()
    with served(rule_teacher(), WireFaults(too_many=0.2, broken=0.1)) as server:
        found = run(config(tmp_path, server.url, maxTries=10), PAIRS, clock)
        assert set(server.answered.values()) == {1}
    assert len(found.accepted) == len(PAIRS)
    assert clock.slept


def test_too_many_requests_for_ever_stops_the_stage_and_says_so(tmp_path: Path) -> None:
    clock = VirtualClock()
    with (
        served(rule_teacher(), WireFaults(too_many=1.0)) as server,
        pytest.raises(JobError, match="pairs in a row got no answer \\(rate limited\\)") as stopped,
    ):
        run(config(tmp_path, server.url, maxTries=3, concurrency=2), PAIRS, clock)
    assert stopped.value.failure.reason == "TeacherUnavailable"
    assert clock.time > 0


def test_a_request_that_hangs_ends_by_its_time_out_and_skips_its_pair(tmp_path: Path) -> None:
    with served(rule_teacher(), WireFaults(hang=0.05, hang_seconds=30)) as server:
        found = run(config(tmp_path, server.url, timeoutSeconds=1, maxTries=1, concurrency=16), PAIRS)
    assert found.accepted
    late = [outcome for outcome in found.outcomes if outcome.reason == "timeout"]
    assert late
    assert len(found.accepted) + len(late) == len(PAIRS)


def test_a_resumed_stage_pays_for_nothing_again(tmp_path: Path) -> None:
    with served(rule_teacher(FaultRates())) as server:
        first = run(config(tmp_path, server.url), PAIRS[: len(PAIRS) // 2])
        again = run(config(tmp_path, server.url), PAIRS)
        assert set(server.answered.values()) == {1}
    done = {outcome.pair.id for outcome in first.outcomes}
    assert done < {outcome.pair.id for outcome in again.outcomes}
    assert again.report["reusedRequests"]


def test_a_torn_log_entry_is_asked_again(tmp_path: Path) -> None:
    with served(rule_teacher()) as server:
        run(config(tmp_path, server.url), PAIRS[:4])
        entry = next((tmp_path / "workspace" / "teacher-requests").rglob("*.json"))
        entry.write_bytes(entry.read_bytes()[:20])
        found = run(config(tmp_path, server.url), PAIRS[:4])
        assert sorted(set(server.answered.values())) == [1, 2]
    assert len(found.accepted) == 4


def test_a_spent_budget_stops_and_keeps_what_was_made(tmp_path: Path) -> None:
    with served(rule_teacher()) as server:
        whole = run(config(tmp_path / "whole", server.url), PAIRS).report["tokens"]
        assert isinstance(whole, int)
        found = run(config(tmp_path, server.url, tokenBudget=whole // 2, maxAnswerTokens=64, concurrency=2), PAIRS)
        tokens = found.report["tokens"]
        assert isinstance(tokens, int)
        more = run(config(tmp_path, server.url, tokenBudget=whole, maxAnswerTokens=64, concurrency=2), PAIRS)
    assert tokens <= whole // 2
    assert found.report["budgetSpent"] is True
    assert 0 < len(found.accepted) < len(PAIRS)
    assert found.report["untried"] == len(PAIRS) - len(found.outcomes)
    assert len(more.accepted) > len(found.accepted)


def test_a_wrong_token_ends_the_stage_at_once_and_the_right_one_comes_from_the_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "token").write_text("right\n")
    with served(rule_teacher(), token="right") as server:
        assert len(run(config(tmp_path, server.url, credentials=str(secret)), PAIRS[:2]).accepted) == 2
        with pytest.raises(JobError, match=r"answers 401 .* Secret's key `token`") as refused:
            run(config(tmp_path / "other", server.url), PAIRS[:2])
    assert refused.value.failure.reason == "TeacherRefused"
    assert b"right" not in b"".join(p.read_bytes() for p in (tmp_path / "workspace").rglob("*.json"))


class Telling(BaseHTTPRequestHandler):
    """Refuses every token and gives it back in its answer, as some gateways do."""

    def do_POST(self) -> None:
        body = f"no such key: {self.headers['authorization']}".encode()
        self.send_response(401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def test_a_token_that_the_teacher_gives_back_is_in_no_report(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "token").write_text("sk-nobody-else-has-it\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Telling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(JobError, match="answers 401") as refused:
            run(config(tmp_path, f"http://127.0.0.1:{server.server_address[1]}", credentials=str(secret)), PAIRS[:1])
        server.shutdown()
    assert "sk-" not in refused.value.failure.message


def test_a_teacher_that_is_not_there_is_named(tmp_path: Path) -> None:
    with served(rule_teacher()) as server:
        url = server.url
    with pytest.raises(JobError, match="pairs in a row got no answer"):
        run(config(tmp_path, url, maxTries=2), PAIRS)


class Scripted(RuleTeacher):
    """Says one thing whatever is asked in the last task."""

    said = ""

    def answer(self, body: dict[str, object]) -> str:  # type: ignore[override]
        right = super().answer(body)
        return self.said.replace("RIGHT", right) if "steps" in right else right


def scripted(said: str) -> Scripted:
    teacher = Scripted(*(getattr(rule_teacher(), name) for name in ("_oracle", "_rules")))
    teacher.said = said
    return teacher


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("The answer is L4.", "not the asked format"),
        ("RIGHT and more", "not the asked format"),
        ('{"steps": [], "label": "L4"}', "no steps"),
        ('{"steps": [], "label": "L9"}', "not the asked format"),
        ("[" * 100_000, "not the asked format"),
    ],
)
def test_garbage_is_counted_and_never_trained_on(tmp_path: Path, said: str, reason: str) -> None:
    with served(scripted(said)) as server:
        found = run(config(tmp_path, server.url), PAIRS[:12])
    assert found.accepted == []
    assert reasons(found.report, "Rules") == {reason: 12}


@pytest.mark.parametrize("said", ["RIGHT", "<think>it is L1</think>RIGHT", "```json\nRIGHT\n```"])
def test_reasoning_and_fences_around_the_object_are_taken(tmp_path: Path, said: str) -> None:
    if said.startswith("```"):
        said = said.replace("```json\n", "Here it is:\n")  # text before the object, a fence after it
    with served(scripted(said)) as server:
        assert len(run(config(tmp_path, server.url), PAIRS[:4]).accepted) == 4


def test_gold_is_told_only_where_all_samples_failed_and_to_a_bounded_share(tmp_path: Path) -> None:
    told: list[str] = []

    class Listening(RuleTeacher):
        def answer(self, body: dict[str, object]) -> str:  # type: ignore[override]
            question = json.loads(body["messages"][-1]["content"])  # type: ignore[index]
            if "givenAnswer" in question:
                told.append(question["givenAnswer"])
            return super().answer(body)

    base = rule_teacher(FaultRates(step=0.3, label=0.1))
    with served(Listening(base._oracle, base._rules, base._rates)) as server:
        blind = run(config(tmp_path / "blind", server.url), PAIRS)
        assert told == []
        found = run(config(tmp_path, server.url, goldConditionedPercent=20), PAIRS)
    assert told
    share = sum(o.mode is Mode.GOLD_CONDITIONED for o in found.accepted) / len(found.accepted)
    assert 0 < share <= 0.2
    assert len(found.accepted) > len(blind.accepted)


def test_an_answer_that_speaks_of_the_given_one_is_rejected(tmp_path: Path) -> None:
    with served(rule_teacher(FaultRates(step=0, label=0, leak=1.0, garbage=0))) as server:
        found = run(config(tmp_path, server.url, goldConditionedPercent=20), PAIRS)
    assert found.accepted == []
    assert set(reasons(found.report, "Rules")) == {"speaks of the answer"}


def test_nothing_that_a_teacher_is_sent_holds_gold_or_the_annotators_rules(tmp_path: Path) -> None:
    sent: list[str] = []

    class Listening(RuleTeacher):
        def answer(self, body: dict[str, object]) -> str:  # type: ignore[override]
            sent.append(body["messages"][-1]["content"])  # type: ignore[index]
            return super().answer(body)

    base = rule_teacher()
    marked = [pair.model_copy(update={"rule_list": "judged L3 by zebra"}) for pair in PAIRS[:12]]
    with served(Listening(base._oracle, base._rules)) as server:
        run(config(tmp_path, server.url), marked)
    assert sent
    assert not any("zebra" in text or "givenAnswer" in text or '"L' in text for text in sent)


def test_a_prompt_that_the_teacher_refuses_skips_its_pair_only(tmp_path: Path) -> None:
    odd = Pair(id="odd", query="zzz", title="t", item_id="i", groundtruth="L4", subset="general")
    with served(rule_teacher()) as server:
        found = run(config(tmp_path, server.url, capabilities=["Rules"]), [*PAIRS[:4], odd])
    assert len(found.accepted) == 4
    assert found.outcomes[-1].reason == "refused by the teacher"


def test_requests_start_no_faster_than_the_limit(tmp_path: Path) -> None:
    clock = VirtualClock()
    with served(rule_teacher()) as server:
        found = run(config(tmp_path, server.url, requestsPerMinute=60, concurrency=32), PAIRS[:24], clock)
    requests = found.report["requests"]
    assert isinstance(requests, int)
    assert clock.time >= requests - 1
