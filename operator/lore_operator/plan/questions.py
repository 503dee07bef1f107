"""What Prometheus is asked for a rollout: the checks of the step that its candidate stands on."""

from lore_operator.api import InvalidResource, parse_deployment
from lore_operator.api.v1alpha1 import RelevanceDeployment
from lore_operator.children.router import router_name
from lore_operator.plan.conditions import Halt
from lore_operator.plan.judgement import rendered
from lore_operator.plan.routing import stored_config
from lore_operator.plan.steps import current, ladder
from lore_operator.plan.types import Object, ObjectKey, Observed


def queries(resource: Object, observed: Observed) -> frozenset[str]:
    """What Prometheus is to be asked before `deployment.plan` decides."""
    try:
        deployment = parse_deployment(resource)
        config = stored_config(observed.children.get(ObjectKey("ConfigMap", router_name(deployment.metadata.name))))
    except (InvalidResource, Halt):
        return frozenset()
    if config is None:
        return frozenset()
    rungs = ladder(deployment.spec.rollout.steps)
    return frozenset(
        rendered(check, names(deployment, config.stable, candidate.revision))
        for candidate in config.compositions
        if candidate.revision != config.stable and (rung := current(rungs, candidate)) and rung.step.analysis
        for check in rung.step.analysis.prometheus
    )


def names(deployment: RelevanceDeployment, stable: str, candidate: str) -> dict[str, str]:
    """What queries of an analysis may name."""
    own = deployment.metadata
    return {"revision": candidate, "stable": stable, "deployment": own.name, "namespace": own.namespace}
