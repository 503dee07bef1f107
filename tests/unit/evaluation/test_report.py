"""The report of a finished evaluation: complete, self-contained, and safe to open whatever the items are called."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from unit.evaluation.world import benchmark, config, endpoint, model, pair

from lore_core.cli import main
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.page import page
from lore_core.evaluation.report import ReportDocument, WorstPair, regressions
from lore_core.evaluation.run import evaluate
from lore_core.jobs import Champion, Gate
from lore_core.jobs.reporter import Reporter

HOSTILE = 'l1 <script>alert(1)</script> </td> & "quoted" </think> L4'
SCHEMA = Path(__file__).parents[3] / "docs/formats/report.schema.json"
GATES = (
    Gate(name="floor", metric="Accuracy2", min="0.5"),
    Gate(name="held", metric="Accuracy2", max_regression="0.01"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Evidence of a model, and of itself as champion, on one benchmark with a hostile record."""
    root = tmp_path_factory.mktemp("report")
    pairs = [pair(row, market="north" if row % 2 else "south") for row in range(60)]
    pairs[0] = pair(0, title=f"shirt {HOSTILE}", query="shirt <img src=x onerror=alert(1)>", market="south")
    data, made = benchmark(root, pairs), model(root)
    with endpoint() as served:
        result = evaluate(config(root, made, data, input_key="sha256:" + "a" * 64), Reporter(None), served)
        champion = {"uri": result.uri, "digest": result.digest}
        worse = config(root, made, data, gates=GATES, champion=Champion(name="lore-q3", evidence=champion))
        candidate = evaluate(worse, Reporter(None), served)
    return {"root": root, "evidence": candidate.uri, "champion": result.uri, "benchmark": data.uri}


@pytest.fixture(scope="module")
def made(finished):
    """The page and the document."""
    html, document = finished["root"] / "report.html", finished["root"] / "report-document.json"
    inputs = ["--champion", finished["champion"], "--benchmark", finished["benchmark"]]
    assert main(["report", finished["evidence"], *inputs, "--html", str(html), "--json", str(document)]) == 0
    return html.read_text(), json.loads(document.read_text())


def test_the_page_fetches_nothing_and_runs_nothing(made):
    text, _ = made
    assert not re.findall(r"<(?:script|img|link|iframe|object|embed|a)\b", text)
    assert not re.findall(r"<[^>]*\b(?:src|href|style|on[a-z]+)=", text)
    assert "default-src 'none'" in text


def test_the_page_has_every_part(made):
    text, _ = made
    for part in ("Gates", "Scores", "Slices", "Confusion", "Calibration", "Worst regressions", "Lineage"):
        assert f"<h2>{part}</h2>" in text
    assert text.count("<svg") >= 3
    assert "minimum detectable regression" in text


def test_every_slice_has_a_line_with_every_metric(made):
    text, document = made
    by_slice = text.partition("<h3>All metrics by slice</h3>")[2].partition("</table>")[0]
    assert re.findall(r'<tr><td class="t">([^<]+)<', by_slice) == list(
        dict.fromkeys(one["slice"] for one in document["scores"])
    )
    for metric in {one["metric"] for one in document["scores"]}:
        assert f'<th scope="col">{metric}</th>' in by_slice


def test_the_document_follows_its_published_schema(made):
    jsonschema.validate(made[1], json.loads(SCHEMA.read_text()))


def test_the_published_schema_is_that_of_the_code():
    assert json.loads(SCHEMA.read_text()) == ReportDocument.model_json_schema(by_alias=True, mode="serialization")


def row(number, gold, answer, probabilities=None):
    found = {"answer": answer} if answer else {}
    return AnswerRow(id=f"p{number}", gold=gold, query="q", probabilities=probabilities, **found)


def test_regressions_are_what_the_champion_answered_better_worst_first():
    gold = ["L4", "L4", "L4", "L4", "L1"]
    mine = [row(n, g, a) for n, (g, a) in enumerate(zip(gold, ["L3", "L1", None, "L4", "L4"], strict=True))]
    before = [row(n, g, a) for n, (g, a) in enumerate(zip(gold, ["L4", "L4", "L4", "L1", "L4"], strict=True))]
    assert [(pair.id, pair.lost) for pair in regressions(lambda: mine, lambda: before)] == [
        ("p1", 3),
        ("p2", 3),
        ("p0", 1),
    ]


def test_of_equal_losses_the_surer_mistake_comes_first():
    sure, unsure = (0.9, 0.0, 0.0, 0.1), (0.6, 0.0, 0.0, 0.4)
    mine = [row(0, "L4", "L1", unsure), row(1, "L4", "L1", sure)]
    assert [pair.id for pair in regressions(lambda: mine, lambda: [row(0, "L4", "L4"), row(1, "L4", "L4")])] == [
        "p1",
        "p0",
    ]


def test_a_regressed_pair_is_shown_with_its_texts_and_they_stay_texts(made):
    worst = WorstPair(id="p0", lost=3, gold="L4", candidate="L1", champion="L4", query=HOSTILE, title=HOSTILE)
    document = ReportDocument.model_validate(made[1]).model_copy(update={"worst": (worst,), "regressed": 1})
    shown = page(document)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script" not in shown


def test_the_document_says_what_the_evidence_says(made, finished):
    _, document = made
    report = json.loads((Path(finished["evidence"].removeprefix("file://")) / "report.json").read_text())
    assert document["report"] == report
    assert document["explanation"][0].startswith(report["verdict"])
    assert sum(map(sum, document["confusion"])) == report["pairs"]


def test_without_benchmark_or_champion_there_is_a_report_all_the_same(finished, tmp_path):
    assert main(["report", finished["evidence"], "--html", str(tmp_path / "r.html")]) == 0
    assert "No champion to compare with." in (tmp_path / "r.html").read_text()


def test_another_benchmark_is_refused(finished, tmp_path, capsys):
    other = benchmark(tmp_path, [pair(row) for row in range(3)], "other")
    assert main(["report", finished["evidence"], "--benchmark", other.uri, "--html", str(tmp_path / "r.html")]) == 1
    assert "the uri was re-pointed or the digest is wrong" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_asking_for_no_file_is_wrong_usage(finished):
    assert main(["report", finished["evidence"]]) == 2
