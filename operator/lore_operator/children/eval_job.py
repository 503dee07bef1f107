"""An evaluation as a Job of one pod, in the image that the verdict is about where that is a model's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from lore_core import jobs
from lore_core.jobs import CONFIG_PATH, EvaluateConfig, GoodRateConfig
from lore_core.prompts.chat import chat_prompt_digest
from lore_core.router.config import PredictorStratum
from lore_operator.api.v1alpha1.common import SECRET_ROOT, ArtifactRef, PodSettings, Resources, seconds
from lore_operator.api.v1alpha1.evaluation import Benchmark, EvalSpec, RelevanceEval
from lore_operator.api.v1alpha1.subject import Traffic
from lore_operator.children.config_maps import config_map, report_map
from lore_operator.children.input_key import input_key
from lore_operator.children.job import job, sharded
from lore_operator.children.names import Attempt
from lore_operator.children.pod import Workload
from lore_operator.children.report_access import service_account_name
from lore_operator.children.settings import Settings


class Served(jobs.config.WireModel):
    """A tier as it served when it was resolved: backend, address, and the profile it runs under."""

    deployment: str
    stratum: PredictorStratum
    backend: str
    url: str
    model: str
    profile: jobs.ServingProfile


@dataclass(frozen=True)
class Resolved:
    """What the references of an evaluation were found to be, once and for the whole run; no model is an endpoint's."""

    model: ArtifactRef | None
    champion_name: str | None = None
    champion: ArtifactRef | None = None
    served: Served | None = None

    def to_record(self) -> dict[str, Any]:
        """The JSON form that is kept in the attempt's config."""
        champion = {"championName": self.champion_name, "champion": self.champion.to_wire()} if self.champion else {}
        model = {"model": self.model.to_wire()} if self.model else {}
        served = {"served": self.served.model_dump(mode="json", by_alias=True)} if self.served else {}
        return {**model, **champion, **served}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Resolved":
        """Reads `to_record`."""
        model, champion, served = (record.get(name) for name in ("model", "champion", "served"))
        return cls(
            ArtifactRef.model_validate(model) if model else None,
            record.get("championName"),
            ArtifactRef.model_validate(champion) if champion else None,
            Served.model_validate(served) if served else None,
        )


EvalConfig = EvaluateConfig | GoodRateConfig
"""What the pod is told: to evaluate on a benchmark, or to measure what was served."""


def eval_config(evaluation: RelevanceEval, resolved: Resolved, run: str, settings: Settings) -> EvalConfig:
    """The config, with every reference resolved to a digest."""
    spec = evaluation.spec
    gates = tuple(jobs.Gate.model_validate(gate.model_dump()) for gate in spec.gates)
    if spec.traffic is not None:
        return _traffic_config(evaluation, spec.traffic, gates, run, settings)
    assert spec.benchmark is not None  # the spec holds: whatever is not traffic has one
    return _benchmark_config(evaluation, spec.benchmark, gates, resolved, run, settings)


def _traffic_config(
    evaluation: RelevanceEval, traffic: Traffic, gates: tuple[jobs.Gate, ...], run: str, settings: Settings
) -> GoodRateConfig:
    spec, judge = evaluation.spec, traffic.judge.mounted() if traffic.judge else None
    inputs = {"served": traffic.served, "people": traffic.people, "items": traffic.items}
    return GoodRateConfig(
        evaluation=evaluation.metadata.name,
        served=traffic.served.mounted(),
        first_day=date.fromisoformat(traffic.first_day),
        last_day=date.fromisoformat(traffic.last_day),
        revision=traffic.revision,
        sampling=traffic.sampling,
        people=traffic.people.mounted() if traffic.people else None,
        items=traffic.items.mounted() if traffic.items else None,
        judge=judge,
        gates=gates,
        gate_set_digest=jobs.gate_set_digest(gates),
        workspace=spec.workspace.mounted(),
        # Log and ratings have no digest, so each run has a key of its own and reads them as they are then.
        input_key=input_key("goodrate", inputs, {"image": _image(spec, settings)}, run),
    )


def _benchmark_config(
    evaluation: RelevanceEval,
    benchmark: Benchmark,
    gates: tuple[jobs.Gate, ...],
    resolved: Resolved,
    run: str,
    settings: Settings,
) -> EvaluateConfig:
    spec, model = evaluation.spec, resolved.model
    subject = _subject(spec, resolved, settings)
    inputs = {
        "model": model,
        "benchmark": benchmark,
        "rules": spec.rule_set,
        "trainingData": spec.training_data,
        "champion": resolved.champion,
    }
    return EvaluateConfig(
        evaluation=evaluation.metadata.name,
        **subject,
        benchmark=jobs.BenchmarkInput(
            **benchmark.mounted().model_dump(),
            subsets=benchmark.subsets,
            rule_mode=benchmark.rule_mode,
        ),
        rule_set=spec.rule_set.mounted() if spec.rule_set else None,
        training_data=spec.training_data.mounted() if spec.training_data else None,
        generation=_generation(spec),
        gates=gates,
        gate_set_digest=jobs.gate_set_digest(gates),
        champion=_champion(resolved),
        workspace=spec.workspace.mounted(),
        input_key=input_key("evaluate", inputs, _parameters(spec, benchmark, resolved, gates, run, settings), run),
        shards=spec.shards,
        signing=_signing(spec),
    )


def _subject(spec: EvalSpec, resolved: Resolved, settings: Settings) -> dict[str, Any]:
    """Fields of the config that say what is judged, and how it is reached."""
    if spec.endpoint is not None:
        return {"model_name": spec.endpoint.model, "endpoint": spec.endpoint.mounted()}
    assert resolved.model is not None
    found = {"model": resolved.model.mounted(), "profile": _profile(spec, resolved, settings)}
    if resolved.served is None or spec.deployment_ref is None:
        assert spec.model_ref is not None
        return {"model_name": spec.model_ref.name, **found}
    served, most = resolved.served, spec.deployment_ref.concurrency
    at = jobs.ServedAt(url=served.url, model=served.backend, concurrency=most)
    return {"model_name": served.model, "served_at": at, **found}


def _profile(spec: EvalSpec, resolved: Resolved, settings: Settings) -> jobs.ServingProfile:
    return resolved.served.profile if resolved.served else spec.serving_profile.resolved(settings.images.server)


def _generation(spec: EvalSpec) -> jobs.Generation | None:
    if spec.generation is not None:
        return jobs.Generation.model_validate(spec.generation.model_dump())
    return jobs.Generation() if spec.endpoint is not None else None


def _parameters(
    spec: EvalSpec,
    benchmark: Benchmark,
    resolved: Resolved,
    gates: tuple[jobs.Gate, ...],
    run: str,
    settings: Settings,
) -> dict[str, Any]:
    """What else an equal evaluation has in common. A served tier is asked anew by each run."""
    generation, endpoint = _generation(spec), spec.endpoint
    return {
        **({} if endpoint else {"profile": _profile(spec, resolved, settings).content_digest()}),
        "gates": jobs.gate_set_digest(gates),
        "subsets": sorted(benchmark.subsets),
        "ruleMode": benchmark.rule_mode,
        "image": _image(spec, settings),
        **({"generation": generation.content_digest()} if generation else {}),
        **(
            {"endpoint": endpoint.mounted().identity, "prompt": chat_prompt_digest(endpoint.prompt_language)}
            if endpoint
            else {}
        ),
        **({"backend": resolved.served.backend, "run": run} if resolved.served else {}),
    }


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
    image = spec.runner.image
    return spec.model_ref is not None and image is not None and image != spec.serving_profile.image


Step = Literal["evaluate", "shards", "reduce"]
"""All in one pod; or one pod a shard, then one that puts their answers together."""
_OPTIONS: Final[Mapping[Step, tuple[str, ...]]] = {"evaluate": (), "shards": ("--shard",), "reduce": ("--reduce",)}


def eval_objects(
    resource: dict[str, Any],
    evaluation: RelevanceEval,
    attempt: Attempt,
    labels: dict[str, str],
    config: EvalConfig,
    resolved: Resolved,
    settings: Settings,
    step: Step = "evaluate",
) -> list[dict[str, Any]]:
    """The objects of one attempt in the order they are created. Raises InvalidPodTemplate."""
    spec = evaluation.spec
    verb = ("evaluate",) if spec.traffic is None else ("goodrate", "run")
    record = {"spec": spec.to_wire(), **resolved.to_record()}
    workload = Workload(
        attempt=attempt,
        namespace=evaluation.metadata.namespace,
        image=_image(spec, settings),
        command=("lore", *verb, "--config", CONFIG_PATH, *_OPTIONS[step]),
        pods=_without_devices(spec.runner) if step == "reduce" else spec.runner,
        service_account=service_account_name(resource, spec.runner, settings),
        labels=labels,
        inputs=_inputs(spec, resolved),
        workspace=spec.workspace,
        secrets=_secrets(spec, step),
    )
    made = job(resource, workload, settings, queue=spec.runner.queue_name)
    return [
        config_map(resource, attempt, labels, config, record, settings),
        sharded(made, spec.shards) if step == "shards" else made,
        report_map(resource, attempt, labels, settings),
    ]


def _inputs(spec: EvalSpec, resolved: Resolved) -> tuple[ArtifactRef, ...]:
    """Everything that the pod reads from a store."""
    found: tuple[ArtifactRef | None, ...]
    if spec.traffic is not None:
        found = (spec.traffic.served, spec.traffic.people, spec.traffic.items)
    else:
        found = (resolved.model, spec.benchmark, spec.rule_set, spec.training_data, resolved.champion)
    return tuple(ref for ref in found if ref)


def _secrets(spec: EvalSpec, step: Step) -> tuple[str, ...]:
    """The signing key where a verdict is made, the endpoint's key where it is asked."""
    signing = spec.signing.secret_ref.name if spec.signing and step != "shards" else None
    endpoint = spec.traffic.judge if spec.traffic else spec.endpoint
    asked = endpoint.secret_ref if endpoint and step != "reduce" else None
    return tuple(name for name in (signing, asked.name if asked else None) if name)


def _without_devices(pods: PodSettings) -> PodSettings:
    """The reduce step scores nothing: no GPU is held for it. Extended resources have a domain in their name."""
    kept = {
        field: {name: amount for name, amount in values.items() if "/" not in name}
        for field, values in (("requests", pods.resources.requests), ("limits", pods.resources.limits))
    }
    return pods.model_copy(update={"resources": Resources(**kept)})
