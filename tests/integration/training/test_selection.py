"""A stage that selects ends with the weights that did best on the tune split, and stops when none gets better."""

from pathlib import Path
from typing import Any

import numpy as np

from lore_core.artifacts import ArtifactRef, open_store, verify
from lore_core.jobs import Report
from lore_core.prompts import ModelKit, RuleSource
from lore_core.records import LABELS
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.checkpoints import complete_checkpoints
from lore_core.training.tune import tune_sample, tune_scores

from .site import WORLD, Site

OPTIMIZER: dict[str, Any] = {"batch_size": 4, "max_steps": 18, "warmup_steps": 1, "checkpoint_every": 4}
SFT: dict[str, Any] = {"kind": "sft", "layout": "LabelFirst"}


def log_likelihood(site: Site, report: Report, pairs: int, folder: Path) -> float:
    """Of the published model, scored from its files alone."""
    assert report.result is not None
    verify(ArtifactRef(uri=report.result.uri, digest=report.result.digest), folder)
    kit = ModelKit.load(folder)
    rules = RuleSource.load(kit.contract.rule_mode, site.root / "rules")
    chosen = tune_sample(list(WORLD.pairs("tune", "general")), pairs, 17)
    scores = TransformersScorer(folder).score([kit.render(pair, rules(pair)) for pair in chosen])
    gold = np.array([LABELS.index(pair.groundtruth) for pair in chosen])
    return tune_scores(scores.probabilities, gold)["LogLikelihood"]  # type: ignore[index]


def test_the_published_weights_are_the_best_ones(site: Site, tmp_path: Path) -> None:
    # A rate this high makes the loss jump about, so that the last step is hardly the best one.
    spec = {**SFT, "optimizer": {**OPTIMIZER, "learning_rate": "0.05"}}
    spec["selection"] = {"metric": "LogLikelihood", "pairs": 24}
    config = site.config("select", spec, deepspeed={"zero_stage": 3})
    report = site.run("select", config)
    points = report.summary["curves"]["tuneLogLikelihood"]
    assert [step for step, _ in points] == [4, 8, 12, 16, 18]
    best_step, best = max(points, key=lambda point: (point[1], -point[0]))
    assert (report.summary["step"], report.summary["tuneLogLikelihood"]) == (best_step, f"{best:.4f}")
    assert abs(log_likelihood(site, report, 24, tmp_path / "model") - best) < 1e-4
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| `s` | tuneLogLikelihood | {best:.4f} | 24 |" in card
    assert site.pairs.digest is not None
    assert site.pairs.digest in card


def test_a_stage_that_gets_no_better_stops_early(site: Site) -> None:
    spec = {**SFT, "optimizer": {**OPTIMIZER, "learning_rate": "0", "max_steps": 1000, "keep_checkpoints": 1}}
    spec["selection"] = {"pairs": 8, "patience": 2}
    config = site.config("patience", spec)
    report = site.run("patience", config)
    assert (report.summary["step"], [step for step, _ in report.summary["curves"]["tuneMacroF1"]]) == (4, [4, 8, 12])
    assert [one.step for one in complete_checkpoints(config.checkpoints)] == [12, 4]
    assert open_store(config.checkpoints).folders() == ["step12", "step4"]
