"""The 8-bit variant of a published model is served as what it is: integers, and inputs rounded token by token."""

import os
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

from .site import Site
from .test_served import OPTIMIZER, fetched, prompts_of, served_scores

pytestmark = [pytest.mark.serving, pytest.mark.usefixtures("serving_environment")]

TOLERANCE = 1e-4
EIGHT_BIT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}
BEFORE_EIGHT_BIT_PRODUCTS = {"SSE41", "AVX", "AVX2", "AVX512_CORE"}


def saturates() -> bool:
    """Whether oneDNN has or may use no instruction for 8-bit products: its sums of two saturate at 16 bits then.

    https://oneapi-src.github.io/oneDNN/dev_guide_int8_computations.html
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA") in BEFORE_EIGHT_BIT_PRODUCTS:
        return True
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return flags is not None and EIGHT_BIT_PRODUCTS.isdisjoint(flags[1].split())


def by_token(inputs: Any) -> tuple[Any, Any, Any]:
    """Inputs (n×k) as signed bytes with a scale and a zero point a row (n×1): a row's range becomes -128 to 127."""
    low, high = inputs.amin(1, keepdim=True), inputs.amax(1, keepdim=True)
    scale = (high - low) / 255
    zero = (-128 - low / scale).round()
    return (inputs / scale + zero).round().clamp(-128, 127).int(), scale, zero.int()


def product(inputs: Any, weight: Any) -> Any:
    """Inputs (n×k) times a layer's weight (m×k), both rounded to signed bytes, as this processor adds them up."""
    (whole, scale, zero), (rows, by_row) = by_token(inputs), quantize(weight)
    rows = rows.int()
    if not saturates():
        total = whole @ rows.T
    else:
        above = whole + 128  # the instruction takes unsigned inputs; what that adds is taken away at the end
        total = -128 * rows.sum(1)[None, :].repeat(len(whole), 1)
        for first in range(0, whole.shape[1], 2):
            two = above[:, None, first : first + 2] * rows[None, :, first : first + 2]
            total += two.sum(2).clamp(-(1 << 15), (1 << 15) - 1)
    return (total - zero * rows.sum(1)[None, :]).float() * scale * by_row.flatten()[None, :]


def eight_bit(folder: Path, vocabulary: int) -> Any:
    """The full model, computing as its variant is to: weights and inputs of its projections rounded, all else as it is."""
    import torch

    def rounded(module: Any, inputs: tuple[Any, ...], _output: Any) -> Any:
        found = product(inputs[0].flatten(0, -2), module.weight.detach())
        return found.view(*inputs[0].shape[:-1], -1)

    model = load_causal(folder, vocabulary).eval()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith("_proj"):
            assert module.bias is None
            module.register_forward_hook(rounded)
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
    assert np.abs(served - expected).max() < TOLERANCE
    assert np.abs(served - exact).max() > 2 * np.abs(served - expected).max()
