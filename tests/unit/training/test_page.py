"""How a stage went, from the model artifact alone."""

from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.cli import main
from lore_core.training.curves import CURVES_NAME, TrainingCurves
from lore_core.training.lineage import LINEAGE, lineage_json
from lore_core.training.page import training_page

from .test_card import made

CURVES = {"loss": [[1, 2.0], [2, 1.0]], "reward": [[2, 0.5]], "tuneMacroF1": [[2, 0.75]], "other": [[1, 3.0]]}


def model(tmp_path: Path, curves: bytes | None) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    if curves is not None:
        (source / CURVES_NAME).write_bytes(curves)
    where = tmp_path / "model"
    publish(source, ArtifactRef(uri=where.as_uri()), "model", {}, {LINEAGE: lineage_json((made("tuned"),))})
    return where


def test_a_page_draws_every_curve_and_fetches_nothing() -> None:
    text = training_page([made("tuned", scores={"tuneMacroF1": "0.7500"}, scored_pairs=40)], CURVES)
    for title in ("<h2>Loss</h2>", "<h2>Reward</h2>", "<h2>Tune split</h2>", "<h2>other</h2>"):
        assert title in text
    assert "Entropy" not in text
    assert text.count("<polyline") == 4
    assert "<td>tuneMacroF1</td><td>0.7500</td><td>40</td>" in text
    assert not [word for word in ("http:", "https:", "<script", "<link", "@import") if word in text]


def test_the_page_is_written_from_a_verified_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = model(tmp_path, TrainingCurves.model_validate({"curves": CURVES}).to_bytes())
    assert main(["train", "report", str(where), "--html", str(tmp_path / "page.html")]) == 0
    assert "Stage tuned: sft" in (tmp_path / "page.html").read_text()
    (where / CURVES_NAME).write_text("{}")
    assert main(["train", "report", str(where), "--html", str(tmp_path / "other.html")]) == 1
    assert "content does not match the manifest" in capsys.readouterr().err
    assert not (tmp_path / "other.html").exists()


def test_a_page_shows_pass_at_k_from_stage_to_stage() -> None:
    curves = {"tunePassAt1": [[0, 0.5], [4, 0.75]], "tuneDerivedPassAt1": [[4, 0.25]]}
    sampled = {"pairs": 32, "samples": 8, "scores": {"tunePassAt1": "0.5000"}}
    text = training_page([made("tuned", sampled=sampled), made("aligned", "align Grpo")], curves)
    assert "<h2>Answers sampled on the tune split</h2>" in text
    assert "not comparable with sampled answers</h2>" in text
    assert "<td>tuned</td><td>tunePassAt1</td><td>0.5000</td><td>32 pairs, 8 answers each</td>" in text


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        (None, "lore-training.json: not there"),
        (b'{"curves":{"a b":[[1,2]]}}', "lore-training.json: curves.a b.[key]: String should match pattern"),
    ],
)
def test_a_model_without_readable_curves_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], curves: bytes | None, said: str
) -> None:
    assert main(["train", "report", str(model(tmp_path, curves)), "--html", str(tmp_path / "page.html")]) == 1
    assert said in capsys.readouterr().err
