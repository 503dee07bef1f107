"""An evaluation as a Job of one pod, in the image that the verdict is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lore_core import jobs
from lore_core.jobs import CONFIG_PATH, EvaluateConfig
from lore_operator.api.v1alpha1.common import SECRET_ROOT, ArtifactRef, PodSettings, Resources, seconds
from lore_operator.api.v1alpha1.evaluation import EvalSpec, RelevanceEval
from lore_operator.children.config_maps import config_map, report_map
from lore_operator.children.input_key import input_key
from lore_operator.children.job import job, sharded
from lore_operator.children.names import Attempt
from lore_operator.children.pod import Workload
from lore_operator.children.report_access import service_account_name
from lore_operator.children.settings import Settings


@dataclass(frozen=True)
class Resolved:
    """What the references of an evaluation were found to be, once and for the whole run."""

    model: ArtifactRef
    champion_name: str | None = None
    champion: ArtifactRef | None = None

    def to_record(self) -> dict[str, Any]:
        """The JSON form that is kept in the attempt's config."""
        champion = {"championName": self.champion_name, "champion": self.champion.to_wire()} if self.champion else {}
        return {"model": self.model.to_wire(), **champion}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Resolved":
        """Reads `to_record`."""
        champion = record.get("champion")
        return cls(
            ArtifactRef.model_validate(record["model"]),
            record.get("championName"),
            ArtifactRef.model_validate(champion) if champion else None,
        )


def eval_config(evaluation: RelevanceEval, resolved: Resolved, run: str, settings: Settings) -> EvaluateConfig:
    """The config, with every reference resolved to a digest."""
    spec, model = evaluation.spec, resolved.model
    profile = spec.serving_profile.resolved(settings.images.server)
    gates = tuple(jobs.Gate.model_validate(gate.model_dump()) for gate in spec.gates)
    parameters = {
        "profile": profile.content_digest(),
        "gates": jobs.gate_set_digest(gates),
        "subsets": sorted(spec.benchmark.subsets),
        "ruleMode": spec.benchmark.rule_mode,
        "image": _image(spec, settings),
        **({"generation": spec.generation.content_digest()} if spec.generation else {}),
    }
    inputs = {
        "model": model,
        "benchmark": spec.benchmark,
        "rules": spec.rule_set,
        "trainingData": spec.training_data,
        "champion": resolved.champion,
    }
    return EvaluateConfig(
        evaluation=evaluation.metadata.name,
        model=model.mounted(),
        model_name=spec.model_ref.name,
        profile=profile,
        benchmark=jobs.BenchmarkInput(
            **spec.benchmark.mounted().model_dump(),
            subsets=spec.benchmark.subsets,
            rule_mode=spec.benchmark.rule_mode,
        ),
        rule_set=spec.rule_set.mounted() if spec.rule_set else None,
        training_data=spec.training_data.mounted() if spec.training_data else None,
        generation=jobs.Generation.model_validate(spec.generation.model_dump()) if spec.generation else None,
        gates=gates,
        gate_set_digest=jobs.gate_set_digest(gates),
        champion=_champion(resolved),
        workspace=spec.workspace.mounted(),
        input_key=input_key("evaluate", inputs, parameters, run),
        shards=spec.shards,
        signing=_signing(spec),
    )


def _signing(spec: EvalSpec) -> jobs.Signing | None:
    if spec.signing is None:
        return None
    valid = int(seconds(spec.signing.valid_for).total_seconds())
    folder = f"{SECRET_ROOT}/{spec.signing.secret_ref.name}"
    return jobs.Signing(credentials=folder, valid_seconds=valid, custom_runner=is_custom(spec))


def _champion(resolved: Resolved) -> jobs.Champion | None:
    if resolved.champion is None:
        return None
    return jobs.Champion(name=resolved.champion_name or resolved.champion.uri, evidence=resolved.champion.mounted())


def _image(spec: EvalSpec, settings: Settings) -> str:
    return spec.runner.image or spec.serving_profile.image or settings.images.server


def is_custom(spec: EvalSpec) -> bool:
    """Whether another image than the profile's computes the verdict."""
    return spec.runner.image is not None and spec.runner.image != spec.serving_profile.image


Step = Literal["evaluate", "shards", "reduce"]
"""All in one pod; or one pod a shard, then one that puts their answers together."""
_OPTIONS: Final[Mapping[Step, tuple[str, ...]]] = {"evaluate": (), "shards": ("--shard",), "reduce": ("--reduce",)}


def eval_objects(
    resource: dict[str, Any],
    evaluation: RelevanceEval,
    attempt: Attempt,
    labels: dict[str, str],
    config: EvaluateConfig,
    resolved: Resolved,
    settings: Settings,
    step: Step = "evaluate",
) -> list[dict[str, Any]]:
    """The objects of one attempt in the order they are created. Raises InvalidPodTemplate."""
    spec = evaluation.spec
    references = (resolved.model, spec.benchmark, spec.rule_set, spec.training_data, resolved.champion)
    inputs = tuple(ref for ref in references if ref)
    record = {"spec": spec.to_wire(), **resolved.to_record()}
    workload = Workload(
        attempt=attempt,
        namespace=evaluation.metadata.namespace,
        image=_image(spec, settings),
        command=("lore", "evaluate", "--config", CONFIG_PATH, *_OPTIONS[step]),
        pods=_without_devices(spec.runner) if step == "reduce" else spec.runner,
        service_account=service_account_name(resource, spec.runner, settings),
        labels=labels,
        inputs=inputs,
        workspace=spec.workspace,
        secrets=(spec.signing.secret_ref.name,) if spec.signing and step != "shards" else (),
    )
    made = job(resource, workload, settings, queue=spec.runner.queue_name)
    return [
        config_map(resource, attempt, labels, config, record, settings),
        report_map(resource, attempt, labels, settings),
        sharded(made, spec.shards) if step == "shards" else made,
    ]


def _without_devices(pods: PodSettings) -> PodSettings:
    """The reduce step scores nothing: no GPU is held for it. Extended resources have a domain in their name."""
    kept = {
        field: {name: amount for name, amount in values.items() if "/" not in name}
        for field, values in (("requests", pods.resources.requests), ("limits", pods.resources.limits))
    }
    return pods.model_copy(update={"resources": Resources(**kept)})
