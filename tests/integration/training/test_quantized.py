"""The 8-bit variant of a published model is served as what it is: integers, and inputs rounded token by token."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lore_core.artifacts import ArtifactRef
from lore_core.artifacts.manifest import sha256_digest
from lore_core.cli import main
from lore_core.jobs import Report
from lore_core.jobs.quantize import QuantizeConfig
from lore_core.prompts import ModelKit
from lore_core.quantization.weights import quantize
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.sft import load_causal

from .conftest import Site
from .test_served import OPTIMIZER, fetched, prompts_of, served_scores

pytestmark = [pytest.mark.serving, pytest.mark.usefixtures("serving_environment")]

EXACT = 1e-4
SATURATED = 5e-3
"""Of processors without instructions for 8-bit products: oneDNN adds pairs of them in 16 bits there, which saturate
(https://oneapi-src.github.io/oneDNN/dev_guide_int8_computations.html)."""
EIGHT_BIT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


def has_eight_bit_products() -> bool:
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return flags is not None and not EIGHT_BIT_PRODUCTS.isdisjoint(flags[1].split())


def eight_bit(folder: Path, vocabulary: int) -> Any:
    """The full model, computing as its variant is to: weights and inputs of its projections rounded, all else as it is."""
    import torch

    def rounded(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        whole, scale = quantize(inputs[0].flatten(0, -2))
        return ((whole * scale).view_as(inputs[0]), *inputs[1:])

    model = load_causal(folder, vocabulary).eval()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith("_proj"):
            whole, scale = quantize(module.weight.detach())
            module.weight.data = whole * scale
            module.register_forward_pre_hook(rounded)
    return model


def test_the_variant_is_served_with_its_integers(site: Site, tmp_path: Path) -> None:
    full = site.run("full", site.config("full", {"kind": "sft", "layout": "LabelFirst", "optimizer": OPTIMIZER}))
    assert full.result is not None
    config = QuantizeConfig(
        job="j",
        stage="small",
        base_model=ArtifactRef(uri=full.result.uri, digest=full.result.digest),
        workspace=ArtifactRef(uri=(site.root / "small").as_uri()),
        input_key=sha256_digest(b"small"),
    )
    asked, told = tmp_path / "config.json", tmp_path / "report.json"
    asked.write_text(config.model_dump_json(by_alias=True))
    assert main(["quantize", "--config", str(asked), "--report", str(told)]) == 0
    variant = fetched(Report.model_validate_json(told.read_text()), tmp_path / "variant")
    kit = ModelKit.load(variant)
    prompts = prompts_of(site, kit)
    served = served_scores(variant, prompts).probabilities
    source = fetched(full, tmp_path / "full")
    expected = TransformersScorer.of(kit, eight_bit(source, kit.encoder.size)).score(prompts).probabilities
    exact = TransformersScorer(source).score(prompts).probabilities
    if has_eight_bit_products():
        assert np.abs(served - expected).max() < EXACT
        assert np.abs(served - exact).max() > 2 * np.abs(served - expected).max()
    else:
        assert 0 < np.abs(served - exact).max() < SATURATED
        assert np.abs(served - expected).max() < SATURATED
