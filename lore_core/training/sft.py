"""Supervised fine-tuning of the generative model on labels and, think-first, on short structured traces."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lore_core.jobs.config import RuleMode, SftSettings, SftStage
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, PromptLayout, TextEncoder, build_contract, trace_text
from lore_core.prompts.rules import RuleSource
from lore_core.records import Pair
from lore_core.scoring.pixels import PictureReader
from lore_core.training.examples import IGNORED, Example, Examples, answered, collate, trace_ids
from lore_core.training.handover import reasoned, shortened
from lore_core.training.lora import add_adapters
from lore_core.training.order import sft_order
from lore_core.training.packing import collate_rows, grouped_rows, packed_loss
from lore_core.training.seeing import SEEING, collate_seen, counted, load_seeing

# Room beyond the longest training trace, so that a slightly longer one is not cut at serving time.
_TRACE_MARGIN: Final = 8
_LONGEST_TRACES: Final = 256


def sft_kit(spec: SftStage, encoder: TextEncoder, pairs: Sequence[Pair], image_tokens: int | None = None) -> ModelKit:
    """The contract that the stage trains for; traces get room for the longest one in the data.

    `image_tokens` are the most of a picture, for a base that is shown them.
    """
    layout = PromptLayout(spec.layout.value)
    contract = build_contract(encoder, layout, spec.rule_mode, spec.max_prompt_tokens, image_tokens=image_tokens)
    kit = ModelKit(contract, encoder)
    if contract.trace is None:
        return kit
    longest = max(len(trace_ids(kit, pair)) for pair in _longest_traces(pairs)) + 1
    trace = contract.trace.model_copy(update={"max_tokens": longest + _TRACE_MARGIN})
    return ModelKit(contract.model_copy(update={"trace": trace}), encoder)


def _longest_traces(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with the most words in their traces; only these are worth encoding to find the longest."""
    return sorted(pairs, key=lambda pair: len(trace_text(pair.trace, RuleMode.RETRIEVED).split()), reverse=True)[
        :_LONGEST_TRACES
    ]


class SftModel:
    """Model, examples and their order of an sft stage."""

    def __init__(
        self, kit: ModelKit, base: Path, pairs: Sequence[Pair], rules: RuleSource, settings: SftSettings
    ) -> None:
        """Raises JobError where the base model is not a causal language model of this tokenizer, or lacks a layer to adapt."""
        self.kit, self.rules, self._label_weight = kit, rules, float(settings.label_weight)
        self._packed = settings.share_prefix
        self._hands_over = bool(float(settings.hand_over))
        build = reasoned(kit) if self._hands_over else answered(kit)
        self.pictures = counted(pairs) if kit.contract.image_tokens is not None else None
        self.examples = Examples(kit, pairs, rules, build)
        self.order = sft_order(pairs, settings)
        self.reader = PictureReader.of(base, kit)
        self.model = load_seeing(base, kit) if self.reader else load_causal(base, kit.encoder.size)
        if settings.lora is not None:
            add_adapters(self.model, settings.lora, settings.optimizer.seed)

    def __len__(self) -> int:
        return len(self.examples)

    def loss(self, engine: Any, indices: list[int]) -> Any:
        """Mean cross-entropy over the answers' tokens; the label's counts `label_weight` times."""
        from torch.nn.functional import cross_entropy

        found = [self._example(index) for index in indices]
        if self.reader is not None:
            return self._seen(engine, found, self.reader)
        if self._packed or self._label_weight != 1.0:
            return self._weighted(engine, found)
        batch = {name: value.to(engine.device) for name, value in collate(found).items()}
        targets = batch.pop("targets")
        logits = engine(**batch, use_cache=False).logits[:, :-1].float()
        return cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED)

    def _example(self, number: int) -> Example:
        """By the order's number, which in a hand-over says the stage too."""
        if not self._hands_over:
            return self.examples[number]
        stage, row = divmod(number, len(self.examples))
        return shortened(self.examples[row], stage, len(self.kit.contract.verbaliser.prefix_ids))

    def _seen(self, engine: Any, found: list[Example], reader: PictureReader) -> Any:
        seen = collate_seen(found, reader, self._label_weight)
        batch = {name: value.to(engine.device) for name, value in seen.items()}
        targets, weights = batch.pop("targets"), batch.pop("weights")
        return packed_loss(engine(**batch, use_cache=False).logits, targets, weights)

    def _weighted(self, engine: Any, found: list[Example]) -> Any:
        limit = self.model.config.max_position_embeddings if self._packed else 0
        rows = grouped_rows(found, limit, self._label_weight)
        batch = {name: value.to(engine.device) for name, value in collate_rows(rows).items()}
        targets, weights = batch.pop("targets"), batch.pop("weights")
        batch["attention_mask"] = batch["attention_mask"].to(next(engine.module.parameters()).dtype)
        return packed_loss(engine(**batch, use_cache=False).logits, targets, weights)


def load_causal(folder: Path, vocabulary: int) -> Any:
    """A causal language model in float32.

    Raises JobError where its vocabulary is smaller than the tokenizer's, and for a Qwen3-VL model: nothing here shows it pictures.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    if AutoConfig.from_pretrained(str(folder)).model_type == SEEING:
        raise JobError(
            "BadBaseModel",
            "baseModel: is a Qwen3-VL model, which an sft stage trains where its contract shows pictures; import it with"
            " `lore model import --image-tokens`, or name a language model",
            field="baseModel",
        )
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype="float32")
    if model.config.vocab_size < vocabulary:
        raise JobError(
            "BadBaseModel",
            f"baseModel: {model.config.vocab_size} embeddings for {vocabulary} tokens; model and tokenizer do not belong together",
            field="baseModel",
        )
    model.config.use_cache = True
    return model
