"""What evaluations found, as gauges: so that dashboards, alerts and analyses of a rollout can read a verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lore_operator.engine.keys import Key

_OWN: Final = ["namespace", "name"]


class EvalCollector(Collector):
    """Keeps of each evaluation what its status says, and shows it when it is scraped; without a verdict there is nothing."""

    def __init__(self) -> None:
        self._found: dict[Key, tuple[str, str, float | None, Mapping[str, int]]] = {}

    def judged(self, key: Key, status: Mapping[str, Any]) -> None:
        """Remember an evaluation's status; one that lost its verdict (a new run) is forgotten."""
        if (verdict := status.get("verdict")) is None:
            self._found.pop(key, None)
            return
        primary = status.get("primary") or {}
        gates = Counter(str(gate.get("outcome")) for gate in status.get("gates") or ())
        shown = "Overridden" if status.get("override") else str(verdict)
        self._found[key] = (shown, str(primary.get("name", "")), as_number(primary.get("value")), gates)

    def gone(self, key: Key) -> None:
        """The evaluation is deleted."""
        self._found.pop(key, None)

    def collect(self) -> Iterable[Metric]:
        """Verdict, primary score and gates by outcome of each evaluation."""
        verdicts = GaugeMetricFamily(
            "lore_operator_eval_verdict", "1 for the verdict that an evaluation has.", labels=[*_OWN, "verdict"]
        )
        scores = GaugeMetricFamily(
            "lore_operator_eval_score", "Primary score of an evaluation.", labels=[*_OWN, "metric"]
        )
        counts = GaugeMetricFamily(
            "lore_operator_eval_gates", "Gates of an evaluation by outcome.", labels=[*_OWN, "outcome"]
        )
        for key, (verdict, metric, value, gates) in sorted(self._found.items()):
            own = [key.namespace, key.name]
            verdicts.add_metric([*own, verdict], 1)
            if value is not None:
                scores.add_metric([*own, metric], value)
            for outcome, number in sorted(gates.items()):
                counts.add_metric([*own, outcome], number)
        yield from (verdicts, scores, counts)


def as_number(value: Any) -> float | None:
    """A decimal of a status; what a pod's report made of it may be anything."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
