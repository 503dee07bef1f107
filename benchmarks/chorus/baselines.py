"""What a student has to beat: every query word in the title, BM25, and a sentence encoder nobody fine-tuned."""

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lore_core.evaluation.metrics import accuracy2, counts_by_query, macro_f1
from lore_core.records import Pair

_WORD: Final = re.compile(r"[a-z0-9]+")
_STEPS: Final = 40

Scores = NDArray[np.float64]
Labels = NDArray[np.int8]


def words(text: str) -> list[str]:
    """Runs of ASCII letters and digits, in lower case. Fixed here: the yardsticks depend on it."""
    return _WORD.findall(text.lower())


def lexical(pairs: Sequence[Pair]) -> Labels:
    """L4 where every query word occurs in the title, else L1."""
    found = [set(words(pair.query)) <= set(words(pair.title)) for pair in pairs]
    return np.where(found, 3, 0).astype(np.int8)


def bm25_scores(pairs: Sequence[Pair], titles: Sequence[str]) -> Scores:
    """BM25 of query and title under the catalogue's statistics, as a share of the best score in the catalogue."""
    from rank_bm25 import BM25Okapi

    corpus = [words(title) for title in titles]
    index, engine = {title: row for row, title in enumerate(titles)}, BM25Okapi(corpus)
    by_query = {query: engine.get_scores(words(query)) for query in {pair.query for pair in pairs}}
    best = {query: max(float(scores.max()), 1e-9) for query, scores in by_query.items()}
    return np.array([by_query[pair.query][index[pair.title]] / best[pair.query] for pair in pairs])


def zero_shot_scores(pairs: Sequence[Pair], folder: str) -> Scores:
    """Cosine of the sentence embeddings of query and title, by the encoder in `folder` as it was published."""
    # By length, so that batches waste little on padding.
    texts = sorted({pair.query for pair in pairs} | {pair.title for pair in pairs}, key=lambda text: (len(text), text))
    row = {text: number for number, text in enumerate(texts)}
    vectors = _embed(texts, folder)
    left, right = vectors[[row[pair.query] for pair in pairs]], vectors[[row[pair.title] for pair in pairs]]
    return np.asarray(np.einsum("ij,ij->i", left, right))


def _embed(texts: Sequence[str], folder: str, batch: int = 64) -> Scores:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    parts: list[Any] = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch):
            given = tokenizer(list(texts[start : start + batch]), padding=True, truncation=True, return_tensors="pt")
            mask = given["attention_mask"].unsqueeze(-1)
            mean = (model(**given).last_hidden_state * mask).sum(1) / mask.sum(1)
            parts.append(torch.nn.functional.normalize(mean, dim=-1).double().numpy())
    return np.concatenate(parts)


def fit_cuts(scores: Scores, gold: NDArray[Any]) -> Scores:
    """Three cuts on a score, fitted on training pairs.

    The middle one maximises Accuracy@2, then the outer ones Macro-F1.
    """
    grid = np.unique(np.quantile(scores, np.linspace(0, 1, _STEPS)))
    middle = _best(grid, lambda cut: _score(accuracy2, scores, gold, [cut, cut, cut]))
    low, high = grid[grid <= middle], grid[grid >= middle]
    lower = _best(low, lambda cut: _score(macro_f1, scores, gold, [cut, middle, middle]))
    upper = _best(high, lambda cut: _score(macro_f1, scores, gold, [lower, middle, cut]))
    return np.array([lower, middle, upper])


def apply_cuts(scores: Scores, cuts: Scores) -> Labels:
    """Labels of scores: the number of cuts that a score reaches."""
    return np.asarray((scores[:, None] >= cuts[None, :]).sum(axis=1), np.int8)


def _best(grid: Scores, value: Any) -> float:
    return float(max(grid, key=value))


def _score(metric: Any, scores: Scores, gold: NDArray[Any], cuts: Sequence[float]) -> float:
    answer = apply_cuts(scores, np.array(cuts))
    return float(metric(counts_by_query(gold, answer, np.zeros(len(gold), np.int64), 1)[0]))
