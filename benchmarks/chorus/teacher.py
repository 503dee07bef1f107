"""A weak teacher that keeps the lexical rule's verdict unless judged queries show that another one is better.

Relevant or not: the rule's log-odds and a regression's, mixed (a product of experts). The regression's share is the one whose
Accuracy@2 minus the rule's has the highest lower bound over inner folds of the training queries, at a confidence that allows for
the number of choices; no share, and with it the rule, is one of them. Which grade of the two on either side: a regression of its own, in which rare grades weigh more;
that cannot change Accuracy@2. Nothing here sees a query that is judged later.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.chorus.baselines import bm25_scores, lexical, macro_f1_of, words, zero_shot_scores
from benchmarks.chorus.data import FOLDS, fold_of
from lore_core.evaluation.bootstrap import interval, resample_sums
from lore_core.records import Pair

COSINE: Final = 0
BM25: Final = 1
MATCH: Final = 2
"""Columns of the features that are baselines of their own."""
SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_PENALTIES: Final = (0.01, 0.1, 1.0)
"""Inverse strength of the regressions' penalty."""
_WEIGHTS: Final = (0.5, 0.75, 1.0)
"""A grade weighs by the inverse of its share to this power."""
_RESAMPLES: Final = 4000
_SEED: Final = 17
_ERROR: Final = 0.025
"""Of the lower bound of the best choice; each choice is held to its part of it (Bonferroni)."""

Features = NDArray[np.float64]
Labels = NDArray[np.int8]
Rows = NDArray[np.int64]


def features(pairs: Sequence[Pair], titles: Sequence[str], folder: str) -> Features:
    """What the teacher sees, n×12: cosine of the zero-shot encoder, share of the best BM25, lexical match, and words in detail."""
    cosine, bm25 = zero_shot_scores(pairs, folder), bm25_scores(pairs, titles)
    match = (lexical(pairs) > 0).astype(np.float64)
    detail = np.array([_detail(words(pair.query), words(pair.title)) for pair in pairs])
    return np.column_stack([cosine, bm25, match, cosine**2, cosine * match, cosine * detail[:, 1], detail])


def _detail(query: list[str], title: list[str]) -> list[float]:
    """Share of query words found and found in singular, the last one, the place of the first, and both lengths."""
    asked, there = [_singular(word) for word in query], [_singular(word) for word in title]
    places = [there.index(word) for word in asked if word in there]
    exact = sum(word in set(title) for word in query) / max(1, len(query))
    first = 1 - min(places) / len(title) if places else 0.0
    last = bool(asked) and asked[-1] in there
    return [exact, len(places) / max(1, len(query)), float(last), first, len(query), float(np.log1p(len(title)))]


def _singular(word: str) -> str:
    """The S-stemmer (Harman, "How effective is suffixing?", 1991)."""
    for ending, kept, but in (
        ("ies", "y", ("eies", "aies")),
        ("es", "e", ("aes", "ees", "oes")),
        ("s", "", ("us", "ss")),
    ):
        if word.endswith(ending) and not word.endswith(but):
            return word.removesuffix(ending) + kept
    return word


@dataclass(frozen=True)
class Side:
    """How relevant and irrelevant are told apart: `share` is the regression's, `penalty` its own."""

    share: float
    penalty: float

    def fit(self, seen: Features, gold: Labels) -> Callable[[Features], NDArray[np.bool_]]:
        """Fitted on judged pairs: whether pairs with these features are relevant."""
        if self.share == 0:
            return lambda asked: asked[:, MATCH] > 0
        rule, relevant = _rule_odds(seen, gold), gold >= 2
        model = _regression(seen, relevant, self.penalty, 0)

        def answer(asked: Features) -> NDArray[np.bool_]:
            prior = rule[(asked[:, MATCH] > 0).astype(int)]
            return np.asarray((1 - self.share) * prior + self.share * _odds(model, asked) > 0)

        return answer


@dataclass(frozen=True)
class Grade:
    """How the two grades of a side are told apart: `weight` is what rarity counts for."""

    penalty: float
    weight: float

    def fit(self, seen: Features, gold: Labels) -> Callable[[Features, NDArray[np.bool_]], Labels]:
        """Fitted on judged pairs: labels 0..3, given whether the pairs are relevant."""
        upper = [self._upper(seen[gold // 2 == side], gold[gold // 2 == side] % 2 > 0) for side in (0, 1)]

        def answer(asked: Features, relevant: NDArray[np.bool_]) -> Labels:
            return np.where(relevant, 2 + upper[1](asked), upper[0](asked)).astype(np.int8)

        return answer

    def _upper(self, seen: Features, upper: NDArray[np.bool_]) -> Callable[[Features], NDArray[np.bool_]]:
        if upper.all() or not upper.any():
            return lambda asked: np.full(len(asked), bool(upper.size) and bool(upper.all()))
        model = _regression(seen, upper, self.penalty, self.weight)
        return lambda asked: np.asarray(_odds(model, asked) > 0)


@dataclass(frozen=True)
class Teacher:
    """Settings and the fitted regressions."""

    side: Side
    grade: Grade
    relevant: Callable[[Features], NDArray[np.bool_]]
    graded: Callable[[Features, NDArray[np.bool_]], Labels]

    @classmethod
    def of(cls, pairs: Sequence[Pair], seen: Features) -> "Teacher":
        """Chosen by inner folds of these judged pairs and fitted on all of them; n×12 features."""
        gold = np.array([pair.groundtruth.grade - 1 for pair in pairs], np.int8)
        inner = list(_inner(pairs))
        queries = np.unique([pair.query for pair in pairs], return_inverse=True)[1]
        side = max(_sides(), key=lambda one: _gain(_held_out(one, seen, gold, inner), seen, gold, queries))
        relevant = _held_out(side, seen, gold, inner)
        grade = max(_grades(), key=lambda one: macro_f1_of(gold, _regraded(one, seen, gold, inner, relevant)))
        return cls(side, grade, side.fit(seen, gold), grade.fit(seen, gold))

    def labels(self, asked: Features) -> Labels:
        """Labels 0..3 of pairs with these features."""
        return self.graded(asked, self.relevant(asked))


def _sides() -> list[Side]:
    """The rule first: of equals the first is taken."""
    return [Side(share, penalty) for share, penalty in product(SHARES, _PENALTIES) if share or penalty == _PENALTIES[0]]


def _grades() -> list[Grade]:
    return [Grade(penalty, weight) for penalty, weight in product(_PENALTIES, _WEIGHTS)]


def _inner(pairs: Sequence[Pair]) -> Iterator[tuple[Rows, Rows]]:
    folds = fold_of(pairs)
    fold = np.array([folds[pair.query] for pair in pairs])
    return ((np.flatnonzero(fold != one), np.flatnonzero(fold == one)) for one in range(FOLDS))


def _held_out(side: Side, seen: Features, gold: Labels, inner: Sequence[tuple[Rows, Rows]]) -> NDArray[np.bool_]:
    found = np.zeros(len(gold), bool)
    for fit, held in inner:
        found[held] = side.fit(seen[fit], gold[fit])(seen[held])
    return found


def _regraded(
    grade: Grade, seen: Features, gold: Labels, inner: Sequence[tuple[Rows, Rows]], relevant: NDArray[np.bool_]
) -> Labels:
    found = np.zeros(len(gold), np.int8)
    for fit, held in inner:
        found[held] = grade.fit(seen[fit], gold[fit])(seen[held], relevant[held])
    return found


def _gain(relevant: NDArray[np.bool_], seen: Features, gold: Labels, queries: Rows) -> float:
    """Lower bound of Accuracy@2 minus the lexical rule's, from a bootstrap over queries."""
    right, rule = (relevant == (gold >= 2)), (seen[:, MATCH] > 0) == (gold >= 2)
    counts = np.stack([np.bincount(queries, right.astype(float) - rule), np.bincount(queries)], axis=1)
    sums = resample_sums(counts.astype(np.float64), _RESAMPLES, _SEED)
    bounds = interval(sums[:, 0] / sums[:, 1], len(counts), 1 - _ERROR / len(_sides()))
    return bounds.low if bounds else -1.0


def _rule_odds(seen: Features, gold: Labels) -> NDArray[np.float64]:
    """Log-odds of relevance without and with a lexical match, each count one larger."""
    match = (seen[:, MATCH] > 0).astype(int)
    relevant, all_ = np.bincount(match, gold >= 2, minlength=2) + 1, np.bincount(match, minlength=2) + 2
    return np.asarray(np.log(relevant / (all_ - relevant)))


def _regression(seen: Features, wanted: NDArray[np.bool_], penalty: float, weight: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    share = wanted.mean()
    weights = {True: share**-weight, False: (1 - share) ** -weight}
    return make_pipeline(StandardScaler(), LogisticRegression(C=penalty, class_weight=weights, max_iter=500)).fit(
        seen, wanted
    )


def _odds(model: Any, asked: Features) -> NDArray[np.float64]:
    return np.asarray(model.decision_function(asked))
