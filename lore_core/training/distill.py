"""The student: cross-encoder, small language model or two-tower, tuned on gold labels and, where given, a teacher's probabilities.

Inputs are single-segment ids, since vLLM's classify route takes one sequence; training and serving then see the same.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lore_core.jobs.config import DistillStage, RuleMode, StudentKind
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, PromptLayout, RuleSource, TextEncoder, build_contract
from lore_core.records import LABELS, Pair
from lore_core.training.examples import PADDING, Example, Examples, collate
from lore_core.training.sft import load_causal
from lore_core.training.teaching import TEACHER_SHARE, TaughtBy, Teaching
from lore_core.training.towers import collate_towers, load_towers

_LAYOUTS: Final = {
    StudentKind.CLASSIFIER: PromptLayout.CLASSIFIER,
    StudentKind.CAUSAL: PromptLayout.LABEL_FIRST,
    StudentKind.TWO_TOWER: PromptLayout.TWO_TOWER,
}


def distill_kit(spec: DistillStage, encoder: TextEncoder, rule_mode: RuleMode) -> ModelKit:
    """The contract of the student. Raises ContractError where the tokenizer of its base cannot carry it."""
    contract = build_contract(
        encoder, _LAYOUTS[spec.student], rule_mode, spec.max_prompt_tokens, show_overlap=spec.show_overlap
    )
    return ModelKit(contract, encoder)


class StudentModel:
    """Model and examples of a distill stage, with or without a teacher."""

    def __init__(
        self,
        kit: ModelKit,
        base: Path,
        pairs: Sequence[Pair],
        rules: RuleSource,
        taught: TaughtBy | None,
    ) -> None:
        """Raises JobError where the base model cannot be such a student."""
        self.kit, self.rules, self.pairs = kit, rules, pairs
        self.teaching = Teaching(taught, pairs, kit.contract.calibration) if taught is not None else None
        self._columns = list(kit.contract.verbaliser.token_ids)
        self.examples = Examples(
            kit,
            pairs,
            rules,
            lambda prompt, pair: Example(
                prompt.token_ids, (self._columns[LABELS.index(pair.groundtruth)],), of_query=prompt.of_query
            ),
        )
        self._collated = collate_towers if kit.contract.towers else collate
        self.model = load_student(base, kit)

    def __len__(self) -> int:
        return len(self.examples)

    def expect(self, draws: Sequence[int]) -> set[int]:
        """What this rank will draw, in order: the teacher judges many at once. Returns the token ids in it and the padding's."""
        if self.teaching is not None:
            self.teaching.expect(draws)
        return {PADDING, *(token for index in set(draws) for token in self.examples[index].token_ids)}

    def loss(self, engine: Any, indices: list[int]) -> Any:
        """Cross-entropy on gold; with a teacher half of it, and the teacher's part.

        A language model's cross-entropy is over its whole vocabulary, so that it learns to say nothing but labels; its divergence
        is over the four label tokens, as a classifier's is over its classes.
        """
        from torch.nn.functional import cross_entropy

        batch = self._collated([self.examples[index] for index in indices])
        gold = batch.pop("targets")[:, 0].to(engine.device)
        logits = self._at_label(engine, {name: value.to(engine.device) for name, value in batch.items()})
        loss = cross_entropy(logits, gold)
        if self.teaching is None:
            return loss
        return (1 - TEACHER_SHARE) * loss + self.teaching.loss(logits[:, self._columns], indices)

    def _at_label(self, engine: Any, inputs: dict[str, Any]) -> Any:
        """Logits of n prompts where the label is read: n×4 of a classifier or a two-tower, n×vocabulary of a language model."""
        import torch

        if not self.kit.contract.layout.writes:
            return engine(**inputs).logits.float()
        last = inputs["attention_mask"].sum(-1) - 1
        rows = torch.arange(len(last), device=last.device)
        return engine(**inputs, use_cache=False).logits[rows, last].float()


def without_dropout(model: Any) -> None:
    """Switch off an encoder's dropout layers: with them the quickstart's student ended at chance."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def load_student(folder: Path, kit: ModelKit) -> Any:
    """The base as a student of the contract's layout, in float32. Raises JobError where prompts would not fit its positions."""
    if kit.contract.layout is PromptLayout.CLASSIFIER:
        return load_encoder(folder, kit)
    towers = kit.contract.towers
    model = load_towers(folder, towers) if towers else load_causal(folder, kit.encoder.size)
    _require_positions(model, kit)
    return model


def require_causal(base: Path) -> None:
    """Raises JobError where a fetched base is no causal language model; reads its config alone."""
    about = base / "config.json"
    names = (json.loads(about.read_text(encoding="utf-8")).get("architectures") or []) if about.is_file() else []
    if not any(name.endswith("ForCausalLM") for name in names):
        raise JobError(
            "BadBaseModel",
            f"spec.base: is {', '.join(names) or 'of no named architecture'}; student Causal needs a causal language model,"
            " student Classifier takes an encoder",
            field="spec.base",
        )


def load_encoder(folder: Path, kit: ModelKit) -> Any:
    """An encoder with a fresh four-class head in float32. Raises JobError where prompts would not fit its positions."""
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()  # the new head is announced as a missing weight
    torch.manual_seed(0)  # every rank draws the same head
    labels = dict(enumerate(kit.contract.verbaliser.strings))
    model = AutoModelForSequenceClassification.from_pretrained(
        str(folder),
        dtype="float32",
        num_labels=len(labels),
        id2label=labels,
        label2id={v: k for k, v in labels.items()},
    )
    model.config.problem_type = "single_label_classification"
    _require_positions(model, kit)
    return model


def _require_positions(model: Any, kit: ModelKit) -> None:
    if model.config.max_position_embeddings < kit.max_sequence - 1:
        raise JobError(
            "BadConfig",
            f"spec.maxPromptTokens: the base has {model.config.max_position_embeddings} positions; use at most that many",
            field="spec.maxPromptTokens",
        )
