"""What the console's pages show, and that nothing in an object becomes markup."""

import re
from typing import Any
from xml.etree import ElementTree

from unit.cli.objects import deployment, digest, evaluation, model, passed, stands, train_job

from lore_operator.cli.chain import Chain
from lore_operator.console import deployment as deployment_page
from lore_operator.console import evaluation as evaluation_page
from lore_operator.console import frame, pipeline
from lore_operator.console.markup import Element
from lore_operator.plan.conditions import State

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x00\x1b[2J"
NS = "shop"


def judged(name: str, value: str, end: str, slice_: str = "subset=Hard", **status: Any) -> dict[str, Any]:
    scores = [
        {
            "metric": "Accuracy2",
            "slice": "all pairs",
            "value": value,
            "low": "0.5",
            "high": "0.9",
            "queries": 40,
            "samples": 400,
        },
        {"metric": "Accuracy2", "slice": slice_, "value": "0.6", "champion": "0.7", "queries": 10, "samples": 100},
    ]
    gates = [{"name": "floor", "outcome": "Passed", "severity": "Required", "message": "0.8 ≥ 0.5"}]
    told = {"scores": scores, "gates": gates, "primary": {"name": "Accuracy2", "value": value}}
    times = {"benchmarkDigest": digest("b"), "completionTime": end}
    return passed(evaluation(name, "lore-q"), **(told | times | status))


def text(body: list[Element]) -> str:
    return " ".join("".join(part.itertext()) for part in body)


def rows(body: list[Element]) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for part in body for row in part.iter("tr")]


def test_the_pipeline_says_what_blocks_each_object_and_leads_to_its_page() -> None:
    words = "tier tail: model lore-q has no passed evaluation for v"
    objects = [
        stands(train_job(sft="lore-q"), State.COMPLETE, "Complete"),
        stands(model("lore-q"), State.REGISTERED, "Registered"),
        passed(evaluation("judge", "lore-q")),
        stands(deployment(tail="lore-q"), State.GATE_BLOCKED, "GateBlocked", words),
    ]

    body = pipeline.page(NS, Chain(objects))

    found = rows(body)[1:]
    assert [row[0] for row in found] == [
        "RelevanceTrainJob/train",
        "RelevanceModel/lore-q (stage sft)",
        "RelevanceEval/judge",
        "RelevanceDeployment/search (tier tail)",
    ]
    assert found[3][1:] == ["Stalled", "GateBlocked", "", "", words]
    links = [link.get("href") for part in body for link in part.iter("a")]
    assert links == ["/namespaces/shop/evals/judge", "/namespaces/shop/deployments/search"]


def test_an_evaluation_shows_gates_slices_and_what_came_before_on_the_same_benchmark() -> None:
    older, newer = judged("one", "0.70", "2026-11-01T00:00:00Z"), judged("two", "0.80", "2026-11-02T00:00:00Z")
    elsewhere = judged("three", "0.99", "2026-11-03T00:00:00Z", benchmarkDigest=digest("c"))

    body = evaluation_page.page(NS, newer, [newer, elsewhere, older])

    assert ["floor", "Passed", "Required", "", "0.8 ≥ 0.5"] in rows(body)
    assert ["Accuracy2", "0.80", "[0.5, 0.9]", "", "", "40", "400"] in rows(body)
    assert ["all pairs", "0.70", "0.80"] in rows(body)
    assert ["subset=Hard", "0.6", "0.6"] in rows(body)
    assert "three" not in text(body)
    assert len([part for part in body if part.tag == "svg"]) == 2


def test_scores_that_a_forged_report_made_up_do_not_break_the_page() -> None:
    for scores in ([{"metric": "Accuracy2"}], ["x"], [{"metric": "A", "slice": "all pairs", "value": "many"}]):
        item = judged("one", "0.7", "2026-11-01T00:00:00Z", scores=scores)
        assert "Verdict Passed" in text(evaluation_page.page(NS, item, [item]))


STEPS = [
    {"shadow": 5, "for": "30m", "analysis": {"minAgreementPercent": 90}},
    {"weight": 10, "strata": ["tail"], "for": "1h"},
    {"weight": 100, "approval": True},
]


def test_a_deployment_shows_strata_shares_and_where_its_rollout_stands() -> None:
    item = deployment(torso="student", tail="lore-q")
    item["spec"]["rollout"] = {"steps": STEPS}
    tiers = [{"stratum": "tail", "phase": "Ready", "model": "lore-q", "readyReplicas": 2}]
    told = {"stable": "search-1", "candidate": "search-2", "weight": 10, "step": 2, "tiers": tiers, "gate": "Passed"}
    told["traffic"] = [
        {"stratum": "torso", "expected": 40, "live": 31},
        {"stratum": "tail", "expected": 60, "live": 69},
    ]
    item = stands(item, State.ROLLING_OUT, "AwaitingSamples", **told)

    body = deployment_page.page(NS, item, [item])

    found = {row[0]: row for row in rows(body)}
    assert found["tail"][1:] == ["60 %", "69 %", "predictor Ready", "lore-q", "2", ""]
    assert [found[step][5] for step in "123"] == ["passed", "now", "to come"]
    assert found["1"][1:4] == ["shadow of 5 %", "30m", "minAgreementPercent 90"]
    assert found["3"][1] == "100 % of head, torso, tail"
    assert "On its way: search-2, 10 %" in text(body)


def test_without_shares_the_page_says_so() -> None:
    item = deployment(tail="lore-q")

    assert "not seen queries enough" in text(deployment_page.page(NS, item, [item]))


def test_hostile_text_stays_text() -> None:
    hostile = judged("one", "0.7", "2026-11-01T00:00:00Z", slice_=f"title={HOSTILE}", gates=[
        {"name": HOSTILE, "outcome": HOSTILE, "message": HOSTILE}])  # fmt: skip
    later = judged("two", "0.8", "2026-11-02T00:00:00Z", slice_=f"title={HOSTILE}")
    served = deployment(tail="lore-q")
    served = stands(
        served, State.GATE_BLOCKED, "GateBlocked", HOSTILE, revisions=[{"revision": "a", "outcome": HOSTILE}]
    )
    objects = [hostile, later, served]

    for body in (
        pipeline.page(NS, Chain(objects)),
        evaluation_page.page(NS, hostile, objects),
        deployment_page.page(NS, served, objects),
        frame.sign_in(HOSTILE),
        frame.message(HOSTILE, HOSTILE),
    ):
        page = frame.framed(HOSTILE, body, HOSTILE, leave=True)
        assert "alert(1)" in page
        assert "<script" not in page
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", page)
        assert not re.search(r"\son\w+=|style=|javascript:", page)
        for reference in re.findall(r'(?:href|src|action)="([^"]*)"', page):
            assert reference.startswith("/"), "nothing is fetched from elsewhere"


def test_a_page_is_one_tree() -> None:
    page = frame.framed("x", [*frame.sign_in(), *frame.choose()], "ann", leave=True)

    body = re.search(r"<body>.*</body>", page, re.DOTALL)
    assert body is not None
    closed = re.sub(r"<(input)([^>]*)>", r"<\1\2/>", body.group())
    assert {element.tag for element in ElementTree.fromstring(closed).iter("form")} == {"form"}
