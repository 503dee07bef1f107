"""A variant with 8-bit layers: another digest, the full model's contract and lineage, and numbers within half a step."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lore_core.artifacts import ArtifactRef, publish, verify
from lore_core.artifacts.manifest import sha256_digest
from lore_core.benchmark.lexicon import vocabulary
from lore_core.cli import main
from lore_core.jobs import Report, RuleMode
from lore_core.jobs.quantize import QuantizeConfig
from lore_core.prompts import CONTRACT_NAME, ModelKit, PromptLayout, build_contract
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.card import CARD_NAME
from lore_core.training.export import publish_model, write_model
from lore_core.training.lineage import LINEAGE, MadeBy, lineage_json, lineage_of

torch = pytest.importorskip("torch")

DATA = "sha256:" + "d" * 64
SHAPE = BaseSettings(layers=2, width=64, heads=2, feed_forward=96)
MADE = MadeBy(
    stage="tuned",
    kind="sft",
    step=3,
    steps=3,
    batch_size=8,
    learning_rate="0.002",
    final_loss="0.5",
    inputs={"data": DATA},
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ArtifactRef:
    """A model as a stage publishes it, its weights in two files."""
    root = tmp_path_factory.mktemp("full")
    base, folder = root / "base", root / "source"
    base.mkdir()
    folder.mkdir()
    encoder = write_tokenizer(vocabulary(), base)
    torch.manual_seed(3)
    model = small_model(SHAPE, encoder)
    kit = ModelKit(build_contract(encoder, PromptLayout.LABEL_FIRST, RuleMode.NONE, 96), encoder)
    write_model(model, model.state_dict(), kit, base, folder)
    model.save_pretrained(str(folder), max_shard_size="150KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    (folder / CARD_NAME).write_text("# tuned\n")
    about = {LINEAGE: lineage_json((MADE,))}
    return publish_model(folder, ArtifactRef(uri=(root / "model").as_uri()), kit, {"data": DATA}, about)


def quantized(full: ArtifactRef, folder: Path) -> tuple[int, Report]:
    config = QuantizeConfig(
        job="j",
        stage="small",
        base_model=full,
        workspace=ArtifactRef(uri=(folder / "workspace").as_uri()),
        input_key=sha256_digest(b"work"),
    )
    path, report = folder / "config.json", folder / "report.json"
    path.write_text(config.model_dump_json(by_alias=True))
    status = main(["quantize", "--config", str(path), "--report", str(report)])
    return status, Report.model_validate_json(report.read_text())


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: value for path in folder.glob("*.safetensors") for name, value in load_file(str(path)).items()}


def test_the_variant_is_a_model_of_its_own_with_the_full_ones_contract_and_lineage(
    full: ArtifactRef, tmp_path: Path
) -> None:
    status, report = quantized(full, tmp_path)
    assert status == 0
    assert report.result is not None
    assert report.resolved == {"baseModel": full.digest}
    manifest = verify(ArtifactRef(uri=report.result.uri, digest=report.result.digest), tmp_path / "variant")
    verify(full, tmp_path / "full")
    assert manifest.digest != full.digest
    assert manifest.inputs == {"baseModel": full.digest}
    assert manifest.metadata["quantized"] == {"scheme": "W8A8Int8", "from": full.digest}
    assert (manifest.metadata["role"], manifest.metadata["layout"]) == ("Generative", "LabelFirst")
    assert lineage_of(tmp_path / "variant", "model") == (MADE,)
    same = (CONTRACT_NAME, "tokenizer.json")
    assert all((tmp_path / "variant" / name).read_bytes() == (tmp_path / "full" / name).read_bytes() for name in same)
    card = (tmp_path / "variant" / CARD_NAME).read_text()
    assert card.startswith("# tuned\n")
    assert f"Made of `{full.digest}`" in card


def test_every_projection_is_within_half_a_step_and_nothing_else_changed(full: ArtifactRef, tmp_path: Path) -> None:
    _, report = quantized(full, tmp_path)
    assert report.result is not None
    verify(ArtifactRef(uri=report.result.uri, digest=report.result.digest), tmp_path / "variant")
    verify(full, tmp_path / "full")
    before, after = weights(tmp_path / "full"), weights(tmp_path / "variant")
    rounded = {name for name, value in after.items() if value.dtype == torch.int8}
    assert rounded == {name for name in before if name.endswith("_proj.weight")}
    assert len(rounded) == report.summary["layers"] == 7 * SHAPE.layers
    for name, value in before.items():
        if name not in rounded:
            assert torch.equal(after[name], value), name
            continue
        scale = after[f"{name}_scale"]
        assert (scale.shape, scale.dtype) == ((len(value), 1), torch.float32)
        assert ((after[name] * scale - value).abs() <= scale / 2 * 1.001).all(), name
        assert (after[name].abs().amax(1) == 127).all(), name  # no finer step holds a channel's largest weight
    assert report.summary["bytes"] < report.summary["bytesBefore"]
    assert 0 < float(report.summary["relativeError"]) < 0.02
    index = json.loads((tmp_path / "variant/model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == after.keys()
    assert len(set(index["weight_map"].values())) > 1


def test_equal_work_is_found_again(full: ArtifactRef, tmp_path: Path) -> None:
    first, second = (quantized(full, tmp_path)[1].result for _ in range(2))
    assert first is not None
    assert second == first.model_copy(update={"reused": True})


def classifier(folder: Path) -> None:
    contract = json.loads((folder / CONTRACT_NAME).read_text())
    contract |= {"layout": "Classifier", "verbaliser": {**contract["verbaliser"], "tokenIds": [0, 1, 2, 3]}}
    (folder / CONTRACT_NAME).write_text(json.dumps(contract))


def quantized_already(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "awq"}}))


def without_safetensors(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        path.unlink()


def with_experts(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({"model.layers.0.mlp.gate.weight": torch.zeros(4, 64)}, str(folder / "experts.safetensors"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (classifier, "baseModel: has layout Classifier; only language models are quantised"),
        (quantized_already, "baseModel: is quantised already"),
        (without_safetensors, "baseModel: has no safetensors file"),
        (with_experts, r"baseModel: has the layer model\.layers\.0\.mlp\.gate\.weight"),
    ],
)
def test_what_cannot_be_quantised_is_refused_with_the_reason(
    full: ArtifactRef, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    verify(full, tmp_path / "source")
    (tmp_path / "source/lore-manifest.json").unlink()
    spoil(tmp_path / "source")
    status, report = quantized(
        publish(tmp_path / "source", ArtifactRef(uri=(tmp_path / "bad").as_uri()), "model"), tmp_path
    )
    assert status == 1
    assert report.failure is not None
    assert (report.failure.reason, report.failure.field) == ("BadBaseModel", "baseModel")
    assert re.search(said, report.failure.message)
    assert not (tmp_path / "workspace").exists()
