"""`lore evaluate` from artifacts to evidence, against a server that speaks vLLM's wire."""

import json
from pathlib import Path

import pytest
from unit.evaluation.world import benchmark, config, endpoint, model, pair, ref

from lore_core.artifacts import publish
from lore_core.cli import main
from lore_core.evaluation.evidence import read
from lore_core.evaluation.run import evaluate
from lore_core.jobs import Champion, Gate, RuleMode
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import FileSink, Reporter
from lore_core.prompts import ModelKit

KEYS = ["sha256:" + digit * 64 for digit in "123456"]


@pytest.fixture(scope="module")
def served():
    with endpoint() as found:
        yield found


@pytest.fixture
def world(tmp_path: Path):
    """A model, and sixty pairs of which it answers forty-five."""
    pairs = [pair(row, answer=None if row % 4 else "L1") for row in range(60)]
    return model(tmp_path), benchmark(tmp_path, pairs)


def report_of(root: Path, the_config, served) -> dict:
    reporter = Reporter(FileSink(root / "report.json"))
    evaluate(the_config, reporter, served)
    return json.loads((root / "report.json").read_text())


def test_the_report_has_verdict_primary_score_gates_and_every_digest(tmp_path, world, served):
    the_config = config(tmp_path, *world)
    report = report_of(tmp_path, the_config, served)
    summary = report["summary"]
    assert report["phase"] == "Succeeded"
    assert summary["verdict"] == "Passed"
    assert (summary["primary"]["name"], summary["primary"]["value"]) == ("Accuracy2", "0.750000")
    assert [(gate["name"], gate["outcome"]) for gate in summary["gates"]] == [("floor", "Passed")]
    assert summary["modelDigest"] == world[0].digest
    assert summary["benchmarkDigest"] == world[1].digest
    assert summary["gateSetDigest"] == the_config.gate_set_digest
    assert summary["profileDigest"] == the_config.profile.content_digest()
    assert summary["evidence"] == {"uri": report["result"]["uri"], "digest": report["result"]["digest"]}


def test_the_report_says_which_published_total_a_copy_of_rair_has(tmp_path, world, served):
    copied = publish(
        tmp_path / "benchmark-files", ref(tmp_path / "rair"), "benchmark", metadata={"rairTotal": "released"}
    )
    for data, total in ((copied, "released"), (world[1], None)):
        the_config = config(tmp_path, world[0], data, workspace=ref(tmp_path / f"of-{total}"))
        evaluate(the_config, Reporter(None), served)
        assert read(the_config.output, tmp_path / f"copy-{total}").report.rair_total == total


def test_a_failed_gate_is_a_succeeded_report_with_verdict_failed(tmp_path, world, served):
    strict = (Gate(name="floor", metric="Accuracy2", min="0.9"),)
    report = report_of(tmp_path, config(tmp_path, *world, gates=strict), served)
    assert (report["phase"], report["summary"]["verdict"]) == ("Succeeded", "Failed")
    assert "Accuracy2 on all pairs is 0.7500" in report["summary"]["message"]


def test_the_evidence_has_every_answer_and_can_be_read_back(tmp_path, world, served):
    result = evaluate(config(tmp_path, *world), Reporter(None), served)
    evidence = read(ref(tmp_path / result.uri.removeprefix(f"file://{tmp_path}/"), result.digest), tmp_path / "copy")
    rows = list(evidence.answers())
    assert [row.id for row in rows] == [f"p{row:03d}" for row in range(60)]
    assert (rows[0].gold, rows[0].answer, rows[0].probabilities) == ("L4", "L1", pytest.approx((0.7, 0.1, 0.1, 0.1)))
    assert evidence.report.decoding["layout"] == "LabelFirst"


def test_the_same_evaluation_twice_makes_the_same_bytes(tmp_path, world, served):
    first = evaluate(config(tmp_path, *world), Reporter(None), served)
    second = evaluate(config(tmp_path, *world, input_key=KEYS[1]), Reporter(None), served)
    assert first.digest == second.digest


def test_an_equal_evaluation_is_reused_and_no_server_is_asked(tmp_path, world, served):
    first = report_of(tmp_path, config(tmp_path, *world), served)
    again = report_of(tmp_path, config(tmp_path, *world), None)
    assert again["result"] == first["result"] | {"reused": True}
    assert float(first["summary"].pop("timing")["p95Ms"]) > 0  # nothing is scored again, so nothing is timed
    assert again["summary"] == first["summary"]


def test_evidence_of_other_inputs_under_the_same_key_is_refused(tmp_path, world, served):
    evaluate(config(tmp_path, *world), Reporter(None), served)
    stricter = (Gate(name="floor", metric="Accuracy2", min="0.9"),)
    with pytest.raises(JobError, match=r"gate_set is sha256:\w+, expected sha256:\w+; evaluate again") as caught:
        evaluate(config(tmp_path, *world, gates=stricter), Reporter(None), served)
    assert caught.value.failure.reason == "EvidenceRefused"


def test_evidence_under_another_rule_mode_is_not_taken_for_this_one(tmp_path, world, served):
    evaluate(config(tmp_path, *world, rule_mode=RuleMode.ORACLE), Reporter(None), served)
    with pytest.raises(JobError, match=r"holds rule mode Oracle, subsets general and .*, asked for are rule mode None"):
        evaluate(config(tmp_path, *world), Reporter(None), served)


def champion_of(root: Path, world, served, **options) -> Champion:
    result = evaluate(config(root, *world, input_key=KEYS[2], **options), Reporter(None), served)
    return Champion(name="lore-q3", evidence={"uri": result.uri, "digest": result.digest})


REGRESSION = (Gate(name="held", metric="Accuracy2", max_regression="0.1"),)


def test_a_regression_is_measured_against_the_champions_evidence(tmp_path, world, served):
    champion = champion_of(tmp_path, world, served)
    report = report_of(tmp_path, config(tmp_path, *world, gates=REGRESSION, champion=champion), served)
    (gate,) = report["summary"]["gates"]
    assert "0.7500 against 0.7500 of lore-q3" in gate["message"]
    assert gate["regression"] == "0.000000"
    assert report["summary"]["championDigest"] == champion.evidence.digest


def test_a_champion_of_another_benchmark_is_refused(tmp_path, world, served):
    champion = champion_of(tmp_path, world, served)
    other = benchmark(tmp_path, [pair(row) for row in range(60)], "other")
    with pytest.raises(JobError, match=r"benchmark is .* expected .*; evaluate again"):
        evaluate(config(tmp_path, world[0], other, champion=champion), Reporter(None), served)


def test_a_champion_under_another_rule_mode_is_refused(tmp_path, world, served):
    champion = champion_of(tmp_path, world, served, rule_mode=RuleMode.ORACLE)
    with pytest.raises(JobError, match="evaluate the champion under the same ruleMode"):
        evaluate(config(tmp_path, *world, champion=champion), Reporter(None), served)


def test_a_champion_that_was_not_scored_on_a_subset_is_refused(tmp_path, served):
    data = benchmark(tmp_path, [pair(0), pair(1, subset="hard")])
    mine = model(tmp_path)
    champion = champion_of(tmp_path, (mine, data), served)
    both = config(tmp_path, mine, data, subsets=("general", "hard"), champion=champion)
    with pytest.raises(JobError, match="was not scored on hard"):
        evaluate(both, Reporter(None), served)


def test_oracle_rules_cannot_pass(tmp_path, world, served):
    report = report_of(tmp_path, config(tmp_path, *world, rule_mode=RuleMode.ORACLE), served)
    assert report["summary"]["verdict"] == "Inconclusive"


def test_a_query_longer_than_the_prompt_counts_as_wrong(tmp_path, served):
    pairs = [pair(row) for row in range(59)] + [pair(59, query="shirt " * 60)]
    report = report_of(tmp_path, config(tmp_path, model(tmp_path), benchmark(tmp_path, pairs)), served)
    assert report["summary"]["unparsable"] == 1
    assert report["summary"]["primary"]["value"] == f"{59 / 60:.6f}"


def test_capability_cells_and_subsets_have_scores_of_their_own(tmp_path, served):
    pairs = [pair(row, "L4", needs={"rule": True}, answer="L1") for row in range(30)] + [
        pair(row) for row in range(30, 60)
    ]
    report = report_of(tmp_path, config(tmp_path, model(tmp_path), benchmark(tmp_path, pairs)), served)
    scores = {(row["metric"], row["slice"]): row["value"] for row in report["summary"]["scores"]}
    assert scores["Accuracy2", "cell=rule"] == "0.000000"
    assert scores["Accuracy2", "cell=plain"] == "1.000000"


def test_any_tag_of_the_records_is_a_slice(tmp_path, served):
    wrong = ["L4" if row % 10 == 9 else "L1" for row in range(30)]
    pairs = [pair(row, tags={"intent": "jargon" if row < 20 else "brand"}, answer=wrong[row]) for row in range(30)]
    jargon = Gate(name="jargon", metric="Accuracy2", max="0.0", where={"intent": "jargon"}, min_queries=20)
    data = benchmark(tmp_path, pairs)
    report = report_of(tmp_path, config(tmp_path, model(tmp_path), data, gates=(jargon,)), served)
    assert report["summary"]["verdict"] == "Passed"
    assert {row["slice"] for row in report["summary"]["scores"]} >= {"intent=jargon", "intent=brand"}


def test_tokens_of_every_answer_are_in_the_evidence(tmp_path, world, served):
    result = evaluate(config(tmp_path, *world), Reporter(None), served)
    evidence = read(ref(tmp_path / result.uri.removeprefix(f"file://{tmp_path}/"), result.digest), tmp_path / "copy")
    first, prompt = next(evidence.answers()), ModelKit.load(tmp_path / "model").render(pair(0))
    assert (first.prompt_tokens, first.output_tokens, first.latency_ms) == (len(prompt.token_ids), 0, None)


def test_a_server_that_cannot_score_a_pair_ends_in_a_failed_report(tmp_path, served):
    data = benchmark(tmp_path, [pair(0, answer="none")])
    the_config = config(tmp_path, model(tmp_path), data)
    (tmp_path / "config.json").write_text(the_config.model_dump_json(by_alias=True))
    status = run_command(tmp_path, served)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (status, report["phase"], report["failure"]["reason"]) == (1, "Failed", "ScoringFailed")


def test_an_endpoint_that_serves_another_name_is_an_error(tmp_path, world, served):
    (tmp_path / "config.json").write_text(config(tmp_path, *world).model_dump_json(by_alias=True))
    assert run_command(tmp_path, served, "--served-model", "somebody-else") == 1
    assert "404" in json.loads((tmp_path / "report.json").read_text())["failure"]["message"]


def run_command(root: Path, served, *more: str) -> int:
    files = ["--config", str(root / "config.json"), "--report", str(root / "report.json")]
    return main(["evaluate", *files, "--endpoint", served.url, *more])


def test_the_command_prints_where_the_evidence_is(tmp_path, world, served, capsys):
    (tmp_path / "config.json").write_text(config(tmp_path, *world).model_dump_json(by_alias=True))
    assert run_command(tmp_path, served) == 0
    assert capsys.readouterr().out.startswith(f"file://{tmp_path}/workspace/evidence/")


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ('{"id": "p1", "query": "a"', None, "not valid JSON"),
        (
            '{"id":"p1","query":"a","title":"b","item_id":"i","groundtruth":"L5","subset":"general"}',
            "groundtruth",
            "L1, L2",
        ),
        (
            '{"id":"p000","query":"a","title":"b","item_id":"i","groundtruth":"L1","subset":"general"}',
            "id",
            "second time",
        ),
        (
            '{"id":"p1","query":"a","title":"b","item_id":"i","groundtruth":"L1","subset":"hard"}',
            "subset",
            "holds subset",
        ),
    ],
    ids=["broken line", "unknown label", "duplicate id", "pair of another subset"],
)
def test_a_bad_line_is_reported_with_file_line_and_field(tmp_path, served, line, field, words):
    good = pair(0).model_dump_json(exclude_defaults=True)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/general.jsonl").write_text(f"{good}\n{line}\n")
    data = publish(tmp_path / "files", ref(tmp_path / "bad"), "benchmark")
    (tmp_path / "config.json").write_text(config(tmp_path, model(tmp_path), data).model_dump_json(by_alias=True))
    assert run_command(tmp_path, served) == 1
    failure = json.loads((tmp_path / "report.json").read_text())["failure"]
    assert (failure["file"], failure["line"], failure.get("field")) == ("general.jsonl", 2, field)
    assert words in failure["message"]
    assert f"{data.uri}/general.jsonl:2" in failure["message"]


def failure_of(the_config, served) -> JobError:
    with pytest.raises(JobError) as caught:
        evaluate(the_config, Reporter(None), served)
    return caught.value.failure


def test_a_subset_that_the_benchmark_lacks_is_named_with_those_it_has(tmp_path, world, served):
    failure = failure_of(config(tmp_path, *world, subsets=("general", "hard")), served)
    assert (failure.reason, failure.field) == ("MissingSubset", "benchmark.subsets")
    assert "has no hard.jsonl; it has general" in failure.message


def test_gates_that_are_not_those_of_the_digest_are_refused(tmp_path, world, served):
    failure = failure_of(config(tmp_path, *world, gate_set_digest=KEYS[5]), served)
    assert (failure.reason, failure.field) == ("DigestMismatch", "gateSetDigest")


def test_a_field_that_no_record_has_is_refused(tmp_path, world, served):
    odd = (Gate(name="odd", metric="Accuracy2", min="0.5", where={"planet": "mars"}),)
    failure = failure_of(config(tmp_path, *world, gates=odd), served)
    assert (failure.reason, failure.field) == ("UnknownField", "gates.odd.where")


def test_retrieved_rules_need_a_rule_set(tmp_path, world, served):
    assert failure_of(config(tmp_path, *world, rule_mode=RuleMode.RETRIEVED), served).reason == "MissingRuleSet"


def test_a_model_of_another_label_schema_is_refused(tmp_path, world, served):
    foreign = model(tmp_path / "foreign", label_schema=KEYS[5])
    assert failure_of(config(tmp_path, foreign, world[1]), served).reason == "LabelSchemaMismatch"


def test_an_artifact_of_another_kind_is_refused(tmp_path, world, served):
    failure = failure_of(config(tmp_path, world[1], world[1]), served)
    assert failure.reason == "WrongArtifactKind"
    assert "model: " in failure.message


def test_a_config_that_cannot_be_read_is_a_failed_report(tmp_path, served):
    (tmp_path / "config.json").write_text("{}")
    assert run_command(tmp_path, served) == 1
    assert json.loads((tmp_path / "report.json").read_text())["failure"]["reason"] == "BadConfig"


def test_every_slice_has_every_metric_and_the_time_its_answers_took(tmp_path, served):
    pairs = [pair(row, tags={"intent": "jargon" if row % 2 else "brand"}) for row in range(60)]
    the_config = config(tmp_path, model(tmp_path), benchmark(tmp_path, pairs))
    timed = report_of(tmp_path, the_config, served)["summary"]["timing"]
    scores = read(the_config.output, tmp_path / "copy").report.scores
    by_slice = {name: {row.metric for row in scores if row.slice == name} for name in ("all pairs", "intent=jargon")}
    assert {name for name in by_slice["all pairs"] if ":" not in name} == {
        name for name in by_slice["intent=jargon"] if ":" not in name
    }
    assert {
        "MacroF1",
        "Recall:L4",
        "CalibrationError",
        "LowConfidence",
        "TierMacroF1",
        "PromptTokens",
        "OutputTokens",
    } <= (by_slice["intent=jargon"])
    assert [one["slice"] for one in timed["slices"]] == ["intent=brand", "intent=jargon"]
    assert all(float(one["p95Ms"]) >= float(one["p50Ms"]) > 0 for one in timed["slices"])
    assert [row.metric for row in scores if row.slice != "all pairs"][:6] == ["Accuracy2", "Accuracy4", "MacroF1"] * 2


@pytest.mark.parametrize(
    ("metric", "bound", "outcome"),
    [
        ("PromptTokens", {"max": "2"}, "Failed"),
        ("PromptTokens", {"max": "24"}, "Passed"),
        ("OutputTokens", {"max": "0"}, "Passed"),
        ("PassAt1", {"min": "0"}, "Inconclusive"),
        ("PassAtKChecked", {"min": "0"}, "Inconclusive"),
    ],
)
def test_tokens_and_samples_can_be_gated(tmp_path, world, served, metric, bound, outcome):
    """Nothing was sampled here: what is not known passes nothing."""
    gates = (Gate(name="g", metric=metric, **bound),)
    assert report_of(tmp_path, config(tmp_path, *world, gates=gates), served)["summary"]["verdict"] == outcome
