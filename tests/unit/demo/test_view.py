from hack.demo import view


def resource(kind: str, name: str, **status: object) -> dict[str, object]:
    return {"kind": kind, "metadata": {"name": name}, "status": status}


def told(kind: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_progress_shows_stage_loss_and_time_left():
    stage = {
        "name": "sft",
        "phase": "Running",
        "progress": {"step": 40, "totalSteps": 200, "unit": "steps", "loss": "1.25", "secondsRemaining": 90},
    }
    job = resource("RelevanceTrainJob", "lore-q", phase="Running", stages=[stage])

    assert view.progress([job]) == [
        "RelevanceTrainJob lore-q: Running",
        "  lore-q sft: Running 40/200 steps, loss 1.25, 90 s left",
    ]


def test_a_blocked_deployment_says_why_in_its_headline():
    stalled = told("Stalled", "True", "GateBlocked", "tail: no verdict\nfor bfloat16")
    deployment = resource("RelevanceDeployment", "retyped", phase="Blocked", conditions=[stalled])

    assert view.headline(deployment) == "Blocked (GateBlocked) tail: no verdict for bfloat16"


def test_a_resource_that_nobody_has_seen_says_so():
    assert view.headline({"kind": "RelevanceEval", "metadata": {"name": "e"}}) == "not seen yet"


def test_stages_show_the_final_loss_and_the_published_model():
    stage = {
        "name": "sft",
        "phase": "Succeeded",
        "attempt": 1,
        "published": "lore-q",
        "metrics": [{"name": "finalLoss", "value": "0.31"}],
    }

    lines = view.stages([resource("RelevanceTrainJob", "lore-q", stages=[stage])])

    assert lines[-1].split() == ["lore-q", "sft", "Succeeded", "1", "0.31", "lore-q"]


def test_verdicts_show_what_each_gate_found():
    gate = {"name": "rules", "outcome": "Failed", "message": "rules: 0.41 [0.36, 0.47], champion lore-q"}
    evaluation = resource("RelevanceEval", "without", verdict="Failed", gatesPassed="1/2", gates=[gate])

    assert view.verdicts([evaluation]) == [
        "without: Failed, gates 1/2",
        "  Failed       rules: rules: 0.41 [0.36, 0.47], champion lore-q",
    ]


def test_minutes_are_added_up():
    assert view.minutes([("training", 90.0), ("serving", 30.0)])[-1].split() == ["all", "2.0"]


def test_a_long_message_is_one_line_of_bounded_length():
    assert view.shorten("a\nb " * 100, 20) == "a b a b a b a b a b…"
