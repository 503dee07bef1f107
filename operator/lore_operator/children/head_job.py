"""A head generation built by a Job of one pod: the candidates scored with the model of another tier."""

from typing import Any

from lore_core.jobs import CONFIG_PATH, HeadBuildConfig, ServingProfile
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.api.v1alpha1.deployment import RelevanceDeployment
from lore_operator.children.config_maps import config_map, report_map
from lore_operator.children.input_key import input_key
from lore_operator.children.job import job
from lore_operator.children.names import Attempt
from lore_operator.children.pod import Workload
from lore_operator.children.report_access import service_account_name
from lore_operator.children.settings import Settings


def head_inputs(deployment: RelevanceDeployment, model: ArtifactRef) -> dict[str, ArtifactRef | None]:
    """What a generation is made from; the spec's rules guarantee that a built head has candidates and items."""
    cache = next(tier.cache for tier in deployment.spec.tiers if tier.cache is not None)
    return {
        "model": model,
        "candidates": cache.candidates,
        "items": deployment.spec.items,
        "rules": deployment.spec.rule_set,
    }


def head_config(deployment: RelevanceDeployment, model: ArtifactRef, profile: ServingProfile) -> HeadBuildConfig:
    """The config. Every input has a digest, so equal inputs always name the same generation."""
    cache = next(tier.cache for tier in deployment.spec.tiers if tier.cache is not None)
    spec, inputs = deployment.spec, head_inputs(deployment, model)
    if cache.candidates is None or spec.items is None or spec.workspace is None:
        raise ValueError("a head that is built from candidates needs candidates, items and workspace")
    parameters = {"profile": profile.content_digest(), "minCoverage": cache.min_coverage}
    return HeadBuildConfig(
        deployment=deployment.metadata.name,
        model=model.mounted(),
        profile=profile,
        candidates=cache.candidates.mounted(),
        items=spec.items.mounted(),
        rule_set=spec.rule_set.mounted() if spec.rule_set else None,
        workspace=spec.workspace.mounted(),
        input_key=input_key("head", inputs, parameters, run=""),
        min_coverage=cache.min_coverage,
    )


def head_objects(
    resource: dict[str, Any],
    deployment: RelevanceDeployment,
    attempt: Attempt,
    labels: dict[str, str],
    config: HeadBuildConfig,
    inputs: tuple[ArtifactRef, ...],
    settings: Settings,
) -> list[dict[str, Any]]:
    """The objects of one attempt in the order they are created. Raises InvalidPodTemplate."""
    spec = deployment.spec
    if spec.workspace is None:
        raise ValueError("a head that is built needs workspace")
    workload = Workload(
        attempt=attempt,
        namespace=deployment.metadata.namespace,
        image=spec.runner.image or config.profile.image,
        command=("lore", "head", "build", "--config", CONFIG_PATH),
        pods=spec.runner,
        service_account=service_account_name(resource, spec.runner, settings),
        labels=labels,
        inputs=inputs,
        workspace=spec.workspace,
    )
    return [
        config_map(resource, attempt, labels, config, {"spec": spec.to_wire()}, settings),
        job(resource, workload, settings, queue=spec.runner.queue_name),
        report_map(resource, attempt, labels, settings),
    ]
