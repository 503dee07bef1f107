"""`python -m benchmarks.evaluation`: every score with its interval over 30 slices of 54,539 pairs, champion beside candidate.

The pairs are drawn, the sizes are RAIR's: three subsets, 14 industries, 13 rule dimensions. Printed are seconds and
peak memory for many pairs a query and for the worst case, where every pair is a query of its own; 1 above 20 s or 1 GiB.
"""

import resource
import sys
import time
from typing import Final

import numpy as np

from lore_core.evaluation.measured import Measured
from lore_core.evaluation.metrics import LABELS
from lore_core.evaluation.slices import Slice
from lore_core.evaluation.table import PairTable

PAIRS: Final = 54_539
QUERIES: Final = 8_000
RESAMPLES: Final = 1_000
SLICES: Final = {"subset": 3, "industry": 14, "dimension": 13}
SECONDS: Final = 20.0
GIBIBYTES: Final = 1.0
FEW: Final = ("Accuracy4", "Accuracy2", "MacroF1", "WeightedF1", "ParseRate", "QuadraticKappa", "MeanAbsoluteError")
MORE: Final = ("CalibrationError", "LowConfidence", "TierMacroF1", "NDCG10", "QueryAUC", "OutputTokens", "LatencyP95")
METRICS: Final = [
    *((name, None) for name in (*FEW, *MORE)),
    *((name, label) for name in ("F1", "Precision", "Recall") for label in LABELS),
]


def drawn(queries: int) -> Slice:
    generator = np.random.default_rng(17)
    query = np.arange(PAIRS) if queries == PAIRS else generator.integers(0, queries, PAIRS)
    gold = generator.integers(0, 4, PAIRS)
    fields = {name: [f"{name}-{value}" for value in generator.integers(0, n, PAIRS)] for name, n in SLICES.items()}
    ids, texts = [f"p{row:06d}" for row in range(PAIRS)], [f"q{number:06d}" for number in query]

    def answered(right: float) -> PairTable:
        answer = np.where(generator.random(PAIRS) < right, gold, generator.integers(-1, 4, PAIRS))
        measured = Measured(
            generator.dirichlet([0.4] * 4, PAIRS),
            *(generator.lognormal(4, 1, PAIRS).round() for _ in ("prompt tokens", "output tokens", "milliseconds")),
        )
        return PairTable.build(ids, texts, gold.tolist(), answer.tolist(), fields, measured=measured)

    return Slice(answered(0.70), answered(0.69), RESAMPLES, seed=17)


def score(whole: Slice) -> int:
    """All intervals of all slices; returns how many there were."""
    slices = [whole.narrowed({name: f"{name}-{value}"}) for name, count in SLICES.items() for value in range(count)]
    found = [
        (part.value_interval(name, label, 0.975), part.regression_interval(name, label, 0.95))
        for part in slices
        for name, label in METRICS
    ]
    return len(found)


def main() -> int:
    within = True
    for queries in (QUERIES, PAIRS):
        whole, began, used = drawn(queries), time.perf_counter(), time.process_time()
        intervals = score(whole)
        seconds, busy = time.perf_counter() - began, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        within = within and seconds < SECONDS and peak < GIBIBYTES
        print(
            f"{PAIRS} pairs, {queries} queries, {sum(SLICES.values())} slices, {RESAMPLES} resamples: "
            f"{2 * intervals} intervals in {seconds:.1f} s ({busy:.1f} s of one core), peak {peak:.2f} GiB"
        )
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
