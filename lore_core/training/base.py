"""Pretraining of the small base model: a Qwen3-architecture causal language model on catalogue text and facts.

No labels are seen. Label-only fine-tuning from random weights stays at chance (docs: benchmark), so every generated world
comes with a base that knows its attribute values, aliases and rules.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.prompts.encoder import TextEncoder
from lore_core.prompts.templates import BEGIN
from lore_core.training.tokenizer import END, PAD, UNKNOWN, build_tokenizer, vocabulary

_FORMAT: Final = 1
_POSITIONS: Final = 512
OnStep = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class BaseSettings:
    """Shape and schedule of the base model. A step is `batch` sequences of `length` tokens."""

    layers: int = 3
    width: int = 128
    heads: int = 4  # head size 32: vLLM's CPU attention has no kernel for 16
    feed_forward: int = 384
    steps: int = 4000
    batch: int = 8
    length: int = 128
    learning_rate: float = 2e-3
    seed: int = 17

    def key(self, corpus: bytes) -> str:
        """Names the result: equal corpus and settings give an equal base model."""
        return sha256_digest(canonical_json({"format": _FORMAT, "corpus": sha256_digest(corpus), **asdict(self)}))


def pretrain(lines: Sequence[str], settings: BaseSettings, folder: Path, on_step: OnStep) -> float:
    """Train on the corpus lines and fill `folder` in transformers' layout; returns the last mean loss (nats a token)."""
    import torch

    encoder = write_tokenizer(vocabulary(lines), folder)
    begin, end = encoder.control(BEGIN), encoder.control(END)
    encoded = [[begin, *encoder.encode(line), end] for line in lines]
    torch.manual_seed(settings.seed)
    model = small_model(settings, encoder)
    loss = _train(model, encoded, settings, on_step)
    model.save_pretrained(str(folder))
    (folder / "generation_config.json").unlink(missing_ok=True)
    return loss


def write_tokenizer(words: Sequence[str], folder: Path) -> TextEncoder:
    """Write the word-level tokenizer in transformers' layout."""
    tokenizer = build_tokenizer(words)
    special = {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD, "unk_token": UNKNOWN}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": _POSITIONS, **special}
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return TextEncoder(tokenizer)


def small_model(settings: BaseSettings, encoder: TextEncoder) -> Any:
    """The untrained model, its weights drawn from torch's generator."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=encoder.size,
        hidden_size=settings.width,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        head_dim=settings.width // settings.heads,
        max_position_embeddings=_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=encoder.control(BEGIN),
        eos_token_id=encoder.control(END),
        pad_token_id=encoder.control(PAD),
    )
    return Qwen3ForCausalLM(config)


def _train(model: Any, encoded: Sequence[list[int]], settings: BaseSettings, on_step: OnStep) -> float:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    recent = 0.0
    for step, rows in enumerate(_batches(encoded, settings)):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _share(step, settings.steps)
        ids = torch.from_numpy(rows)
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent = float(loss.detach()) if step == 0 else 0.98 * recent + 0.02 * float(loss.detach())
        on_step(step + 1, recent)
    return recent


def _share(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / max(1, steps // 20))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _batches(encoded: Sequence[list[int]], settings: BaseSettings) -> Iterator[npt.NDArray[np.int64]]:
    """`steps` arrays batch×length: whole lines in a new random order each epoch, one after another, cut to rows."""
    random = np.random.default_rng(settings.seed)
    stream: list[int] = []
    need = settings.batch * settings.length
    for _ in range(settings.steps):
        while len(stream) < need:
            for index in random.permutation(len(encoded)):
                stream += encoded[index]
        yield np.array(stream[:need], dtype=np.int64).reshape(settings.batch, settings.length)
        stream = stream[need:]


class ProgressLine:
    """Prints one line every few seconds."""

    def __init__(self, total: int, seconds: float = 5.0) -> None:
        self._total, self._seconds, self._last, self._began = total, seconds, 0.0, time.monotonic()

    def __call__(self, step: int, loss: float) -> None:
        """Called after each step."""
        now = time.monotonic() - self._began
        if now - self._last >= self._seconds or step == self._total:
            self._last = now
            print(f"step {step}/{self._total}  loss {loss:.4f}  {now:.0f} s", flush=True)
