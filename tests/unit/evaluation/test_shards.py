"""Scored in shards, judged in one place: the same evidence, nothing twice, and no verdict while a shard is missing."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
from unit.evaluation.world import benchmark, config, endpoint, model, pair, ref

from lore_core.artifacts import ArtifactError, publish
from lore_core.cli import main
from lore_core.evaluation.parts import in_parts, part_count, part_size
from lore_core.evaluation.run import evaluate, reduce
from lore_core.evaluation.shard import score_shard
from lore_core.jobs import EvaluateConfig
from lore_core.jobs.errors import JobError
from lore_core.jobs.reporter import FileSink, Reporter

PAIRS = 516
SHARDS = 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[EvaluateConfig, str, Path]:
    """An evaluation whose three parts are scored by two shards, and the digest that one pod makes of it."""
    root = tmp_path_factory.mktemp("shards")
    pairs = [pair(row, "L4", "L4" if row % 4 else "L1", query=f"shirt {row % 50} {row % 2}") for row in range(PAIRS)]
    inputs = model(root), benchmark(root, pairs)
    with endpoint() as served:
        alone = evaluate(config(root, *inputs, workspace=ref(root / "alone")), Reporter(None), served)
        sharded = config(root, *inputs, shards=SHARDS)
        for shard in range(SHARDS):
            # Each look at the clock is a minute later, so that every progress is sent.
            clock = itertools.count(0.0, 60.0).__next__
            score_shard(sharded, shard, Reporter(FileSink(root / f"shard-{shard}.json"), clock), served)
    return sharded, alone.digest, root


@pytest.fixture
def copied(whole, tmp_path: Path) -> EvaluateConfig:
    """The scored shards in a workspace of the test's own."""
    shutil.copytree(whole[2] / "workspace/answers", tmp_path / "answers")
    return whole[0].model_copy(update={"workspace": ref(tmp_path)})


def part(asked: EvaluateConfig, number: int) -> Path:
    return Path(asked.part(number).uri.removeprefix("file://"))


def refusal(asked: EvaluateConfig) -> JobError:
    with pytest.raises(JobError) as caught:
        reduce(asked, Reporter(None))
    assert not Path(asked.output.uri.removeprefix("file://")).exists()
    return caught.value


def test_shards_and_one_pod_make_the_same_bytes(whole, copied):
    assert reduce(copied, Reporter(None)).digest == whole[1]


def test_a_shard_tells_its_progress(whole):
    found = json.loads((whole[2] / "shard-0.json").read_text())
    assert found["phase"] == "Running"
    assert found["progress"] == {"step": 260, "totalSteps": 260, "unit": "pairs", "secondsRemaining": 0}


def test_half_the_shards_lost_is_no_verdict_and_says_which(copied):
    shutil.rmtree(part(copied, 1))
    lost = refusal(copied)
    assert lost.failure.reason == "ShardsMissing"
    assert "1 of 3 parts have no answers, of shards 1 (1 of 2)" in lost.failure.message


def test_a_shard_that_is_run_again_scores_what_is_missing_and_nothing_else(whole, copied):
    shutil.rmtree(part(copied, 2))
    assert score_shard(copied, 1, Reporter(None), None) == 0, "its one part is there: no server is started"
    with endpoint() as served:
        assert score_shard(copied, 0, Reporter(None), served) == PAIRS - 2 * part_size(PAIRS)
    assert reduce(copied, Reporter(None)).digest == whole[1]


def test_another_number_of_shards_uses_the_same_parts(copied):
    assert score_shard(copied.model_copy(update={"shards": 3}), 2, Reporter(None), None) == 0


def test_a_part_whose_bytes_changed_is_refused(copied):
    answers = part(copied, 0) / "answers.jsonl"
    answers.write_text(answers.read_text().replace('"answer":"L1"', '"answer":"L4"', 1))
    with pytest.raises(ArtifactError, match="does not match the manifest"):
        reduce(copied, Reporter(None))


def republished(asked: EvaluateConfig, number: int, lines: slice, inputs: dict[str, str] | None = None) -> None:
    """The part as somebody else might have written it: well formed, and not what was asked for."""
    folder = part(asked, number)
    manifest = json.loads((folder / "lore-manifest.json").read_text())
    text = (folder / "answers.jsonl").read_text().splitlines(keepends=True)[lines]
    shutil.rmtree(folder)
    made = folder.parent / "made"
    made.mkdir()
    (made / "answers.jsonl").write_text("".join(text))
    publish(made, asked.part(number), "answers", manifest["inputs"] | (inputs or {}), manifest["metadata"])
    shutil.rmtree(made)


def test_a_part_that_lost_answers_is_refused(copied):
    republished(copied, 1, slice(0, 10))
    assert "part 1 does not answer the pairs" in refusal(copied).failure.message


def test_a_part_of_another_model_is_refused(copied):
    republished(copied, 1, slice(None), {"model": "sha256:" + "9" * 64})
    assert refusal(copied).failure.reason == "InputsChanged"


def test_the_pods_of_an_indexed_job_run_the_same_command(whole, copied, monkeypatch, capsys, tmp_path):
    (tmp_path / "config.json").write_text(copied.model_dump_json(by_alias=True, exclude_none=True))
    words = ["evaluate", "--config", str(tmp_path / "config.json"), "--report", str(tmp_path / "report.json")]
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert main([*words, "--shard"]) == 0
    assert "scored 0 pairs of shard 1 of 2" in capsys.readouterr().out
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    assert main([*words, "--shard"]) == 1
    assert main([*words, "--reduce"]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["result"]["digest"] == whole[1]


@pytest.mark.parametrize(("pairs", "parts"), [(1, 1), (256, 1), (257, 2), (54_539, 214), (1_000_000, 512)])
def test_parts_are_few_enough_to_merge_and_cover_every_pair_once(pairs, parts):
    assert part_count(pairs) == parts
    assert sum(len(found) for _, found in in_parts(range(pairs), part_size(pairs))) == pairs
