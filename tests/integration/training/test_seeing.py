"""A base that sees, from `lore model add-vision` to a served model: pictures are trained as they are shown."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lore_core.artifacts import MANIFEST_NAME, ArtifactRef, open_store, publish, verify
from lore_core.cli import main
from lore_core.jobs import Report, ServingProfile
from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt
from lore_core.records import Pair, write_pairs
from lore_core.scoring.client import VllmClient
from lore_core.scoring.reference import TransformersScorer
from lore_core.scoring.scores import LabelScores
from lore_core.scoring.server import LocalServer
from lore_core.training.checkpoints import complete_checkpoints

from .killing import killed_after_its_first_checkpoint
from .site import WORLD, Site

TOLERANCE = 1e-4
PROFILE = ServingProfile(image="local", dtype="float32", max_model_len=200)
OPTIMIZER: dict[str, Any] = {"batch_size": 8, "max_steps": 12, "warmup_steps": 1, "learning_rate": "0.01"}
SPEC: dict[str, Any] = {"kind": "sft", "rule_mode": "None", "optimizer": OPTIMIZER}


class Pictured:
    """A site with pairs of which some have a picture, and a base that sees."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pairs = self._published_pairs()
        self.base = self._seeing_base()

    def _published_pairs(self) -> ArtifactRef:
        source = self.site.root / "pictured-source"
        source.mkdir()
        for split in ("train", "tune"):
            write_pairs(source / f"{split}.jsonl", some(split))
        return publish(source, ArtifactRef(uri=(self.site.root / "pictured").as_uri()), "pairs")

    def _seeing_base(self) -> ArtifactRef:
        out = self.site.root / "seeing-base"
        assert add_vision(self.site.root / "base", self.site.root / "pictured" / "train.jsonl", out) == 0
        ref = ArtifactRef(uri=out.as_uri())
        return ref.model_copy(update={"digest": open_store(ref).manifest().digest})

    def run(self, name: str, spec: dict[str, Any], ranks: int = 1, **changes: Any) -> Report:
        config = self.site.config(name, SPEC | spec, **{"base_model": self.base, "data": self.pairs} | changes)
        return self.site.run(name, config, ranks)

    def startled(self, folder: Path) -> ArtifactRef:
        """The base with weights so large that every picture moves a score."""
        import torch
        from transformers import AutoModelForImageTextToText

        verify(self.base, folder)
        (folder / MANIFEST_NAME).unlink()
        model = AutoModelForImageTextToText.from_pretrained(str(folder), dtype="float32")
        torch.manual_seed(3)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "norm" not in name:
                    weight.normal_(0.0, 0.15)
        model.save_pretrained(str(folder))
        (folder / "generation_config.json").unlink(missing_ok=True)
        return publish(folder, ArtifactRef(uri=folder.with_name("startled").as_uri()), "base-model")


def some(split: str) -> list[Pair]:
    """Pairs that need the picture, some of which have lost it, and pairs that never had one."""
    visual = list(WORLD.pairs(split, "visual"))
    lost = [pair.model_copy(update={"image_base64": ""}) for pair in visual[::3]]
    return [*lost, *(pair for place, pair in enumerate(visual) if place % 3), *WORLD.pairs(split, "general")]


def add_vision(base: Path, pictures: Path, out: Path, steps: int = 3) -> int:
    words = ["--base", str(base), "--pictures", str(pictures), "--out", str(out), "--steps", str(steps)]
    return main(["model", "add-vision", *words])


@pytest.fixture(scope="module")
def pictured(site: Site) -> Pictured:
    return Pictured(site)


def fetched(report: Report, folder: Path) -> Path:
    assert report.result is not None
    verify(ArtifactRef(uri=report.result.uri, digest=report.result.digest), folder)
    return folder


def test_equal_inputs_give_an_equal_base_with_the_words_of_the_text_base(
    pictured: Pictured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file

    root = pictured.site.root
    train = root / "pictured" / "train.jsonl"
    assert add_vision(root / "base", train, tmp_path / "again") == 0
    again = open_store(ArtifactRef(uri=(tmp_path / "again").as_uri())).manifest()
    assert again.digest == pictured.base.digest
    assert (again.kind, again.metadata["pictures"]) == ("base-model", len({p.image_base64 for p in some("train")}) - 1)
    assert add_vision(root / "base", train, tmp_path / "again") == 0
    assert "reused" in capsys.readouterr().out
    assert add_vision(root / "base", train, tmp_path / "again", steps=4) == 1
    assert "holds a base model of other inputs" in capsys.readouterr().err
    assert add_vision(root / "base", train, tmp_path / "fresh", steps=0) == 0
    text, seeing = (load_file(folder / "model.safetensors") for folder in (root / "base", tmp_path / "fresh"))
    layer = "layers.0.mlp.up_proj.weight"
    assert (seeing[f"model.language_model.{layer}"] == text[f"model.{layer}"]).all()


def test_a_broken_picture_ends_a_stage_before_a_rank_starts(pictured: Pictured, tmp_path: Path) -> None:
    pairs = some("train")
    torn = pairs[-1].model_copy(update={"image_base64": "iVBORw0KGgo=", "id": "torn"})
    shutil.copytree(pictured.site.root / "pictured-source", tmp_path / "files")
    write_pairs(tmp_path / "files" / "train.jsonl", [*pairs, torn])
    data = publish(tmp_path / "files", ArtifactRef(uri=(tmp_path / "pairs").as_uri()), "pairs")
    config = pictured.site.config("torn", SPEC, base_model=pictured.base, data=data)

    assert pictured.site.start("torn", config, 1).wait() == 1

    failure = pictured.site.report("torn").failure
    assert failure is not None
    assert (failure.reason, failure.file, failure.line) == ("BadRecord", "train.jsonl", len(pairs) + 1)
    assert failure.field == "image_base64"


@pytest.mark.parametrize("zero", [2, 3])
def test_two_ranks_train_what_one_has_pictures_of_and_the_other_may_not(
    pictured: Pictured, tmp_path: Path, zero: int
) -> None:
    """Two pairs a step: a rank often has words alone, while the other's gradients are of the tower too."""
    optimizer = {**OPTIMIZER, "batch_size": 2, "checkpoint_every": 6}
    knobs = {"selection": {"pairs": 8}, "pass_at_k": {"pairs": 4, "samples": 2}, "label_weight": "2"}
    report = pictured.run(f"ranks{zero}", {"optimizer": optimizer, **knobs}, 2, deepspeed={"zero_stage": zero})

    pairs = some("train")
    lost = sum(not pair.image_base64 and bool(pair.vqa_result) for pair in pairs)
    seen = sum(bool(pair.image_base64) for pair in pairs)
    expected = {"nothing": len(pairs) - lost - seen, "picture": seen, "words": lost}
    assert report.summary["pictures"] == expected
    assert {"tuneMacroF1", "tunePassAt1"} <= report.measured.keys()
    folder = fetched(report, tmp_path / "model")
    assert "image-text-to-text" in (folder / "README.md").read_text()
    assert {"preprocessor_config.json", "chat_template.jinja"} <= {path.name for path in folder.iterdir()}


def test_a_killed_stage_resumes_with_the_same_pictures(pictured: Pictured) -> None:
    spec = {**SPEC, "optimizer": {**OPTIMIZER, "batch_size": 4, "max_steps": 60, "checkpoint_every": 10}}
    data = {"base_model": pictured.base, "data": pictured.pairs}
    undisturbed = pictured.site.run("seen-whole", pictured.site.config("seen-whole", spec, **data), 2)
    config = pictured.site.config("seen-killed", spec, **data)
    killed_after_its_first_checkpoint(pictured.site, "seen-killed", config, 2)
    newest = complete_checkpoints(config.checkpoints)[0].step

    report = pictured.site.run("seen-killed", config, 2)

    assert report.summary["resumedFromStep"] == newest
    assert report.result is not None
    assert undisturbed.result is not None
    assert report.result.digest == undisturbed.result.digest


@pytest.mark.serving
@pytest.mark.usefixtures("serving_environment")
@pytest.mark.parametrize("layout", ["LabelFirst", "ThinkFirst"])
def test_a_trained_model_is_served_as_transformers_computes_it(pictured: Pictured, tmp_path: Path, layout: str) -> None:
    base = pictured.startled(tmp_path / "base")
    spec = {"layout": layout, "optimizer": {**OPTIMIZER, "learning_rate": "0.0001"}}
    folder = fetched(pictured.run(f"served-{layout}", spec, base_model=base), tmp_path / "model")
    kit = ModelKit.load(folder)
    assert kit.contract.layout is PromptLayout(layout)
    pairs = some("tune")
    prompts = [kit.render(pair) for pair in pairs]
    assert {prompt.picture is None for prompt in prompts} == {True, False}

    own, served = TransformersScorer(folder).score(prompts), served_scores(folder, prompts)

    assert served.traces == own.traces
    assert np.abs(served.probabilities - own.probabilities).max() < TOLERANCE
    pictures = [pair.image_base64 for pair in pairs if pair.image_base64]
    other = [
        kit.render(pair.model_copy(update={"image_base64": pictures[place % len(pictures)]}))
        for place, pair in enumerate(pairs)
        if pair.image_base64
    ]
    seen = [place for place, pair in enumerate(pairs) if pair.image_base64]
    moved = TransformersScorer(folder).score(other).probabilities - own.probabilities[seen]
    assert np.abs(moved).max() > 10 * TOLERANCE  # what is in the picture is what the score is of


def served_scores(folder: Path, prompts: list[RenderedPrompt]) -> LabelScores:
    async def scored(url: str, name: str) -> LabelScores:
        async with VllmClient(ModelKit.load(folder), url, name, concurrency=16) as client:
            return await client.score(prompts)

    with LocalServer(folder, PROFILE) as server:
        return asyncio.run(scored(server.base_url, server.model))
