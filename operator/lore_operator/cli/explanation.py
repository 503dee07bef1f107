"""Why an object stands as it does: conditions in plain words, what to do, and what it looks at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lore_operator.api.reasons import REASONS
from lore_operator.cli.chain import Chain, judged_model, published_models, served_models
from lore_operator.cli.kubectl import Object, names
from lore_operator.cli.standing import Standing, State, alerts, standing


@dataclass(frozen=True)
class Point:
    """One thing that is so: its documented meaning, the operator's words, and what to do."""

    reason: str
    meaning: str
    said: str
    remedy: str

    def plain(self) -> dict[str, str]:
        """For JSON and YAML."""
        found = {"reason": self.reason, "meaning": self.meaning, "said": self.said, "remedy": self.remedy}
        return {name: text for name, text in found.items() if text}


@dataclass(frozen=True)
class Explanation:
    """The answer of `lore why`. `looks_at` are the objects that this one waits for or was made from."""

    kind: str
    name: str
    standing: Standing
    points: tuple[Point, ...]
    looks_at: tuple[tuple[str, str, Standing], ...]

    def plain(self) -> dict[str, Any]:
        """For JSON and YAML."""
        looked = [
            {"kind": kind, "name": name, "state": found.state.value}
            | ({"reason": found.reason} if found.reason else {})
            for kind, name, found in self.looks_at
        ]
        return {
            "kind": self.kind,
            "name": self.name,
            "state": self.standing.state.value,
            "because": [point.plain() for point in self.points],
            "looksAt": looked,
        }


def explain(resource: Object, objects: Sequence[Object]) -> Explanation:
    """Explain one object; `objects` are all of its namespace."""
    found = standing(resource)
    points = [_point(found.reason, found.message)]
    failure = (resource.get("status") or {}).get("failure")
    if failure and failure.get("reason") != found.reason:
        points.append(_point(str(failure["reason"]), str(failure.get("message", ""))))
    points += [_point(str(item["reason"]), str(item.get("message", ""))) for item in alerts(resource)]
    looked = tuple(_looks_at(resource, objects))
    return Explanation(resource["kind"], resource["metadata"]["name"], found, tuple(points), looked)


def _point(reason: str, said: str) -> Point:
    known = REASONS.get(reason)
    remedy = known.remedy if known else ""
    # Messages of the operator may end in the remedy already.
    return Point(reason, known.meaning if known else "", said, "" if remedy and remedy in said else remedy)


def _looks_at(resource: Object, objects: Sequence[Object]) -> Iterator[tuple[str, str, Standing]]:
    chain = Chain(objects)
    for kind, name in dict.fromkeys(_named(resource, chain)):
        item = names(objects, kind).get(name)
        yield kind, name, standing(item) if item else Standing(State.MISSING)


def _named(resource: Object, chain: Chain) -> Iterator[tuple[str, str]]:
    kind, name, spec = resource["kind"], resource["metadata"]["name"], resource["spec"]
    if kind == "RelevanceDeployment":
        served = served_models(resource)
        yield from (("RelevanceModel", model) for model in served)
        yield from (("RelevanceEval", other) for other, item in chain.evals.items() if judged_model(item) in served)
    elif kind == "RelevanceEval":
        yield "RelevanceModel", judged_model(resource)
        if champion := _champion(spec):
            yield "RelevanceEval", champion
    elif kind == "RelevanceModel":
        yield from (("RelevanceTrainJob", job) for job, item in chain.jobs.items() if name in published_models(item))
    else:
        yield from (("RelevanceModel", model) for model in published_models(resource) if model in chain.models)


def _champion(spec: Mapping[str, Any]) -> str:
    return str(((spec.get("champion") or {}).get("evalRef") or {}).get("name", ""))
