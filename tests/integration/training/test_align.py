"""`lore train` of align stages: a tuned model in, a better rewarded one out; guards stop what goes wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, open_store, publish, verify
from lore_core.jobs import Phase
from lore_core.prompts import ModelKit, PromptLayout
from lore_core.records import Label, Pair, write_pairs
from lore_core.training.checkpoints import complete_checkpoints

from .killing import killed_after_its_first_checkpoint
from .site import Site
from .tuned import PAIRS

OPTIMIZER: dict[str, Any] = {"learning_rate": "0.0003", "batch_size": 8, "max_steps": 18, "checkpoint_every": 6}
ALIGN: dict[str, Any] = {"kind": "align", "preset": "Tiny", "below": "1", "candidates": 48, "optimizer": OPTIMIZER}
OPPOSITE = dict(zip(Label, reversed(Label), strict=True))


def pairs_with_known_canaries(site: Site, name: str, train: list[Pair]) -> ArtifactRef:
    """Pairs whose tune split is what the tuned models know, so that they can forget it."""
    folder = site.root / f"{name}-source"
    folder.mkdir()
    write_pairs(folder / "train.jsonl", train)
    write_pairs(folder / "tune.jsonl", [pair.model_copy(update={"id": f"tune-{pair.id}"}) for pair in PAIRS])
    return publish(folder, ArtifactRef(uri=(site.root / name).as_uri()), "pairs")


def mean(points: list[list[float]]) -> float:
    return sum(value for _, value in points) / len(points)


def test_a_killed_grpo_stage_goes_on_without_a_batch_lost_or_doubled(site: Site, thinker: ArtifactRef) -> None:
    spec = {**ALIGN, "guard_every": 6, "pass_at_k": {"pairs": 8, "samples": 4}}
    start = {"base_model": thinker, "data": pairs_with_known_canaries(site, "watched", PAIRS)}
    undisturbed = site.run("grpo-undisturbed", site.config("grpo-undisturbed", spec, **start), ranks=2)
    config = site.config("grpo", spec, **start)
    killed_after_its_first_checkpoint(site, "grpo", config, 2)
    newest = complete_checkpoints(config.checkpoints)[0].step
    report = site.run("grpo", config, ranks=2)
    assert report.summary["resumedFromStep"] == newest
    # Another batch, or another answer to it, would show here.
    assert report.summary["curves"] == undisturbed.summary["curves"]
    assert [look["step"] for look in report.summary["guards"]] == [0, 6, 12, 18]
    assert report.summary["guards"] == undisturbed.summary["guards"]
    assert report.result is not None
    assert undisturbed.result is not None
    assert report.result.digest == undisturbed.result.digest
    reward = report.summary["curves"]["reward"]
    assert [step for step, _ in reward] == list(range(1, 19))
    assert mean(reward[-6:]) > mean(reward[:6])  # six steps are one pass over the pairs
    assert report.summary["pool"]["chosen"] > 0
    passed = report.summary["curves"]["tunePassAt1"]
    assert [step for step, _ in passed] == [0, 6, 12, 18]
    assert float(report.summary["tunePassAt1"]) == pytest.approx(passed[-1][1], abs=1e-4)
    lineage = open_store(config.output).manifest().metadata["lineage"]
    assert lineage[-1]["sampled"]["scores"]["tunePassAt1"] == report.summary["tunePassAt1"]  # type: ignore[index,call-overload]
    assert open_store(config.output).manifest().metadata["layout"] == "ThinkFirst"


SEVERAL = """
import json, os, sys
from pathlib import Path
from lore_core.training import command, worker
from lore_core.jobs import TrainConfig
from lore_core.jobs.reporter import reported, reporter_from_environment
for path in sys.argv[1:]:
    config = TrainConfig.model_validate_json(Path(path).read_bytes())
    reporter = reporter_from_environment(Path(path).with_suffix(".report"))
    scratch = Path(path).with_suffix(".scratch")
    scratch.mkdir()
    try:
        with reported(reporter):
            worker.train(config, command.prepare(config, scratch), reporter)
    except Exception as error:
        print(f"{path}: {error}", flush=True)
worker.leave()
"""


def several(site: Site, configs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Reports of stages that one process runs after another: its imports are paid once."""
    for name, config in configs.items():
        (site.root / f"{name}.json").write_text(config.model_dump_json(by_alias=True))
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    paths = [str(site.root / f"{name}.json") for name in configs]
    environment = {**os.environ, **ranks, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, *paths], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: json.loads((site.root / f"{name}.report").read_text()) for name in configs}


def test_each_method_ends_with_a_model_and_a_spoilt_reward_is_stopped(
    site: Site, thinker: ArtifactRef, labeller: ArtifactRef, tmp_path: Path
) -> None:
    flipped = [pair.model_copy(update={"groundtruth": OPPOSITE[pair.groundtruth]}) for pair in PAIRS]
    known = pairs_with_known_canaries(site, "known", PAIRS)
    spoilt = pairs_with_known_canaries(site, "spoilt", flipped)
    short = {**ALIGN, "optimizer": {**OPTIMIZER, "max_steps": 4}, "pass_at_k": {"pairs": 8, "samples": 4}}
    harsh = {"optimizer": {**OPTIMIZER, "learning_rate": "0.001", "max_steps": 40}, "guard_every": 3}
    reports = several(
        site,
        {
            "dpo": site.config("dpo", {**short, "method": "Dpo"}, base_model=thinker, data=known),
            "kto": site.config("kto", {**short, "method": "Kto"}, base_model=thinker, data=known),
            "expected": site.config("expected", {**short, "method": "ExpectedReward"}, base_model=labeller, data=known),
            "flipped": site.config("flipped", {**ALIGN, **harsh}, base_model=thinker, data=spoilt),
        },
    )
    for name in ("dpo", "kto", "expected"):
        assert reports[name]["phase"] == Phase.SUCCEEDED, reports[name]
        assert reports[name]["summary"]["guards"][-1]["step"] == 4
    before, *_, after = reports["expected"]["summary"]["guards"]
    assert after["entropy"] < before["entropy"]
    derived = reports["expected"]["summary"]["curves"]["tuneDerivedPassAt1"]
    assert [step for step, _ in derived] == [0, 4]
    assert "tunePassAtKChecked" in reports["kto"]["summary"]
    assert reports["flipped"]["phase"] == Phase.FAILED
    assert reports["flipped"]["failure"]["reason"] == "CanaryForgotten"
    verify(site.config("expected", short).output, tmp_path / "model")
    assert ModelKit.load(tmp_path / "model").contract.layout is PromptLayout.LABEL_FIRST


def test_a_method_that_does_not_fit_the_model_is_refused_before_a_rank_starts(
    site: Site, labeller: ArtifactRef
) -> None:
    config = site.config("misfit", ALIGN, base_model=labeller)
    assert site.start("misfit", config, 1).wait() == 1
    failure = site.report("misfit").failure
    assert failure is not None
    assert (failure.reason, failure.field) == ("BadConfig", "spec.method")
