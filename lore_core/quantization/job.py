"""`lore quantize`: publish a model's 8-bit variant as a model of its own, with the whole lineage of the full one."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from lore_core.artifacts import MANIFEST_NAME, open_store, verify
from lore_core.jobs.errors import JobError
from lore_core.jobs.quantize import QuantizeConfig
from lore_core.jobs.report import Result
from lore_core.jobs.reporter import Reporter
from lore_core.prompts import ModelKit
from lore_core.quantization.weights import CONFIG_NAME, INDEX_NAME, SCHEME, Rounded, write_quantized
from lore_core.records.schema import require_schema
from lore_core.training.card import CARD_NAME
from lore_core.training.export import KIND, QUANTIZED, publish_model
from lore_core.training.lineage import LINEAGE, lineage_json, lineage_of

_ROLE: Final = "baseModel"


def run_quantize(config: QuantizeConfig, reporter: Reporter) -> Result:
    """The whole stage. Raises JobError, ArtifactError or ContractError; each has a documented `reason`."""
    store = open_store(config.output)
    if store.exists():
        found = Result(uri=config.output.uri, digest=store.manifest().digest, reused=True)
        reporter.succeeded(found, {})
        return found
    with tempfile.TemporaryDirectory(prefix="lore-quantize-") as work:
        source, folder = Path(work) / _ROLE, Path(work) / "model"
        folder.mkdir()
        digest = _fetched(config, source)
        reporter.started({_ROLE: digest})
        summary, ref = _made(config, digest, source, folder)
    assert ref.digest is not None  # publish returns the digest
    made = Result(uri=ref.uri, digest=ref.digest)
    reporter.succeeded(made, summary)
    return made


def _fetched(config: QuantizeConfig, folder: Path) -> str:
    """Fetch and verify the model; returns its digest."""
    manifest = verify(config.base_model, folder)
    if manifest.kind != KIND:
        raise JobError(
            "WrongArtifactKind",
            f"{_ROLE}: {config.base_model.uri} is a {manifest.kind}, needed is a {KIND}",
            field=_ROLE,
        )
    require_schema(_ROLE, config.base_model.uri, manifest.metadata)
    return manifest.digest


def _made(config: QuantizeConfig, digest: str, source: Path, folder: Path) -> tuple[dict[str, Any], Any]:
    kit = ModelKit.load(source)
    if not kit.contract.layout.writes:
        raise JobError(
            "BadBaseModel",
            f"{_ROLE}: has layout {kit.contract.layout}; only language models are quantised, name one",
            field=_ROLE,
        )
    done = write_quantized(source, folder)
    for path in sorted(source.iterdir()):
        if path.suffix != ".safetensors" and path.name not in (CONFIG_NAME, INDEX_NAME, CARD_NAME, MANIFEST_NAME):
            shutil.copyfile(path, folder / path.name)
    (folder / CARD_NAME).write_text(_card(source, digest, done), encoding="utf-8")
    about: dict[str, JsonValue] = {
        "stage": config.stage,
        QUANTIZED: {"scheme": SCHEME, "from": digest},
        LINEAGE: lineage_json(lineage_of(source, _ROLE)),
    }
    return _summary(done), publish_model(folder, config.output, kit, {_ROLE: digest}, about)


def _summary(done: Rounded) -> dict[str, Any]:
    return {
        "layers": done.layers,
        "bytesBefore": done.bytes_before,
        "bytes": done.bytes_after,
        "relativeError": f"{done.relative_error:.6f}",
    }


def _card(source: Path, digest: str, done: Rounded) -> str:
    """The full model's card, and what was done to it."""
    card = source / CARD_NAME
    told = card.read_text(encoding="utf-8") if card.is_file() else "# A model that was imported\n"
    return (
        f"{told}\n## Quantised\n\nMade of `{digest}`, whose stages and scores stand above; none was measured of this variant."
        f" {done.layers} linear layers hold 8-bit weights, a scale each output channel, and take inputs rounded to 8 bits, a scale"
        f" and a zero point each token ({SCHEME}). Rounding changed their weights by {done.relative_error:.4f} of their norm.\n"
    )
