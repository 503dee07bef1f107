"""Each guard stops a run whose reward was spoilt on purpose, and none stops an honest one.

The run is a small policy trained by the exact policy gradient on the project's own reward: for each of two rule dimensions and
four gold labels it says a label, a length, and whether the answer can be read.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from lore_core.records import LABELS, Label
from lore_core.training.alignment.guards import Alarm, Guards, Limits, Measurement, Stop
from lore_core.training.alignment.reward import RewardParts, RewardWeights, reward
from lore_core.training.alignment.rollouts import Rollout

Array = npt.NDArray[np.float64]
Score = Callable[[RewardParts], float]

DIMENSIONS = ("brand", "colour")
LENGTHS = (20, 60, 100, 180)
WEIGHTS = RewardWeights(length_from=48, length_to=200)


def softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def entropy(p: Array) -> float:
    return float(-(p * np.log(np.maximum(p, 1e-300))).sum(-1).mean())


class Policy:
    """Logits of label (dimension × gold × said), length and readability; factors are independent."""

    def __init__(self) -> None:
        self.logits = [np.tile(np.eye(4) * 2.0, (2, 1, 1)), np.zeros(4), np.array([6.0, 0.0])]
        self.start = [softmax(logits) for logits in self.logits]

    def train(self, score: Score, rate: float, kl_weight: float) -> None:
        """One step of gradient ascent on E[reward] - kl_weight · KL(policy‖start)."""
        label, length, read = (softmax(logits) for logits in self.logits)
        rewards = _rewards(score)  # gold × said × length × readable
        gains = [
            np.einsum("gslr,l,r->gs", rewards, length, read)[None] + np.zeros((2, 1, 1)),
            np.einsum("gslr,dgs,r->l", rewards, label, read) / 8,
            np.einsum("gslr,dgs,l->r", rewards, label, length) / 8,
        ]
        for place, (p, q, gain) in enumerate(zip((label, length, read), self.start, gains, strict=True)):
            gain = gain - kl_weight * np.log(p / q)
            self.logits[place] = self.logits[place] + rate * p * (gain - (p * gain).sum(-1, keepdims=True))

    def measure(self, step: int) -> Measurement:
        label, length, read = (softmax(logits) for logits in self.logits)
        now = (label, length, read)
        divergence = sum(float((p * np.log(p / q)).sum(-1).mean()) for p, q in zip(now, self.start, strict=True))
        right = label[:, np.arange(4), np.arange(4)].mean(-1)
        return Measurement(
            step=step,
            entropy=sum(entropy(p) for p in now),
            parse_rate=float(read[0]),
            length=float(length @ LENGTHS),
            divergence=divergence,
            canaries=dict(zip(DIMENSIONS, map(float, right), strict=True)),
        )


def _rewards(score: Score) -> Array:
    found = np.zeros((4, 4, 4, 2))
    for (g, gold), (s, said), (n, tokens), r in product(
        enumerate(LABELS), enumerate(LABELS), enumerate(LENGTHS), range(2)
    ):
        found[g, s, n, r] = score(reward(Rollout(_trace(said), said if r == 0 else None, tokens), gold, (), WEIGHTS))
    return found


def _trace(said: Label) -> str:
    verdict = {"L1": "other", "L2": "conflict", "L3": "near", "L4": "match"}[said]
    return f"kind kettle lamp {verdict}"


def run(
    score: Score, *, rate: float = 0.5, kl_weight: float = 0.5, steps: int = 400, limits: Limits | None = None
) -> Stop | None:
    policy = Policy()
    guards = Guards(policy.measure(0), dict.fromkeys(DIMENSIONS, 30), limits)
    stops: Iterator[Stop | None] = (
        _after(policy, score, rate, kl_weight, guards, step) for step in range(1, steps + 1)
    )
    return next((stop for stop in stops if stop is not None), None)


def _after(policy: Policy, score: Score, rate: float, kl_weight: float, guards: Guards, step: int) -> Stop | None:
    policy.train(score, rate, kl_weight)
    return guards.see(policy.measure(step))


def honest(parts: RewardParts) -> float:
    return parts.total(WEIGHTS)


def test_an_honest_run_goes_to_its_end_and_learns() -> None:
    policy = Policy()
    before = policy.measure(0)
    assert run(honest) is None
    for _ in range(400):
        policy.train(honest, 0.5, 0.5)
    after = policy.measure(400)
    assert min(after.canaries.values()) > min(before.canaries.values())
    assert after.length < before.length


@pytest.mark.parametrize(
    ("spoilt", "knobs", "alarm"),
    [
        (lambda parts: -parts.label, {}, Alarm.FORGETTING),
        (lambda parts: parts.label - 3 * parts.length, {}, Alarm.LENGTH),
        (lambda parts: -2 * parts.format, {}, Alarm.PARSE_RATE),
        (honest, {"kl_weight": 0.0, "rate": 4.0, "limits": Limits(divergence=99.0)}, Alarm.ENTROPY),
        (lambda parts: 5 * parts.length, {"kl_weight": 0.0}, Alarm.DIVERGENCE),
    ],
    ids=["sign-flipped", "length-loving", "format-hating", "no leash", "runs away"],
)
def test_a_spoilt_run_is_stopped_by_its_guard(spoilt: Score, knobs: dict[str, object], alarm: Alarm) -> None:
    stop = run(spoilt, **knobs)  # type: ignore[arg-type]
    assert stop is not None
    assert stop.alarm is alarm


def measured(step: int, **canaries: float) -> Measurement:
    return Measurement(step, entropy=1.0, parse_rate=1.0, length=50, divergence=0, canaries=canaries)


def test_one_bad_evaluation_of_a_canary_is_not_yet_forgetting() -> None:
    guards = Guards(measured(0, brand=0.9), {"brand": 30})
    assert [guards.see(measured(step, brand=value)) for step, value in enumerate((0.84, 0.88, 0.84), 1)] == [None] * 3
    stop = guards.see(measured(4, brand=0.85))
    assert stop is not None
    assert (stop.alarm, stop.step, stop.detail) == (
        Alarm.FORGETTING,
        4,
        "brand: 0.050 below the start, 2 times running",
    )


def test_a_canary_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="canary brand: has 29 pairs, at least 30 are needed"):
        Guards(measured(0, brand=0.9), {"brand": 29})


def test_a_model_that_began_hard_to_read_is_held_to_its_own_start() -> None:
    start, worse, lost = (replace(measured(step), parse_rate=rate) for step, rate in enumerate((0.95, 0.91, 0.89)))
    guards = Guards(start, {})
    assert guards.see(worse) is None
    stop = guards.see(lost)
    assert stop is not None
    assert stop.alarm is Alarm.PARSE_RATE
