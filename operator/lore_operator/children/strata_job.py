"""A strata snapshot built by a Job of one pod: the query log counted as it is now, beside the snapshot that serves."""

from typing import Any, Final

from lore_core.jobs import CONFIG_PATH, StrataBuildConfig
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.deployment import RelevanceDeployment
from lore_operator.children.config_maps import config_map, report_map
from lore_operator.children.input_key import input_key
from lore_operator.children.job import job
from lore_operator.children.names import Attempt
from lore_operator.children.pod import Workload
from lore_operator.children.report_access import service_account_name
from lore_operator.children.settings import Settings

PURPOSE: Final = "strata"
"""Builds have a ServiceAccount of their own: a head build may run at the same time, and each may patch its own report only."""


def strata_config(deployment: RelevanceDeployment, live: ArtifactRef, run: str) -> StrataBuildConfig:
    """The config. The log changes under its uri, so the work of one run is found again by that run alone."""
    build, workspace = deployment.spec.strata.build, deployment.spec.workspace
    if build is None or workspace is None:
        raise ValueError("a strata build needs strata.build and workspace")
    parameters = {"recipe": build.recipe.content_digest(), "deployment": deployment.metadata.name}
    return StrataBuildConfig(
        deployment=deployment.metadata.name,
        log=build.log.mounted(),
        live=live.mounted(),
        recipe=build.recipe,
        workspace=workspace.mounted(),
        input_key=input_key("strata", {"log": build.log, "live": live}, parameters, run),
    )


def strata_objects(
    resource: dict[str, Any],
    deployment: RelevanceDeployment,
    attempt: Attempt,
    labels: dict[str, str],
    config: StrataBuildConfig,
    live: ArtifactRef,
    settings: Settings,
) -> list[dict[str, Any]]:
    """The objects of one attempt in the order they are created. Raises InvalidPodTemplate."""
    spec, build = deployment.spec, deployment.spec.strata.build
    if build is None or spec.workspace is None:
        raise ValueError("a strata build needs strata.build and workspace")
    workload = Workload(
        attempt=attempt,
        namespace=deployment.metadata.namespace,
        image=build.runner.image or settings.images.trainer,
        command=("lore", "strata", "propose", "--config", CONFIG_PATH),
        pods=build.runner,
        service_account=service_account_name(resource, build.runner, settings, PURPOSE),
        labels=labels,
        inputs=(build.log, live),
        workspace=spec.workspace,
    )
    return [
        config_map(resource, attempt, labels, config, {"strata": spec.strata.to_wire()}, settings),
        job(resource, workload, settings, queue=build.runner.queue_name),
        report_map(resource, attempt, labels, settings),
    ]
