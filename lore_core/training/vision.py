"""The small base that sees: a text base with a vision tower before it, in the layout of Qwen3-VL.

Its text side are the base's own weights: a Qwen3-VL language model has the layers of Qwen3, and words alone have equal
positions on all three axes, so that it says of them what the base says.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.jobs.config import RuleMode
from lore_core.prompts import CONTRACT_NAME, PromptLayout, TextEncoder, build_contract
from lore_core.prompts.encoder import TOKENIZER_NAME
from lore_core.scoring.pixels import END, PAD, START
from lore_core.scoring.wire import CHAT_TEMPLATE, CHAT_TEMPLATE_NAME

_FORMAT: Final = 1
VIDEO: Final = "<|video_pad|>"
ADDED: Final = (START, END, PAD, VIDEO)
"""Control tokens that a text base lacks."""
_TEMPORAL: Final = 2
_MERGE: Final = 2
_MAX_PROMPT_TOKENS: Final = 96


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """Shape of the tower. It reads patches of `patch` pixels a side, at most `most_pixels` of a picture; larger ones are scaled.

    Four neighbouring patches become one token. Heads have 32 dimensions, as the base's have.
    """

    layers: int = 3
    width: int = 128
    heads: int = 4
    feed_forward: int = 256
    patch: int = 14  # the generated world's panels are 4 × 4 of them
    most_pixels: int = 112 * 56
    seed: int = 17

    @property
    def image_tokens(self) -> int:
        """Most tokens of a picture, the two that enclose it included."""
        return int(self.most_pixels // (self.patch * _MERGE) ** 2 + 2)

    def key(self, base: str) -> str:
        """Names the result: an equal base, by its digest, and equal settings give an equal one."""
        return sha256_digest(canonical_json({"format": _FORMAT, "base": base, **asdict(self)}))


def write_seeing_base(base: Path, settings: VisionSettings, folder: Path) -> Any:
    """Fill `folder` from a text base's: weights, tokenizer, processor, contract, chat template. Returns the model.

    Raises ValueError where the base is no Qwen3 model, or its tokenizer has a token of the added names already.
    """
    encoder = _write_tokenizer(base, folder)
    model = _model(base, settings, encoder)
    model.save_pretrained(str(folder))
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name, document in _processors(settings).items():
        (folder / name).write_text(json.dumps(document, indent=1), encoding="utf-8")
    contract = build_contract(
        encoder,
        PromptLayout.LABEL_FIRST,
        RuleMode.NONE,
        _MAX_PROMPT_TOKENS,
        image_tokens=settings.image_tokens,
    )
    (folder / CONTRACT_NAME).write_bytes(contract.to_bytes())
    (folder / CHAT_TEMPLATE_NAME).write_text(CHAT_TEMPLATE, encoding="utf-8")
    return model


def _write_tokenizer(base: Path, folder: Path) -> TextEncoder:
    """The base's tokenizer with the added control tokens behind its own ids."""
    from tokenizers import AddedToken, Tokenizer

    if known := [name for name in ADDED if TextEncoder.load(base).has_control(name)]:
        raise ValueError(f"{base}: its tokenizer has {known[0]} already; name a base of words alone")
    tokenizer = Tokenizer.from_file(str(base / TOKENIZER_NAME))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ADDED])
    (folder / TOKENIZER_NAME).write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    shutil.copyfile(base / "tokenizer_config.json", folder / "tokenizer_config.json")
    return TextEncoder.load(folder)


def _model(base: Path, settings: VisionSettings, encoder: TextEncoder) -> Any:
    """The base's weights and, drawn from torch's generator, the tower's and those of the added tokens."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    if (found := AutoConfig.from_pretrained(str(base)).model_type) != "qwen3":
        raise ValueError(f"{base}: its config.json says {found}; a vision tower is set before a qwen3 model")
    text = AutoModelForCausalLM.from_pretrained(str(base), dtype="float32")
    torch.manual_seed(settings.seed)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**_config(text.config, settings, encoder)))
    weights = {name: value for name, value in text.model.state_dict().items() if name != "embed_tokens.weight"}
    language = model.model.language_model
    language.load_state_dict({**language.state_dict(), **weights})
    with torch.no_grad():
        words = text.get_input_embeddings().weight
        language.embed_tokens.weight[: len(words)] = words
        if not text.config.tie_word_embeddings:
            model.lm_head.weight[: len(words)] = text.lm_head.weight
    return model


_KEPT: Final = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "attention_bias",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "tie_word_embeddings",
)


def _config(text: Any, settings: VisionSettings, encoder: TextEncoder) -> dict[str, Any]:
    third = text.head_dim // 2 // 3
    rope = {
        "rope_type": "default",
        "rope_theta": text.rope_parameters["rope_theta"],
        "mrope_section": [text.head_dim // 2 - 2 * third, third, third],
        "mrope_interleaved": True,
    }
    vision = {
        "depth": settings.layers,
        "hidden_size": settings.width,
        "intermediate_size": settings.feed_forward,
        "num_heads": settings.heads,
        "patch_size": settings.patch,
        "spatial_merge_size": _MERGE,
        "temporal_patch_size": _TEMPORAL,
        "out_hidden_size": text.hidden_size,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": list(range(min(settings.layers, text.num_hidden_layers) - 1)),
    }
    return {
        "text_config": {name: getattr(text, name) for name in _KEPT}
        | {"vocab_size": encoder.size, "rope_parameters": rope},
        "vision_config": vision,
        "tie_word_embeddings": text.tie_word_embeddings,
        "image_token_id": encoder.control(PAD),
        "video_token_id": encoder.control(VIDEO),
        "vision_start_token_id": encoder.control(START),
        "vision_end_token_id": encoder.control(END),
    }


def _processors(settings: VisionSettings) -> dict[str, dict[str, Any]]:
    images = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": (settings.patch * _MERGE) ** 2, "longest_edge": settings.most_pixels},
        "patch_size": settings.patch,
        "temporal_patch_size": _TEMPORAL,
        "merge_size": _MERGE,
        "image_mean": [1.0] * 3,  # white, the ground of drawings and of product photos, is nothing
        "image_std": [0.5] * 3,
    }
    whole = {"processor_class": "Qwen3VLProcessor"}
    return {
        "preprocessor_config.json": {**images, **whole},
        "video_preprocessor_config.json": {**images, "video_processor_type": "Qwen3VLVideoProcessor"},
    }
