"""The student: a four-class cross-encoder fine-tuned on gold labels and, where a teacher is given, on its probabilities.

Inputs are single-segment ids, since vLLM's classify route takes one sequence; training and serving then see the same.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lore_core.jobs.config import DistillStage, RuleMode
from lore_core.jobs.errors import JobError
from lore_core.prompts import ModelKit, PromptLayout, RuleSource, TextEncoder, build_contract
from lore_core.records import LABELS, Pair
from lore_core.training.examples import PADDING, Example, Examples, collate

Judge = Callable[[Sequence[Pair]], npt.NDArray[np.float64]]
"""n×4 probabilities of n pairs."""

_TEMPERATURE: Final = 2.0
_TEACHER_SHARE: Final = 0.5
_JUDGED_AT_ONCE: Final = 64


def distill_kit(spec: DistillStage, encoder: TextEncoder, rule_mode: RuleMode) -> ModelKit:
    """The contract of the student."""
    return ModelKit(build_contract(encoder, PromptLayout.CLASSIFIER, rule_mode, spec.max_prompt_tokens), encoder)


class StudentModel:
    """Model and examples of a distill stage, with or without a teacher."""

    def __init__(
        self,
        kit: ModelKit,
        base: Path,
        pairs: Sequence[Pair],
        rules: RuleSource,
        teacher: Judge | None,
    ) -> None:
        """Raises JobError where the base model cannot be a four-class encoder."""
        self.kit, self.rules, self._pairs = kit, rules, pairs
        self._teacher = Judgements(teacher, pairs) if teacher else None
        self.examples = Examples(
            kit, pairs, rules, lambda prompt, pair: Example(prompt.token_ids, (LABELS.index(pair.groundtruth),))
        )
        self.model = load_encoder(base, kit)

    def __len__(self) -> int:
        return len(self.examples)

    def expect(self, draws: Sequence[int]) -> set[int]:
        """What this rank will draw, in order: the teacher judges many at once. Returns the token ids in it and the padding's."""
        if self._teacher is not None:
            self._teacher.expect(draws)
        return {PADDING, *(token for index in set(draws) for token in self.examples[index].token_ids)}

    def loss(self, engine: Any, indices: list[int]) -> Any:
        """Cross-entropy on gold; with a teacher half of it and half KL(teacher‖student) at T, scaled by T² (Hinton 2015)."""
        import torch
        from torch.nn.functional import cross_entropy

        batch = collate([self.examples[index] for index in indices])
        gold = batch.pop("targets")[:, 0].to(engine.device)
        logits = engine(**{name: value.to(engine.device) for name, value in batch.items()}).logits.float()
        loss = cross_entropy(logits, gold)
        if self._teacher is None:
            return loss
        soft = torch.tensor(self._teacher(indices), dtype=torch.float32, device=engine.device)
        return (1 - _TEACHER_SHARE) * loss + _TEACHER_SHARE * _divergence(soft, logits)


class Judgements:
    """A teacher's probabilities by pair. Pairs are judged together with those drawn soon after them, and each once.

    A judge that generates takes hardly longer for many answers than for few. Which pairs go together depends on the draws
    alone, so that a resumed stage computes the same numbers.
    """

    def __init__(self, judge: Judge, pairs: Sequence[Pair]) -> None:
        self._judge, self._pairs = judge, pairs
        self._known: dict[int, npt.NDArray[np.float64]] = {}
        self.expect(range(len(pairs)))

    def expect(self, draws: Sequence[int]) -> None:
        """Indices in the order in which they will be asked for."""
        self._order = list(dict.fromkeys(draws))
        self._place = {index: place for place, index in enumerate(self._order)}

    def __call__(self, indices: Sequence[int]) -> npt.NDArray[np.float64]:
        """n×4 probabilities."""
        for index in indices:
            if index not in self._known:
                self._judge_around(index)
        return np.stack([self._known[index] for index in indices])

    def _judge_around(self, index: int) -> None:
        first = self._place[index] // _JUDGED_AT_ONCE * _JUDGED_AT_ONCE
        together = self._order[first : first + _JUDGED_AT_ONCE]
        self._known.update(zip(together, self._judge([self._pairs[one] for one in together]), strict=True))


def _divergence(teacher: Any, logits: Any) -> Any:
    from torch.nn.functional import kl_div

    target = (teacher.clamp_min(1e-9).log() / _TEMPERATURE).log_softmax(-1)
    student = (logits / _TEMPERATURE).log_softmax(-1)
    return kl_div(student, target, log_target=True, reduction="batchmean") * _TEMPERATURE**2


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
    if model.config.max_position_embeddings < kit.contract.truncation.max_prompt_tokens:
        raise JobError(
            "BadConfig",
            f"spec.maxPromptTokens: the base has {model.config.max_position_embeddings} positions; use at most that many",
            field="spec.maxPromptTokens",
        )
    return model
