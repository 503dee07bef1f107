"""The chain of a namespace as a tree: train job → models → evaluations and deployments of each."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lore_operator.cli.kubectl import Object, names
from lore_operator.cli.standing import Standing, State, alerts, progress, standing

MODEL: Final = "RelevanceModel"
_SETTLED: Final = frozenset({State.READY})


@dataclass(frozen=True)
class Node:
    """One object in the tree. `role` is what it is to its parent, `alerts` are conditions beside the state."""

    kind: str
    name: str
    standing: Standing
    role: str = ""
    alerts: tuple[str, ...] = ()
    progress: str = ""
    children: tuple["Node", ...] = field(default=())

    @property
    def blocked(self) -> str:
        """What hinders it, in words; empty where it is done."""
        return "" if self.standing.state in _SETTLED else self.standing.message

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "Node"]]:
        """This node and all below it, with their depth."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)

    def plain(self) -> dict[str, Any]:
        """For JSON and YAML."""
        found = {
            "kind": self.kind,
            "name": self.name,
            "state": self.standing.state.value,
            "role": self.role,
            "reason": self.standing.reason,
            "progress": self.progress,
            "blockedBy": self.blocked,
            "alerts": list(self.alerts),
            "children": [child.plain() for child in self.children],
        }
        return {name: value for name, value in found.items() if value}


class Chain:
    """All objects of one namespace and how they name each other."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.jobs, self.models = names(objects, "RelevanceTrainJob"), names(objects, MODEL)
        self.evals, self.deployments = names(objects, "RelevanceEval"), names(objects, "RelevanceDeployment")
        self._judged = _by_model((judged_model(item), item, "") for item in self.evals.values() if judged_model(item))
        self._served = _by_model(
            (model, item, f"tier {'+'.join(strata)}")
            for item in self.deployments.values()
            for model, strata in served_models(item).items()
        )

    def tree(self) -> list[Node]:
        """The roots: train jobs, models that no train job here publishes, evaluations of anything else."""
        published = {name for job in self.jobs.values() for name in published_models(job)}
        named = dict.fromkeys([*self.models, *self._judged, *self._served])
        roots = [self._node(job, children=self._models_of(job)) for job in self.jobs.values()]
        roots += [self._model(name) for name in sorted(named) if name not in published]
        return roots + [
            self._node(item, judged_otherwise(item)) for item in self.evals.values() if not judged_model(item)
        ]

    def _models_of(self, job: Object) -> tuple[Node, ...]:
        return tuple(self._model(name, f"stage {stage}") for name, stage in published_models(job).items())

    def _model(self, name: str, role: str = "") -> Node:
        children = tuple(self._node(item, words) for item, words in (*self._judged[name], *self._served[name]))
        found = self.models.get(name)
        if found is None:
            return Node(MODEL, name, Standing(State.MISSING, "", "not published yet"), role, children=children)
        return self._node(found, role, children)

    def _node(self, item: Object, role: str = "", children: tuple[Node, ...] = ()) -> Node:
        told = tuple(str(alert["type"]) for alert in alerts(item))
        return Node(item["kind"], item["metadata"]["name"], standing(item), role, told, progress(item), children)


def published_models(job: Mapping[str, Any]) -> dict[str, str]:
    """Model → stage of every model that a train job publishes."""
    stages = job["spec"].get("stages") or ()
    return {stage["publish"]["as"]: stage["name"] for stage in stages if stage.get("publish")}


def judged_model(evaluation: Mapping[str, Any]) -> str:
    """The model that an evaluation names; empty where it judges an endpoint, a served tier or traffic."""
    return str(evaluation["spec"].get("modelRef", {}).get("name", ""))


def judged_otherwise(evaluation: Mapping[str, Any]) -> str:
    """What an evaluation judges that is no model of its own, in words."""
    spec = evaluation["spec"]
    if tier := spec.get("deploymentRef"):
        return f"tier {tier['stratum']} of {tier['name']}"
    if traffic := spec.get("traffic"):
        return f"traffic {traffic.get('firstDay', '')}..{traffic.get('lastDay', '')}"
    return f"endpoint model {spec.get('endpoint', {}).get('model', '')}"


def served_models(deployment: Mapping[str, Any]) -> dict[str, list[str]]:
    """Model → strata of every model that a deployment names."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for tier in deployment["spec"].get("tiers") or ():
        if name := (tier.get("predictor") or {}).get("modelRef", {}).get("name"):
            found[name].append(tier["stratum"])
    return dict(found)


def _by_model(uses: Iterable[tuple[str, Object, str]]) -> defaultdict[str, list[tuple[Object, str]]]:
    found: defaultdict[str, list[tuple[Object, str]]] = defaultdict(list)
    for model, item, role in uses:
        found[model].append((item, role))
    return found
