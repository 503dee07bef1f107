"""A benchmark whose queries were trained on is told, and can fail a gate."""

import json

import pytest
from unit.evaluation.world import benchmark, config, endpoint, model, pair, ref

from lore_core.artifacts import publish
from lore_core.evaluation.leaks import leak_fields
from lore_core.evaluation.run import evaluate
from lore_core.jobs import Gate
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import FileSink, Reporter
from lore_core.records import write_pairs

NO_LEAK = (Gate(name="no-leak", metric="Leakage", max="0"),)


@pytest.fixture(scope="module")
def served():
    with endpoint() as found:
        yield found


def training(root, queries):
    folder = root / "pairs-files"
    folder.mkdir()
    write_pairs(folder / "train.jsonl", [pair(row, id=f"t{row}", query=text) for row, text in enumerate(queries)])
    return publish(folder, ref(root / "pairs"), "pairs")


@pytest.mark.parametrize(
    ("query", "leak"),
    [
        ("red shirt for men", "query"),
        ("For men: RED   shirt", "query"),
        ("red shirts for men", "similar"),
        ("green kettle", "none"),
    ],
)
def test_a_query_is_recognised_however_it_is_spelled(query, leak):
    assert leak_fields([pair(0, query=query)], iter(["red shirt for men"]), threshold=0.7) == [leak]


def judged(root, served, queries, **options):
    data = benchmark(root, [pair(row, query=f"query number {row}") for row in range(60)])
    the_config = config(root, model(root), data, training_data=training(root, queries), **options)
    evaluate(the_config, Reporter(FileSink(root / "report.json")), served)
    return json.loads((root / "report.json").read_text())["summary"]


def test_a_trained_on_query_fails_the_gate_and_its_pairs_are_a_slice(tmp_path, served):
    found = judged(tmp_path, served, ["query number 7", "another one"], gates=NO_LEAK)
    assert found["verdict"] == "Failed"
    assert "Leakage on all pairs is 0.0167" in found["message"]
    assert {row["slice"] for row in found["scores"]} >= {"leak=query", "leak=none"}


def test_clean_training_data_passes(tmp_path, served):
    assert judged(tmp_path, served, ["kettle", "lamp"], gates=NO_LEAK)["verdict"] == "Passed"


def test_scores_without_the_leaked_queries_can_be_gated(tmp_path, served):
    clean = (Gate(name="clean", metric="Accuracy2", min="0.9", where={"leak": "none"}),)
    found = judged(tmp_path, served, ["query number 7"], gates=clean)
    assert found["gates"][0]["queries"] == 59


def test_a_leak_gate_without_training_data_is_never_passed(tmp_path, served):
    data = benchmark(tmp_path, [pair(row) for row in range(60)])
    evaluate(config(tmp_path, model(tmp_path), data, gates=NO_LEAK), Reporter(FileSink(tmp_path / "r.json")), served)
    assert json.loads((tmp_path / "r.json").read_text())["summary"]["verdict"] == "Inconclusive"


def test_other_data_than_the_model_was_trained_on_is_refused(tmp_path, served):
    trained = model(tmp_path)
    other = "sha256:" + "7" * 64
    republished = publish(tmp_path / "model-files", ref(tmp_path / "trained"), "model", inputs={"data": other})
    data = benchmark(tmp_path, [pair(row) for row in range(60)])
    the_config = config(tmp_path, republished, data, training_data=training(tmp_path, ["kettle"]))
    assert trained.digest != republished.digest
    with pytest.raises(JobError, match=f"the model was trained on {other}; name that one"):
        evaluate(the_config, Reporter(None), served)
