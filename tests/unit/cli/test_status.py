"""What `lore status` and `lore why` tell, from objects as kubectl prints them."""

import subprocess
import sys

import pytest
from unit.cli.objects import deployment, evaluation, model, passed, stands, train_job

from lore_core.cli import EXIT_USAGE
from lore_operator.api.reasons import REASONS
from lore_operator.cli.chain import Chain
from lore_operator.cli.explanation import explain
from lore_operator.cli.kubectl import CannotTell, parse_object
from lore_operator.cli.output import printable, shortened, table
from lore_operator.cli.standing import State as Seen
from lore_operator.cli.standing import progress, standing
from lore_operator.plan.conditions import State

MESSAGE = "tier tail: model lore-q has no passed evaluation"
REFUSED = stands(evaluation("judge", "lore-q"), State.REFUSED, "GateFailed", "0/1 gates passed; floor: 0.4 < 0.5")
BLOCKED = stands(deployment(torso="student", tail="lore-q"), State.GATE_BLOCKED, "GateBlocked", MESSAGE)
JOB = stands(train_job(sft="lore-q", small="student"), State.WORKING, "StageRunning", "stage small, attempt 1")
MODEL = stands(model("lore-q"), State.REGISTERED, "Registered")
EVERYTHING = [BLOCKED, REFUSED, MODEL, JOB]


def lines(objects):
    return [
        (depth, node.kind, node.name, node.standing.state)
        for root in Chain(objects).tree()
        for depth, node in root.walk()
    ]


def test_the_chain_goes_from_the_train_job_to_what_is_served():
    assert lines(EVERYTHING) == [
        (0, "RelevanceTrainJob", "train", Seen.WORKING),
        (1, "RelevanceModel", "lore-q", Seen.READY),
        (2, "RelevanceEval", "judge", Seen.STALLED),
        (2, "RelevanceDeployment", "search", Seen.STALLED),
        (1, "RelevanceModel", "student", Seen.MISSING),
        (2, "RelevanceDeployment", "search", Seen.STALLED),
    ]


def test_what_blocks_an_object_stands_beside_it():
    (job,) = Chain(EVERYTHING).tree()
    found = {node.name: node.blocked for _, node in job.walk()}

    assert found["search"] == MESSAGE
    assert found["student"] == "not published yet"
    assert found["lore-q"] == ""


def test_models_of_other_namespaces_train_jobs_have_their_own_roots():
    imported = stands(model("bought"), State.REGISTERED, "Registered")

    assert [name for depth, _, name, _ in lines([imported, evaluation("judge", "absent")]) if depth == 0] == [
        "absent",
        "bought",
    ]


def test_an_object_that_the_operator_has_not_seen_is_not_called_well():
    edited = MODEL | {"metadata": {"name": "lore-q", "generation": 2}}

    assert standing(model("fresh")).state is Seen.NEW
    assert standing(edited).state is Seen.NEW


def test_the_progress_of_what_runs_is_told_and_of_what_ended_is_not():
    stages = [{"name": "small", "phase": "Running", "progress": {"step": 320, "totalSteps": 1000}}]
    told = JOB | {"status": JOB["status"] | {"stage": "small", "stages": stages}}
    waiting = {"step": 9, "totalSteps": 20, "unit": "pairs", "secondsRemaining": 200}

    assert progress(told) == "320/1000 steps"
    assert progress({"status": {"progress": waiting}}) == "9/20 pairs, about 3 min left"
    assert progress({"status": {"progress": {"step": 20, "totalSteps": 20}}}) == ""


def test_json_has_the_same_tree():
    (plain,) = (node.plain() for node in Chain(EVERYTHING).tree())

    assert plain["children"][0]["children"][1] == {
        "kind": "RelevanceDeployment",
        "name": "search",
        "state": "Stalled",
        "role": "tier tail",
        "reason": "GateBlocked",
        "blockedBy": MESSAGE,
    }


def test_why_gives_the_documented_meaning_the_operators_words_and_what_to_do():
    found = explain(BLOCKED, EVERYTHING)
    (point,) = found.points

    assert (point.reason, point.said) == ("GateBlocked", MESSAGE)
    assert point.meaning == REASONS["GateBlocked"].meaning
    assert point.remedy == REASONS["GateBlocked"].remedy
    assert [(kind, name, other.state) for kind, name, other in found.looks_at] == [
        ("RelevanceModel", "student", Seen.MISSING),
        ("RelevanceModel", "lore-q", Seen.READY),
        ("RelevanceEval", "judge", Seen.STALLED),
    ]


def test_why_tells_alerts_beside_the_state():
    item = stands(deployment(tail="lore-q"), State.SERVING, "Serving", alerts={"VerdictExpired": "judge is gone"})

    assert [point.reason for point in explain(item, [item]).points] == ["Serving", "VerdictExpired"]


def test_a_message_that_ends_in_the_remedy_does_not_get_it_twice():
    said = f"{MESSAGE}. {REASONS['GateBlocked'].remedy}"
    item = stands(deployment(tail="lore-q"), State.GATE_BLOCKED, "GateBlocked", said)

    assert [point.remedy for point in explain(item, [item]).points] == [""]


@pytest.mark.parametrize(
    "text", ["rdep/search", "RelevanceDeployment/search", "relevancedeployments.lore-platform.io/search"]
)
def test_kinds_are_known_in_their_spellings(text):
    assert parse_object(text) == ("RelevanceDeployment", "search")


@pytest.mark.parametrize("text", ["search", "pod/search", "rdep/"])
def test_another_kind_is_refused_and_the_known_ones_named(text):
    with pytest.raises(CannotTell, match="RelevanceEval") as refused:
        parse_object(text)
    assert refused.value.status == EXIT_USAGE


def test_what_others_wrote_cannot_drive_the_terminal():
    assert printable("a\x1b[2Jb\x07") == "a [2Jb "
    assert shortened("x" * 300, 10) == "x" * 9 + "…"
    assert table(("A", "B"), [("1", "two\nlines")]).splitlines() == ["A  B", "1  two lines"]


def test_a_passed_evaluation_blocks_nothing():
    (root,) = Chain([passed(evaluation("judge", "lore-q")), MODEL]).tree()

    assert [node.blocked for _, node in root.walk()] == ["", ""]


def test_the_status_of_a_namespace_loads_no_schema():
    code = "import sys, lore_operator.cli.status; print('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
