"""What the guards look at: held-out pairs by rule dimension, judged and answered by the model as it is now."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np

from lore_core.prompts import ModelKit, PromptLayout, RenderedPrompt
from lore_core.prompts.rules import RuleSource
from lore_core.records import LABELS, Label, Pair
from lore_core.scoring.reference import TransformersScorer
from lore_core.training.alignment.guards import Limits, Measurement
from lore_core.training.alignment.sampling import Ids, rollouts, sample

_MOST_PAIRS: Final = 64
EVERYTHING: Final = "all"


@dataclass(frozen=True, slots=True)
class Asked:
    """A held-out pair's prompt and gold label."""

    prompt: RenderedPrompt
    gold: Label


class Probe:
    """Canaries: up to 64 held-out pairs of each rule dimension that has enough of them, or of all where none has."""

    def __init__(self, kit: ModelKit, held_out: Sequence[Pair], rules: RuleSource, seed: int) -> None:
        self._kit, self._seed = kit, seed
        self._canaries = {
            name: [Asked(kit.render(pair, rules(pair)), pair.groundtruth) for pair in pairs]
            for name, pairs in canaries(held_out).items()
        }

    @property
    def sizes(self) -> dict[str, int]:
        """Pairs of each canary; empty where too few pairs are held out."""
        return {name: len(asked) for name, asked in self._canaries.items()}

    def measure(self, model: Any, reference: Any, step: int) -> Measurement:
        """Accuracy by canary, judged as served, and the rest from one sampled answer a pair. Equal on every rank."""
        model.eval()
        asked = list(chain.from_iterable(self._canaries.values()))
        scores = TransformersScorer.of(self._kit, model).score([one.prompt for one in asked]).probabilities
        right = iter([LABELS[int(row)] is one.gold for row, one in zip(scores.argmax(1), asked, strict=True)])
        accuracy = {name: float(np.mean([next(right) for _ in found])) for name, found in self._canaries.items()}
        if self._kit.contract.layout is PromptLayout.LABEL_FIRST:
            start = TransformersScorer.of(self._kit, reference).score([one.prompt for one in asked]).probabilities
            return _of_labels(step, np.asarray(scores), np.asarray(start), accuracy)
        answers = [
            found[0]
            for found in sample(
                self._kit, model, [one.prompt for one in asked], 1, seed=self._seed, temperature=1.0, top_k=0
            )
        ]
        read = rollouts(self._kit, answers)
        entropy, divergence = _by_token(model, reference, [one.prompt for one in asked], answers)
        model.train()
        return Measurement(
            step=step,
            entropy=entropy,
            parse_rate=float(np.mean([one.parsed for one in read])),
            length=float(np.mean([one.tokens for one in read])),
            divergence=divergence,
            canaries=accuracy,
        )


def canaries(held_out: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Pairs by the dimension of the rules that their traces apply, or by the tag `ruleDimension`."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in held_out:
        tagged = pair.tags.get("ruleDimension")
        for name in sorted({tagged} if tagged else {step.dimension for step in pair.trace if step.rule}):
            found[name].append(pair)
    enough = {name: pairs[:_MOST_PAIRS] for name, pairs in sorted(found.items()) if len(pairs) >= Limits().canary_pairs}
    if enough or len(held_out) < Limits().canary_pairs:
        return enough
    return {EVERYTHING: list(held_out[:_MOST_PAIRS])}


def _of_labels(step: int, now: Any, start: Any, accuracy: Mapping[str, float]) -> Measurement:
    """A label-first answer is one token: its entropy and divergence are those of the four probabilities."""
    logs, before = np.log(np.maximum(now, 1e-12)), np.log(np.maximum(start, 1e-12))
    return Measurement(
        step=step,
        entropy=float(-(now * logs).sum(1).mean()),
        parse_rate=1.0,
        length=1.0,
        divergence=float((now * (logs - before)).sum(1).mean()),
        canaries=accuracy,
    )


def _by_token(
    model: Any, reference: Any, prompts: Sequence[RenderedPrompt], answers: Sequence[Ids]
) -> tuple[float, float]:
    """Mean entropy of the model, and mean KL(model‖reference), both in nats a token of the answers."""
    import torch

    totals = np.zeros(3)
    with torch.inference_mode():
        for prompt, answer in zip(prompts, answers, strict=True):
            ids = torch.tensor([[*prompt.token_ids, *answer]], device=next(model.parameters()).device)
            place = slice(len(prompt.token_ids) - 1, -1)
            now, start = (one(input_ids=ids).logits[0, place].float().log_softmax(-1) for one in (model, reference))
            entropy = -(now.exp() * now).sum()
            totals += [float(entropy), float((now.exp() * (now - start)).sum()), len(answer)]
    return float(totals[0] / totals[2]), float(totals[1] / totals[2])
