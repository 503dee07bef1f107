"""A killed stage goes on from its last whole checkpoint and ends with the weights of an undisturbed run."""

import os
import time
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.jobs import Report
from lore_core.training.checkpoints import complete_checkpoints

from .killing import killed_after_a_checkpoint, killed_many_times
from .site import Site

RANKS = 2
CAMPAIGN = os.environ.get("LORE_CAMPAIGN") == "1"
KILLS, STEPS = (20, 800) if CAMPAIGN else (3, 120)
SFT: dict[str, Any] = {
    "kind": "sft",
    "optimizer": {"batch_size": 4, "max_steps": 120, "checkpoint_every": 20, "warmup_steps": 2},
    "selection": {"pairs": 16},
}


def stage(site: Site, kind: str, thinker: ArtifactRef, labeller: ArtifactRef) -> tuple[dict[str, Any], dict[str, Any]]:
    """The spec of a stage whose every batch is drawn beforehand, and its inputs."""
    optimizer = {"batch_size": 4, "max_steps": STEPS, "checkpoint_every": 20, "warmup_steps": 2}
    match kind:
        case "sft":
            return {"kind": "sft", "optimizer": optimizer, "selection": {"pairs": 16}}, {}
        case "dpo":
            align = {"kind": "align", "method": "Dpo", "preset": "Tiny", "below": "1", "candidates": 48}
            return {**align, "optimizer": optimizer, "guard_every": 1_000_000}, {"base_model": thinker}
        case _:
            distill = {"kind": "distill", "student": "Causal", "base": site.base, "teacher": labeller}
            return {**distill, "optimizer": optimizer}, {}


@pytest.mark.parametrize("kind", ["sft", "dpo", "distill"])
def test_a_stage_killed_again_and_again_ends_with_the_same_weights(
    site: Site, thinker: ArtifactRef, labeller: ArtifactRef, kind: str
) -> None:
    spec, inputs = stage(site, kind, thinker, labeller)
    undisturbed = site.config(f"{kind}-undisturbed", spec, **inputs)
    site.run(f"{kind}-undisturbed", undisturbed, RANKS)
    disturbed = site.config(f"{kind}-disturbed", spec, **inputs)

    seed = int(os.environ.get("LORE_SEED", "1"))
    fell = killed_many_times(site, f"{kind}-disturbed", disturbed, RANKS, KILLS, seed)
    assert not open_store(disturbed.output).exists()
    newest = complete_checkpoints(disturbed.checkpoints)[0].step
    report = site.run(f"{kind}-disturbed", disturbed, RANKS)

    print(f"{kind}, seed {seed}: killed {', '.join(fell)}; went on from step {newest}")
    assert report.summary["resumedFromStep"] == newest
    assert report.result is not None
    assert report.result.digest == open_store(undisturbed.output).manifest().digest


@pytest.mark.parametrize(("zero", "before", "after"), [(2, 2, 1), (2, 1, 2), (3, 2, 1)])
def test_a_stage_goes_on_with_another_number_of_ranks(site: Site, zero: int, before: int, after: int) -> None:
    """The optimizer's state comes along: the losses are those of the undisturbed run but for the order of sums."""
    name = f"zero{zero}-{before}-{after}"
    # Answers of one length: a rank's loss is a mean over its tokens, so the mean over ranks is the same however many they are.
    spec = {**SFT, "layout": "LabelFirst", "optimizer": {**SFT["optimizer"], "max_steps": 60}}
    undisturbed = site.run(f"{name}-whole", site.config(f"{name}-whole", spec, deepspeed={"zero_stage": zero}), before)
    config = site.config(name, spec, deepspeed={"zero_stage": zero})
    assert killed_after_a_checkpoint(site.start(name, config, before), config.checkpoints, before - 1) != 0
    newest = complete_checkpoints(config.checkpoints)[0].step

    report = site.run(name, config, after)

    assert report.summary["resumedFromStep"] == newest
    assert losses(report) == pytest.approx(losses(undisturbed), rel=1e-4)


def losses(report: Report) -> list[float]:
    return [value for _, value in report.summary["curves"]["loss"]]  # type: ignore[index, union-attr]


def test_a_suspended_stage_saves_before_it_ends(site: Site) -> None:
    # No checkpoint is due in these steps: the only one is that of the termination signal.
    spec = {**SFT, "optimizer": {**SFT["optimizer"], "max_steps": 100_000, "checkpoint_every": 100_000}}
    config = site.config("suspended", spec)
    process = site.start("suspended", config, RANKS)
    while not stepping(site):
        assert process.poll() is None
        time.sleep(0.02)  # polls a file of another process; nothing here depends on how long it takes
    process.terminate()
    assert process.wait() != 0
    saved = complete_checkpoints(config.checkpoints)[0]
    assert (saved.world_size, saved.step > 0) == (RANKS, True)


def stepping(site: Site) -> bool:
    path = site.report_path("suspended")
    progress = site.report("suspended").progress if path.exists() else None
    return progress is not None and progress.step > 0
