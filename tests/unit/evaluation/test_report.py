"""The report of a finished evaluation: complete, self-contained, and safe to open whatever the items are called."""

import base64
import json
import math
import re
import tracemalloc
from pathlib import Path

import jsonschema
import pytest
from unit.evaluation.world import ENCODER, Completions, benchmark, config, endpoint, model, pair

from lore_core.cli import main
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.page import page
from lore_core.evaluation.report import WORST, ReportDocument, WorstPair, regressions
from lore_core.evaluation.run import evaluate
from lore_core.jobs import Champion, Gate
from lore_core.jobs.reporter import Reporter

LOST_GOLD = math.exp(-4.0) / (math.exp(-0.1) + 3 * math.exp(-4.0))
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


class Worse(Completions):
    """Answers L1 where the title is red."""

    def logprobs(self, prompt):
        red = ENCODER.encode("red")[0]
        return [-0.1, -4.0, -4.0, -4.0] if red in prompt else super().logprobs(prompt)


@pytest.fixture(scope="module")
def worse(tmp_path_factory):
    """The page and the document of a model that lost three pairs of 120 to its champion; every pair has a large picture."""
    root = tmp_path_factory.mktemp("worse")
    picture = {"image_base64": base64.b64encode(bytes(300_000)).decode(), "vqa_result": "a <b>kind</b> shirt"}
    lost = {"title": "shirt l4 red", "cpv_sku": {"colour": "red with blue"}}
    pairs = [pair(row, **picture, **(lost if row in (3, 50, 77) else {})) for row in range(120)]
    data, made = benchmark(root, pairs), model(root)
    with endpoint() as served:
        before = evaluate(config(root, made, data, input_key="sha256:" + "b" * 64), Reporter(None), served)
    with endpoint(Worse) as served:
        after = evaluate(config(root, made, data, input_key="sha256:" + "c" * 64), Reporter(None), served)
    html, document = root / "report.html", root / "report-document.json"
    inputs = ["--champion", before.uri, "--benchmark", data.uri, "--html", str(html), "--json", str(document)]
    tracemalloc.start()
    assert main(["report", after.uri, *inputs]) == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return html.read_text(), json.loads(document.read_text()), peak


def test_what_the_champion_answered_better_stands_in_the_report_with_its_own_texts(worse):
    text, document, _ = worse
    assert document["regressed"] == 3
    assert [(one["id"], one["lost"]) for one in document["worst"]] == [("p003", 3), ("p050", 3), ("p077", 3)]
    first = document["worst"][0]
    assert (first["query"], first["title"]) == ("shirt 3", "shirt l4 red")
    assert (first["attributes"], first["picture"]) == ({"colour": "red with blue"}, "a <b>kind</b> shirt")
    regressions = text.partition("<h2>Worst regressions</h2>")[2].partition("</table>")[0]
    for part in (
        "p003",
        "shirt 3",
        "shirt l4 red",
        "colour: red with blue",
        "picture: a &lt;b&gt;kind&lt;/b&gt; shirt",
    ):
        assert part in regressions


def test_a_report_never_holds_the_benchmarks_pictures(worse):
    """120 pictures of 400 kB each: all of them would be 48 MB."""
    assert worse[2] < 24 << 20


def test_what_label_probabilities_imply_for_pass_at_k_is_called_not_comparable(worse):
    """117 pairs are right with 0.7; three have a probability of gold that is next to nothing."""
    text, document, _ = worse
    assert document["implied"]["samples"] == 8
    right = (117 * 0.7 + 3 * LOST_GOLD) / 120
    found = (117 * (1 - 0.3**8) + 3 * (1 - (1 - LOST_GOLD) ** 8)) / 120
    assert float(document["implied"]["passAt1"]) == pytest.approx(right, abs=1e-5)
    assert float(document["implied"]["aboveChance"]) == pytest.approx(found - (1 - 0.75**8), abs=1e-5)
    assert "not comparable with sampled answers" in text


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
    count, worst = regressions(lambda: mine, lambda: before)
    assert (count, [(pair.id, pair.lost) for pair in worst]) == (3, [("p1", 3), ("p2", 3), ("p0", 1)])


def test_of_many_regressions_the_worst_are_kept_wherever_they_stand_and_all_are_counted():
    mine = [row(n, "L4", "L1" if n % 50 == 7 else "L3") for n in range(1000, 1400)]
    count, worst = regressions(lambda: mine, lambda: [row(n, "L4", "L4") for n in range(1000, 1400)])
    assert (count, len(worst)) == (400, WORST)
    assert [pair.id for pair in worst if pair.lost == 3] == [f"p{n}" for n in range(1007, 1400, 50)]


def test_of_equal_losses_the_surer_mistake_comes_first():
    sure, unsure = (0.9, 0.0, 0.0, 0.1), (0.6, 0.0, 0.0, 0.4)
    mine = [row(0, "L4", "L1", unsure), row(1, "L4", "L1", sure)]
    _, worst = regressions(lambda: mine, lambda: [row(0, "L4", "L4"), row(1, "L4", "L4")])
    assert [pair.id for pair in worst] == ["p1", "p0"]


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
