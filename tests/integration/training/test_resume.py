"""A killed stage goes on from its last whole checkpoint and ends with the weights of an undisturbed run."""

import time
from typing import Any

import pytest
from cluster.campaign import SEED, WHOLE

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.jobs import Report
from lore_core.prompts import PromptLayout
from lore_core.training.checkpoints import complete_checkpoints
from lore_core.training.curves import CURVES_NAME

from .killing import EVERY, enough_steps, killed_after_its_first_checkpoint, killed_again_and_again, whole
from .site import Site, write_base
from .tuned import tuned

RANKS = 2
KILLS = 20 if WHOLE else 3
DROPOUT = 0.1
"""Random numbers matter at every step."""
SFT: dict[str, Any] = {
    "kind": "sft",
    "optimizer": {"batch_size": 4, "max_steps": 60, "checkpoint_every": 20, "warmup_steps": 2},
    "selection": {"pairs": 16},
}
Changes = dict[str, Any]


@pytest.fixture(scope="module")
def stages(site: Site, labeller: ArtifactRef) -> dict[str, Changes]:
    """What a stage's config says, by the name of a stage whose every batch is known beforehand."""
    base = site.publish("dropping", "base-model", lambda folder: write_base(folder, DROPOUT))
    thinker = tuned(site, PromptLayout.THINK_FIRST, DROPOUT)
    optimizer = {"batch_size": 4, "max_steps": enough_steps(KILLS), "checkpoint_every": EVERY, "warmup_steps": 2}
    sft = {"kind": "sft", "curriculum_share": "0.5", "balance_labels": True}
    distill = {"kind": "distill", "student": "Causal", "base": base, "teacher": labeller}
    distill |= {"margin_weight": "0.5", "weigh_teacher": True, "calibrate_teacher": True}
    chosen = {"metric": "LogLikelihood", "pairs": 16}
    dpo = {"kind": "align", "method": "Dpo", "preset": "Tiny", "below": "1", "candidates": 48}
    return {
        "sft": {"spec": {**sft, "optimizer": optimizer}, "base_model": base},
        "distill": {"spec": {**distill, "optimizer": optimizer, "selection": chosen}},
        "dpo": {"spec": {**dpo, "optimizer": optimizer}, "base_model": thinker},
    }


@pytest.mark.timeout(3600 if WHOLE else 600)
@pytest.mark.parametrize(("kind", "ranks"), [("sft", RANKS), ("distill", RANKS), ("dpo", RANKS if WHOLE else 1)])
def test_a_stage_killed_again_and_again_ends_with_the_weights_of_an_undisturbed_run(
    site: Site, stages: dict[str, Changes], kind: str, ranks: int
) -> None:
    undisturbed = site.config(f"{kind}-undisturbed", **stages[kind])
    site.run(f"{kind}-undisturbed", undisturbed, ranks)
    disturbed = site.config(f"{kind}-killed", **stages[kind])

    kills = killed_again_and_again(site, f"{kind}-killed", disturbed, ranks, KILLS, SEED)
    print(f"{kind}, seed {SEED}: killed {', '.join(map(str, kills))}")
    newest = whole(disturbed.checkpoints)
    report = site.run(f"{kind}-killed", disturbed, ranks)

    assert (len(kills), sum(kill.inside for kill in kills)) == (KILLS, (KILLS + 1) // 3)
    assert report.summary["resumedFromStep"] == newest
    before, after = open_store(undisturbed.output), open_store(disturbed.output)
    assert after.read_bytes(CURVES_NAME) == before.read_bytes(CURVES_NAME)
    assert after.manifest().digest == before.manifest().digest


@pytest.mark.parametrize(("zero", "before", "after"), [(2, 2, 1), (2, 1, 2), (3, 2, 1)])
def test_a_stage_goes_on_with_another_number_of_ranks(site: Site, zero: int, before: int, after: int) -> None:
    """The optimizer's state comes along: the losses are those of the undisturbed run but for the order of sums."""
    name = f"zero{zero}-{before}-{after}"
    # Answers of one length: a rank's loss is a mean over its tokens, so the mean over ranks is the same however many they are.
    spec = {**SFT, "layout": "LabelFirst"}
    undisturbed = site.run(f"{name}-whole", site.config(f"{name}-whole", spec, deepspeed={"zero_stage": zero}), before)
    config = site.config(name, spec, deepspeed={"zero_stage": zero})
    newest = killed_after_its_first_checkpoint(site, name, config, before, before - 1).step

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
