"""From trained weights to a published model artifact."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef, open_store, publish
from lore_core.prompts import CONTRACT_NAME, ModelKit, PromptLayout
from lore_core.scoring.wire import CHAT_TEMPLATE, CHAT_TEMPLATE_NAME

KIND: Final = "model"
_ROLES: Final = {PromptLayout.CLASSIFIER: "Classifier", PromptLayout.TWO_TOWER: "TwoTower"}
QUANTIZED: Final = "quantized"
"""Key of the manifest's metadata, of a variant with 8-bit weights: its scheme, and the digest that it was made `from`."""
_PICTURE_FILES: Final = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
_TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def write_model(model: Any, weights: Mapping[str, Any], kit: ModelKit, base: Path, folder: Path) -> None:
    """Fill `folder` with config, safetensors weights, the base's tokenizer and the serving contract.

    One that is shown pictures has the base's processor too, and the chat template that its prompts are made by.
    """
    model.save_pretrained(str(folder), state_dict=dict(weights))
    # Decoding defaults of the base would be a second, unbound source of serving parameters.
    (folder / "generation_config.json").unlink(missing_ok=True)
    shows_pictures = kit.contract.image_tokens is not None
    for name in (*_TOKENIZER_FILES, *(_PICTURE_FILES if shows_pictures else ())):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    if shows_pictures:
        (folder / CHAT_TEMPLATE_NAME).write_text(CHAT_TEMPLATE, encoding="utf-8")
    (folder / CONTRACT_NAME).write_bytes(kit.contract.to_bytes())


def publish_model(
    folder: Path, to: ArtifactRef, kit: ModelKit, inputs: Mapping[str, str], metadata: Mapping[str, JsonValue]
) -> ArtifactRef:
    """Publish the folder, read its manifest back, and return the ref with its digest."""
    layout = kit.contract.layout
    about = {"role": _ROLES.get(layout, "Generative"), "layout": str(layout)}
    about |= {"promptDigest": kit.contract.prompt_digest, "labelSchema": kit.contract.label_schema}
    ref = publish(folder, to, KIND, inputs, {**about, **metadata})
    open_store(ref).manifest()
    return ref
