"""`lore gate dry-run`: what gates would say of a finished report, as a release manager meets it."""

import json
from pathlib import Path

import pytest
import yaml
from unit.evaluation.world import benchmark, config, endpoint, model, pair

from lore_core.cli import main
from lore_core.evaluation.run import evaluate
from lore_core.jobs import RuleMode
from lore_core.jobs.reporter import Reporter


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Evidence of a model right in 45 of 60 pairs, without rules and with Oracle rules."""
    root, found = tmp_path_factory.mktemp("finished"), {}
    with endpoint() as served:
        weak = benchmark(root, [pair(row, answer=None if row % 4 else "L1") for row in range(60)])
        made = model(root)
        for number, (name, mode) in enumerate([("candidate", RuleMode.NONE), ("oracle", RuleMode.ORACLE)]):
            key = "sha256:" + str(number) * 64
            result = evaluate(config(root, made, weak, input_key=key, rule_mode=mode), Reporter(None), served)
            found[name] = result.uri.removeprefix("file://")
    return found


def gates_file(tmp_path: Path, document, name="gates.json") -> str:
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def dry_run(evidence, gates, *more):
    return main(["gate", "dry-run", evidence, "--gates", gates, *more])


FLOOR = {"name": "floor", "metric": "Accuracy2", "min": "0.7"}


@pytest.mark.parametrize(
    ("bound", "status", "word"),
    [
        ({"min": "0.7"}, 0, "Passed"),
        ({"min": "0.8"}, 3, "Failed"),
        ({"min": "0.7", "minQueries": 61}, 4, "Inconclusive"),
    ],
)
def test_the_verdict_is_told_gate_by_gate_and_by_the_exit_status(tmp_path, finished, capsys, bound, status, word):
    gates = gates_file(tmp_path, [{"name": "floor", "metric": "Accuracy2"} | bound])
    assert dry_run(finished["candidate"], gates) == status
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("dry run on lore-q4, evidence sha256:")
    assert printed[1].startswith(f"{word}: ")
    assert printed[2].split()[:2] == [word, "floor:"]


def test_the_gates_it_was_judged_by_give_what_its_report_says(tmp_path, finished, capsys):
    report = json.loads((Path(finished["candidate"]) / "report.json").read_text())
    gates = gates_file(tmp_path, [{"name": "floor", "metric": "Accuracy2", "min": "0.5"}])
    assert dry_run(finished["candidate"] + "/report.json", gates) == 0
    assert report["gates"][0]["message"] in capsys.readouterr().out


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_outcome_and_each_gate_as_a_document(tmp_path, finished, capsys, form, read):
    gates = gates_file(tmp_path, [{"name": "floor", "metric": "Accuracy2", "min": "0.8"}])
    assert dry_run(finished["candidate"], gates, f"--output={form}") == 3
    told = read(capsys.readouterr().out)
    assert (told["model"], told["outcome"]) == ("lore-q4", "Failed")
    assert [(gate["name"], gate["outcome"]) for gate in told["gates"]] == [("floor", "Failed")]


@pytest.mark.parametrize(
    "document",
    [
        {"gates": [FLOOR]},
        {"kind": "RelevanceEval", "spec": {"gates": [FLOOR]}},
        "spec:\n  gates:\n  - {name: floor, metric: Accuracy2, min: '0.7'}\n",
    ],
    ids=["gates", "manifest", "yaml"],
)
def test_gates_come_from_a_file_or_a_manifest(tmp_path, finished, document):
    name = "gates.yaml" if isinstance(document, str) else "gates.json"
    assert dry_run(finished["candidate"], gates_file(tmp_path, document, name)) == 0


def test_regressions_need_the_champions_evidence(tmp_path, finished, capsys):
    gates = gates_file(tmp_path, [{"name": "held", "metric": "Accuracy2", "maxRegression": "0.3"}])
    assert dry_run(finished["candidate"], gates) == 4
    assert "there is no champion" in capsys.readouterr().out
    assert dry_run(finished["candidate"], gates, "--champion", finished["candidate"]) == 0
    assert "a regression of 0.0000" in capsys.readouterr().out


def test_little_power_is_warned_of(tmp_path, finished, capsys):
    gates = gates_file(tmp_path, [{"name": "held", "metric": "Accuracy2", "maxRegression": "0.01"}])
    assert dry_run(finished["candidate"], gates, "--champion", finished["candidate"]) == 4
    printed = capsys.readouterr().out
    assert "warning: a model equal to the champion passes maxRegression 0.01 only" in printed
    assert "minimum detectable regression" in printed


def test_oracle_rules_pass_nothing_here_either(tmp_path, finished):
    assert dry_run(finished["oracle"], gates_file(tmp_path, [FLOOR])) == 4


def test_a_champion_under_other_rules_is_refused(tmp_path, finished, capsys):
    gates = gates_file(tmp_path, [FLOOR])
    assert dry_run(finished["candidate"], gates, "--champion", finished["oracle"]) == 1
    assert "the champion saw rules by mode Oracle" in capsys.readouterr().err


def test_evidence_of_another_digest_is_refused(tmp_path, finished, capsys):
    assert dry_run(finished["candidate"], gates_file(tmp_path, [FLOOR]), "--digest", "sha256:" + "9" * 64) == 1
    assert "the uri was re-pointed or the digest is wrong" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("", "cannot be read"),
        ([], "holds no gates"),
        ({"spec": {"gates": {}}}, "holds no gates"),
        ([FLOOR, FLOOR], "the gate 'floor' occurs twice"),
        ([FLOOR | {"max": "0.9"}], "gates[0]: Value error, gate floor: give exactly one of min, max, maxRegression"),
        ([FLOOR | {"metric": "Vibes"}], "gates[0].metric: "),
        ([{"name": "served", "metric": "ItemGoodRate", "min": "0.8"}], "the gate 'served' is about served results"),
        ([FLOOR | {"min": "lots"}], "gates[0].min: "),
        ([FLOOR | {"subset": "hard"}], "gates.floor.subset: hard is not scored"),
        ([FLOOR | {"where": {"planet": "mars"}}], "gates.floor.where: no field 'planet'; use one of cell, industry"),
    ],
)
def test_unusable_gates_are_named_and_nothing_is_judged(tmp_path, finished, capsys, document, says):
    assert dry_run(finished["candidate"], gates_file(tmp_path, document)) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""
