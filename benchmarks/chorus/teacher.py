"""A weak teacher that keeps the lexical rule's side and grades within it.

With a hundred judged queries nobody can show that another verdict than "every query word in the title" tells relevant from
irrelevant better, and a student may lose two points to it at most. What the rule cannot say is the grade on either side: a
regression on what the baselines see says it, fitted on judged pairs alone.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.chorus.baselines import bm25_scores, lexical, words, zero_shot_scores
from lore_core.records import LABELS, Pair

COSINE: Final = 0
BM25: Final = 2
MATCH: Final = 3
"""Columns of the features that are baselines of their own."""
_RARITY: Final = 0.75
"""A label weighs by the inverse of its share to this power: rare ones are heard. It cannot change a side."""

Features = NDArray[np.float64]
Probabilities = NDArray[np.float64]


def features(pairs: Sequence[Pair], titles: Sequence[str], folder: str) -> Features:
    """What the teacher sees, n×6: cosine, its square, share of the best BM25, lexical match, cosine where it matches, head noun."""
    cosine, bm25 = zero_shot_scores(pairs, folder), bm25_scores(pairs, titles)
    match = lexical(pairs) / (len(LABELS) - 1)
    head = [has_head(pair.query, pair.title) for pair in pairs]
    return np.stack([cosine, cosine**2, bm25, match, cosine * match, head], axis=1)


def has_head(query: str, title: str) -> bool:
    """Whether the query's last word, in English the thing that it asks for, stands in the title in singular or plural."""
    return {_singular(word) for word in words(query)[-1:]} <= {_singular(word) for word in words(title)}


def _singular(word: str) -> str:
    """The S-stemmer (Harman, "How effective is suffixing?", 1991)."""
    endings = (("ies", "y", ("eies", "aies")), ("es", "e", ("aes", "ees", "oes")), ("s", "", ("us", "ss")))
    for ending, kept, but in endings:
        if word.endswith(ending) and not word.endswith(but):
            return word.removesuffix(ending) + kept
    return word


def teach(seen: Features, gold: NDArray[np.int8], asked: Features) -> Probabilities:
    """Four probabilities of `asked`, n×4, by a multinomial regression fitted on judged pairs; the other side's labels have none."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    present, counts = np.unique(gold, return_counts=True)
    weights = dict(zip(present.tolist(), (counts / len(gold)) ** -_RARITY, strict=True))
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight=weights, max_iter=1000))
    model.fit(seen, gold)
    found = np.zeros((len(asked), len(LABELS)))
    found[:, present] = model.predict_proba(asked)
    return _on_side(found, asked[:, MATCH] > 0)


def _on_side(found: Probabilities, relevant: NDArray[np.bool_]) -> Probabilities:
    """The rows with nothing on the side that is not theirs; the outer label has all where none of theirs was ever judged."""
    mine = np.where(relevant[:, None], [False, False, True, True], [True, True, False, False])
    outer = np.array([1.0, 0.0, 0.0, 1.0]) * np.finfo(np.float64).tiny
    kept = np.where(mine, found + outer, 0.0)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def labelled(pairs: Sequence[Pair], probabilities: Probabilities) -> list[Pair]:
    """The pairs with the teacher's likeliest label."""
    best = probabilities.argmax(axis=1)
    return [
        pair.model_copy(update={"groundtruth": LABELS[label]}) for pair, label in zip(pairs, best.tolist(), strict=True)
    ]
