"""A measurement of served results: one run from the log to a verdict, and how it goes on, stops or stays inconclusive."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from unit.evaluation.chat_server import by_title, chat_server, says
from unit.evaluation.world import KEY, ref

from lore_core.artifacts import publish
from lore_core.cli import main
from lore_core.evaluation.evidence import EvidenceError, read
from lore_core.goodrate.measurement import read_measurement
from lore_core.goodrate.rows import read_drawn
from lore_core.goodrate.run import measure
from lore_core.jobs import Gate, GoodRateConfig, JudgedEndpoint, Sampling, gate_set_digest
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import FileSink, Reporter

DAYS = ("2026-11-01", "2026-11-02")
LABELS = {"good": "L4", "near": "L3", "bad": "L1"}
ROW = {"request": "r", "date": DAYS[0], "stratum": "tail", "query": "q", "items": ["good"]}
FLOOR = Gate(name="items", metric="ItemGoodRate", min="0.5", min_queries=10)


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def log(root: Path, day: str, stratum: str = "tail", requests: int = 60, **more: Any) -> None:
    """Two of three items are good on the even requests, one on the odd ones."""
    rows = [
        {"request": f"{day}-{stratum}-{row}", "date": day, "stratum": stratum, "query": f"shirt {row}",
         "items": ["good", "bad", "bad2" if row % 2 else "near"], **more}
        for row in range(requests)
    ]  # fmt: skip
    lines(root / "served" / f"{day}-{stratum}.jsonl", rows)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for day in DAYS:
        log(tmp_path, day)
    titles = {"good": "shirt l4", "near": "shirt l3", "bad": "shirt l1", "bad2": "shirt l2"}
    lines(tmp_path / "texts" / "items.jsonl", [{"item_id": name, "title": title} for name, title in titles.items()])
    publish(tmp_path / "texts", ref(tmp_path / "items"), "items")
    return tmp_path


def config(root: Path, *gates: Gate, judge: str | None = None, people: bool = False, **changes: Any) -> GoodRateConfig:
    gates = gates or (FLOOR,)
    asked = JudgedEndpoint(url=judge, model="judge-1", requests_per_minute=1_000_000, max_tries=1) if judge else None
    values = {
        "evaluation": "live", "served": ref(root / "served"), "first_day": DAYS[0], "last_day": DAYS[1],
        "sampling": Sampling(sample_size=30, people_size=10), "people": ref(root / "people") if people else None,
        "items": ref(root / "items") if judge else None, "judge": asked, "gates": gates,
        "gate_set_digest": gate_set_digest(gates), "workspace": ref(root / "workspace"), "input_key": KEY,
    }  # fmt: skip
    return GoodRateConfig(**(values | changes))


def summary(root: Path, the_config: GoodRateConfig) -> dict[str, Any]:
    measure(the_config, Reporter(FileSink(root / "report.json")))
    return dict(json.loads((root / "report.json").read_text())["summary"])


def rate_sample(root: Path, the_config: GoodRateConfig, skip: int = 0) -> None:
    """Two people rate what the sample of an earlier run marks for them."""
    rows = [
        {"request": row.request, "item": item, "rater": rater, "label": LABELS.get(item, "L2"), "guideline": "guide-7"}
        for row in [one for one in read_drawn(Path(the_config.output.uri[7:]) / "sample.jsonl") if one.people][skip:]
        for item in row.items
        for rater in ("ann", "bob")
    ]
    lines(root / "people" / "week-1.jsonl", rows)


def another(number: int) -> dict[str, str]:
    """The key that another run has."""
    return {"input_key": "sha256:" + str(number) * 64}


def test_from_the_log_to_a_verdict_with_people_and_a_judge(root: Path) -> None:
    with chat_server(by_title) as server:
        first = config(root, judge=server.url)
        heard = summary(root, first)
        rate_sample(root, first)
        found = summary(root, config(root, judge=server.url, people=True, **another(2)))
        assert set(server.paid.values()) == {1}  # the second run paid nothing again
    assert (heard["verdict"], heard["traffic"]["rated"]) == ("Inconclusive", 0)
    assert {row["metric"] for row in heard["scores"]} == {"JudgeItemGoodRate", "JudgeQueryGoodRate"}
    assert found["verdict"] == "Passed"
    rows = {(row["metric"], row["slice"]): row for row in found["scores"]}
    slices = {"all traffic", "day=2026-11-01", "stratum=tail", "day=2026-11-01, stratum=tail"}
    assert slices <= {where for metric, where in rows if metric == "ItemGoodRate"}
    whole = rows["ItemGoodRate", "all traffic"]
    assert float(whole["low"]) < float(whole["value"]) < float(whole["high"])
    assert whole["value"] == rows["JudgeItemGoodRate", "all traffic"]["value"]  # this judge is always right
    assert found["primary"]["name"] == "ItemGoodRate"
    told = found["traffic"]
    assert (told["requests"], told["sampled"], told["rated"], told["raters"]) == (120, 60, 20, 2)
    assert (told["judgeAgreement"], told["judgeKappa"], told["ratersAlpha"]) == ("1.000000", "1.000000", "1.000000")


def test_people_correct_a_judge_that_likes_everything(root: Path) -> None:
    with chat_server(lambda item: says("[L4]")) as server:
        first = config(root, judge=server.url)
        summary(root, first)
        rate_sample(root, first)
        found = summary(root, config(root, judge=server.url, people=True, **another(2)))
    rows = {row["metric"]: row for row in found["scores"] if row["slice"] == "all traffic"}
    assert float(rows["JudgeItemGoodRate"]["value"]) == 1.0
    assert 1 / 3 <= float(rows["ItemGoodRate"]["value"]) <= 2 / 3
    assert found["traffic"]["judgeKappa"] == "0.000000"


@pytest.mark.parametrize(
    ("gate", "outcome", "words"),
    [
        ({"min": "0.3"}, "Passed", "at least 0.3; 20 requests rated by people"),
        ({"min": "0.99"}, "Failed", "below 0.99"),
        ({"max": "0.99"}, "Passed", "at most 0.99"),
        ({"min": "0.3", "where": {"stratum": "tail", "day": DAYS[0]}}, "Passed", "on day=2026-11-01, stratum=tail is"),
        ({"min": "0.3", "min_queries": 21}, "Inconclusive", "20 requests rated by people are fewer than minQueries 21"),
        ({"min": "0.3", "min_samples": 61}, "Inconclusive", "60 items rated by people are fewer than minSamples 61"),
        ({"min": "0.3", "where": {"stratum": "head"}}, "Inconclusive", "has no traffic (onMissing: Inconclusive)"),
        ({"min": "0.3", "where": {"stratum": "head"}, "on_missing": "Fail"}, "Failed", "has no traffic"),
    ],
)
def test_a_gate_is_decided_by_what_people_rated(root: Path, gate: dict[str, Any], outcome: str, words: str) -> None:
    the_gate = Gate(name="g", metric="ItemGoodRate", **({"min_queries": 10} | gate))
    first = config(root, the_gate)
    summary(root, first)
    rate_sample(root, first)
    found = summary(root, config(root, the_gate, people=True, **another(2)))
    assert (found["verdict"], found["gates"][0]["outcome"]) == (outcome, outcome)
    assert words in found["gates"][0]["message"]


def test_an_estimate_without_an_interval_never_passes(root: Path) -> None:
    one = Sampling(sample_size=30, people_size=1)
    gate = Gate(name="g", metric="QueryGoodRate", min="0.0", min_queries=1)
    first = config(root, gate, sampling=one)
    assert "is not known: 0 requests rated by people" in summary(root, first)["gates"][0]["message"]
    rate_sample(root, first)
    found = summary(root, config(root, gate, sampling=one, people=True, **another(2)))
    assert found["verdict"] == "Inconclusive"
    assert "has no interval" in found["gates"][0]["message"]


def test_a_sample_from_everything_that_was_served_by_one_revision(root: Path) -> None:
    log(root, DAYS[0], "head", 40, revision="search-7")
    log(root, DAYS[1], "head", 40, revision="search-8")
    found = summary(root, config(root, revision="search-7"))
    assert (found["traffic"]["requests"], found["traffic"]["revision"]) == (40, "search-7")
    with pytest.raises(JobError, match=r"no request of revision search-9 from 2026-11-01 to 2026-11-02") as refused:
        measure(config(root, revision="search-9", **another(2)), Reporter(None))
    assert refused.value.failure.reason == "ServedLogMissing"


def test_a_judge_that_goes_away_is_asked_for_the_rest_and_a_finished_run_asks_nobody(root: Path) -> None:
    down = True

    def until_fifty(item: dict[str, str]) -> Any:
        return (503, {}) if down and len(server.paid) >= 50 else by_title(item)

    with chat_server(until_fifty) as server:
        the_config = config(root, judge=server.url)
        with pytest.raises(JobError, match="gave no answer after 1 tries") as away:
            measure(the_config, Reporter(None))
        assert away.value.failure.reason == "EndpointUnavailable"
        down = False
        made = measure(the_config, Reporter(None))
        assert set(server.paid.values()) == {1}
    again = measure(the_config, Reporter(None))
    assert (again.digest, made.reused, again.reused) == (made.digest, False, True)


def test_what_was_measured_is_kept_and_is_no_evidence_of_a_model(root: Path) -> None:
    the_config = config(root)
    result = measure(the_config, Reporter(None))
    report, digest = read_measurement(the_config.output.model_copy(update={"digest": result.digest}), root / "copy")
    assert (report.evaluation, digest) == ("live", result.digest)
    assert len(read_drawn(root / "copy" / "sample.jsonl")) == report.sampled
    with pytest.raises(EvidenceError, match="is a goodrate, not evidence"):
        read(the_config.output, root / "champion")


def breaks(root: Path, case: str) -> GoodRateConfig:
    """A run that one thing is wrong with."""
    first = config(root)
    measure(first, Reporter(None))
    match case:
        case "a day without a log":
            return config(root, last_day="2026-11-03", **another(2))
        case "a row of another day":
            lines(root / "served" / f"{DAYS[0]}-x.jsonl", [ROW | {"date": DAYS[1]}])
        case "a bad row":
            lines(root / "served" / f"{DAYS[0]}-x.jsonl", [ROW | {"items": []}])
        case "a request logged twice":
            lines(root / "served" / f"{DAYS[0]}-x.jsonl", [ROW | {"stratum": "head"}] * 2)
        case "no ratings":
            return config(root, people=True, **another(2))
        case "a missing rating":
            rate_sample(root, first, skip=1)
            return config(root, people=True, **another(2))
        case "items of another kind":
            publish(root / "served", ref(root / "no-items"), "corpus")
            return config(root, judge="http://127.0.0.1:1/v1", **another(2), items=ref(root / "no-items"))
        case "an item without a text":
            lines(root / "few" / "items.jsonl", [{"item_id": "good", "title": "shirt"}])
            publish(root / "few", ref(root / "few-items"), "items")
            return config(root, judge="http://127.0.0.1:1/v1", **another(2), items=ref(root / "few-items"))
    return config(root, **another(2))


@pytest.mark.parametrize(
    ("case", "reason", "words"),
    [
        ("a day without a log", "ServedLogMissing", "has no file 2026-11-03*.jsonl"),
        (
            "a row of another day",
            "BadData",
            "2026-11-01-x.jsonl:1: date: is 2026-11-02, the file's name says 2026-11-01",
        ),
        ("a bad row", "BadRecord", "served/2026-11-01-x.jsonl:1: items"),
        ("a request logged twice", "BadData", "request 'r' occurs twice"),
        ("no ratings", "BadRatings", "has no file *.jsonl"),
        ("a missing rating", "BadRatings", "is not rated; rate all that was drawn for people"),
        ("items of another kind", "WrongArtifactKind", "is a corpus, needed is an items artifact"),
        ("an item without a text", "BadData", "was shown and has no text"),
    ],
)
def test_bad_input_is_named_with_its_remedy(root: Path, case: str, reason: str, words: str) -> None:
    the_config = breaks(root, case)
    with pytest.raises(JobError) as refused:
        measure(the_config, Reporter(None))
    assert refused.value.failure.reason == reason
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"last_day": "2026-10-31"}, "lastDay: must be firstDay or up to 91 days later"),
        ({"sampling": {"sampleSize": 10, "peopleSize": 11}}, "peopleSize: 11 is above sampleSize 10"),
        ({"items": ref(Path("/items"))}, "judge and items go together"),
        (
            {"gates": (Gate(name="g", metric="Accuracy2", min="0.5"),)},
            "of served results there are ItemGoodRate, QueryGoodRate",
        ),
    ],
)
def test_a_config_that_cannot_be_measured_is_refused(root: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(root, **changes)


def test_the_pods_verb_reports_why_it_could_not(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = root / "config.json"
    file.write_text(config(root, last_day="2026-11-05").model_dump_json(by_alias=True, exclude_none=True))
    assert main(["goodrate", "run", "--config", str(file), "--report", str(root / "report.json")]) == 1
    report = json.loads((root / "report.json").read_text())
    assert (report["phase"], report["failure"]["reason"]) == ("Failed", "ServedLogMissing")
    assert "lore goodrate run: served:" in capsys.readouterr().err
