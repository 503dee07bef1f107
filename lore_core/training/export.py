"""From trained weights to a published model artifact."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef, open_store, publish
from lore_core.prompts import CONTRACT_NAME, ModelKit, PromptLayout

KIND: Final = "model"
QUANTIZED: Final = "quantized"
"""Key of the manifest's metadata, of a variant with 8-bit weights: its scheme, and the digest that it was made `from`."""
_TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def write_model(model: Any, weights: Mapping[str, Any], kit: ModelKit, base: Path, folder: Path) -> None:
    """Fill `folder` with config, safetensors weights, the base's tokenizer and the serving contract."""
    model.save_pretrained(str(folder), state_dict=dict(weights))
    # Decoding defaults of the base would be a second, unbound source of serving parameters.
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in _TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    (folder / CONTRACT_NAME).write_bytes(kit.contract.to_bytes())


def publish_model(
    folder: Path, to: ArtifactRef, kit: ModelKit, inputs: Mapping[str, str], metadata: Mapping[str, JsonValue]
) -> ArtifactRef:
    """Publish the folder, read its manifest back, and return the ref with its digest."""
    classify = kit.contract.layout is PromptLayout.CLASSIFIER
    about = {"role": "Classifier" if classify else "Generative", "layout": str(kit.contract.layout)}
    about |= {"promptDigest": kit.contract.prompt_digest, "labelSchema": kit.contract.label_schema}
    ref = publish(folder, to, KIND, inputs, {**about, **metadata})
    open_store(ref).manifest()
    return ref
