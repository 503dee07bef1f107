"""What attempts and tiers have cost, from the records that outlive their Jobs: pods, GPUs, hours and a teacher's tokens.

Time is the pods' own: from an attempt's first report to its last. Waiting in a queue and pulling an image are not in it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from lore_core.jobs import Report
from lore_operator.children.config_maps import RECORD_KEY
from lore_operator.children.labels import ROLE, STAGE, owner_of
from lore_operator.children.pod import gpus_asked
from lore_operator.cli.kubectl import Object, names

_REPORT_KEY: Final = "report.json"
_SUFFIX: Final = "-report"
_SCORE: Final = "score"
"""Stage label of the pods that score an evaluation's shards."""
_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Spent:
    """One part of an object: a stage, an evaluation, a head build, or a tier that serves now and has no end.

    `gpus` are those of all its pods together; `hours` is None for a tier.
    """

    kind: str
    name: str
    part: str
    attempts: int
    pods: int
    gpus: int
    hours: float | None
    tokens: int = 0

    @property
    def pod_hours(self) -> float | None:
        """Hours of all pods."""
        return None if self.hours is None else self.hours * self.pods

    @property
    def gpu_hours(self) -> float | None:
        """Hours of all GPUs."""
        return None if self.hours is None else self.hours * self.gpus

    def plain(self) -> dict[str, Any]:
        """For JSON and YAML; decimals are strings, as in status."""
        found = {"kind": self.kind, "name": self.name, "part": self.part, "attempts": self.attempts}
        found |= {"pods": self.pods, "gpus": self.gpus, "tokens": self.tokens}
        hours = {"podHours": self.pod_hours, "gpuHours": self.gpu_hours}
        return found | {name: f"{value:.3f}" for name, value in hours.items() if value is not None}


def spending(config_maps: Sequence[Object], objects: Sequence[Object]) -> list[Spent]:
    """By kind, name and part; what ran first, then what serves."""
    configs = {item["metadata"]["name"]: item for item in config_maps}
    attempts: defaultdict[tuple[str, str, str], list[Spent]] = defaultdict(list)
    for item in config_maps:
        if (one := _attempt(item, configs)) is not None:
            attempts[one.kind, one.name, one.part].append(one)
    return [_together(found) for _, found in sorted(attempts.items())] + list(_serving(objects))


def _attempt(item: Object, configs: Mapping[str, Object]) -> Spent | None:
    """An attempt by its report; None for what is no report, or one that no pod has written to."""
    metadata, text = item["metadata"], (item.get("data") or {}).get(_REPORT_KEY)
    labels, owner = metadata.get("labels") or {}, owner_of(item)
    if labels.get(ROLE) != "report" or owner is None or not text:
        return None
    try:
        report = Report.model_validate_json(text)
    except ValidationError:
        return None
    stage = labels.get(STAGE, "")
    pods, gpus = _gang(_record(configs.get(metadata["name"].removesuffix(_SUFFIX))), stage)
    hours = max(0.0, (report.last_updated - report.started_at).total_seconds()) / _SECONDS
    tokens = report.summary.get("tokens")
    part = stage or ("head" if owner[0] == "RelevanceDeployment" else "evaluation")
    return Spent(*owner, part, 1, pods, gpus, hours, tokens if isinstance(tokens, int) else 0)


def _together(found: list[Spent]) -> Spent:
    last = found[-1]
    hours, tokens = sum(one.hours or 0.0 for one in found), sum(one.tokens for one in found)
    return Spent(last.kind, last.name, last.part, len(found), last.pods, last.gpus, hours, tokens)


def _record(config: Object | None) -> Mapping[str, Any]:
    """The spec that the attempt was rendered from."""
    text = ((config or {}).get("data") or {}).get(RECORD_KEY)
    return dict(json.loads(text).get("spec") or {}) if text else {}


def _gang(spec: Mapping[str, Any], stage: str) -> tuple[int, int]:
    """(pods, GPUs of all of them). Synthesis, quantising and the step that joins shards are one pod without a GPU."""
    found: Mapping[str, Any] = next((one for one in spec.get("stages") or () if one["name"] == stage), {})
    if "synthesize" in found or "quantize" in found:
        return 1, 0
    nodes, asked = spec.get("nodes") or {}, gpus_asked((spec.get("runner") or {}).get("resources") or {})
    shards = int(spec.get("shards") or 1)
    if shards > 1 and stage != _SCORE:
        return 1, 0
    pods = shards * int(nodes.get("count") or 1)
    return pods, pods * (asked or int(nodes.get("gpusPerNode") or 0))


def _serving(objects: Sequence[Object]) -> Iterator[Spent]:
    for name, item in names(objects, "RelevanceDeployment").items():
        asked = {tier["stratum"]: tier.get("predictor") or {} for tier in item["spec"].get("tiers") or ()}
        for tier in (item.get("status") or {}).get("tiers") or ():
            if pods := int(tier.get("readyReplicas") or 0):
                runner = asked.get(tier["stratum"], {}).get("runner") or {}
                gpus = pods * gpus_asked(runner.get("resources") or {})
                yield Spent(item["kind"], name, f"tier {tier['stratum']}", 0, pods, gpus, None)


def total(found: Sequence[Spent]) -> dict[str, Any]:
    """Hours and tokens of all; pods and GPUs that serve now."""
    ended = [one for one in found if one.hours is not None]
    serving = [one for one in found if one.hours is None]
    return {
        "podHours": f"{sum(one.pod_hours or 0.0 for one in ended):.3f}",
        "gpuHours": f"{sum(one.gpu_hours or 0.0 for one in ended):.3f}",
        "tokens": sum(one.tokens for one in ended),
        "servingPods": sum(one.pods for one in serving),
        "servingGpus": sum(one.gpus for one in serving),
    }
