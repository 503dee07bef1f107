"""A Qwen3-VL model of a few thousand weights drawn at random, in the layout that its makers publish: enough to see colours."""

import base64
import io
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.prompts import RenderedPrompt

PATCH: Final = 16
MERGE: Final = 2
SIDE: Final = 64
"""Pixels of a side that the processor leaves as they are."""
IMAGE_TOKENS: Final = 2 + (SIDE // PATCH // MERGE) ** 2
"""The picture's own and those that enclose it."""
ADDED: Final = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
    "<L1>", "<L2>", "<L3>", "<L4>",
)  # fmt: skip
BYTES: Final = 256
IDS: Final = {name: BYTES + place for place, name in enumerate(ADDED)}


def write_model(folder: Path, seed: int = 3) -> Any:
    """Weights, tokenizer and processor into a folder; returns the model in float32."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**_config())).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():  # of the usual size a picture would hardly move a score
            if "norm" not in name:
                weight.normal_(0.0, 0.15)
    model.save_pretrained(str(folder))
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "tokenizer.json").write_text(_tokenizer(), encoding="utf-8")
    for name, document in _processors().items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return model


def _config() -> dict[str, Any]:
    text = {
        "vocab_size": BYTES + len(ADDED), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [6, 5, 5], "mrope_interleaved": True},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "patch_size": PATCH, "spatial_merge_size": MERGE,
        "out_hidden_size": 64, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
    }  # fmt: skip
    tokens = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>", "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    return {"text_config": text, "vision_config": vision, **{field: IDS[name] for field, name in tokens.items()}}


def _tokenizer() -> str:
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    tokenizer = Tokenizer(BPE({letter: id_ for id_, letter in enumerate(sorted(ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), Decoder()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ADDED])
    return str(tokenizer.to_str())


def _processors() -> dict[str, dict[str, Any]]:
    sides = {"shortest_edge": SIDE * SIDE // 4, "longest_edge": SIDE * SIDE}
    images = {
        "image_processor_type": "Qwen2VLImageProcessor", "size": sides, "patch_size": PATCH, "temporal_patch_size": 2,
        "merge_size": MERGE, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    }  # fmt: skip
    return {
        "preprocessor_config.json": {**images, "processor_class": "Qwen3VLProcessor"},
        "video_preprocessor_config.json": {**images, "video_processor_type": "Qwen3VLVideoProcessor"},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "processor_class": "Qwen3VLProcessor", "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>", "model_max_length": 1024,
        },
    }  # fmt: skip


def picture(left: str, right: str) -> str:
    """Base64 of a PNG whose halves have these colours."""
    from PIL import Image

    drawing, file = Image.new("RGB", (SIDE, SIDE), left), io.BytesIO()
    drawing.paste(right, (SIDE // 2, 0, SIDE, SIDE))
    drawing.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def probabilities(model: Any, prompt: RenderedPrompt) -> npt.NDArray[np.float64]:
    """What the model itself says of the labels behind a prompt, with its picture or of words alone: four shares of one."""
    ids = list(prompt.token_ids)
    if prompt.picture is None:
        found = _of_labels(model, ids)
    else:
        found = label_logprobs(model, ids[: prompt.picture.after], prompt.picture.data, ids[prompt.picture.after :])
    shares: npt.NDArray[np.float64] = np.exp(found)
    return shares / shares.sum()


def label_logprobs(model: Any, before: list[int], data: str, after: list[int]) -> npt.NDArray[np.float64]:
    """What the model itself says of the labels behind words, picture, words: four log-probabilities."""
    import torch

    grid = SIDE // PATCH
    inside = [IDS["<|image_pad|>"]] * (grid // MERGE) ** 2
    ids = [*before, IDS["<|vision_start|>"], *inside, IDS["<|vision_end|>"], *after]
    return _of_labels(
        model,
        ids,
        mm_token_type_ids=(torch.tensor([ids]) == IDS["<|image_pad|>"]).int(),
        pixel_values=torch.from_numpy(_patches(data)),
        image_grid_thw=torch.tensor([[1, grid, grid]]),
    )


def _of_labels(model: Any, ids: list[int], **picture: Any) -> npt.NDArray[np.float64]:
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids]), **picture).logits[0, -1]
    found = logits.double().log_softmax(-1)[[IDS[f"<L{n}>"] for n in (1, 2, 3, 4)]]
    return np.asarray(found.numpy(), dtype=np.float64)


def _patches(data: str) -> npt.NDArray[np.float32]:
    """Patches as Qwen's processor cuts them: one a row, merged neighbours next to each other, each frame twice."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=np.float32) / 255
    frames = np.stack([((pixels - 0.5) / 0.5).transpose(2, 0, 1)] * 2)
    blocks = SIDE // PATCH // MERGE
    cut = frames.reshape(1, 2, 3, blocks, MERGE, PATCH, blocks, MERGE, PATCH).transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return np.ascontiguousarray(cut.reshape((SIDE // PATCH) ** 2, -1))
