"""A backend: one model served one way. Its hash names it, so equal backends are one InferenceService (ADR 0001).

The hash covers what can change an answer: model digest, image, engine arguments and environment. Replicas, resources,
budgets and where the bytes are fetched from are not in it; where KServe fetches them itself, unverified, the place is.
"""

from typing import Final, Literal

from pydantic import Field

from lore_core.jobs.config import Name, ServingProfile, WireModel
from lore_core.prompts.contract import PromptLayout
from lore_core.router.config import Route
from lore_core.scoring.engine import engine_args, engine_environment
from lore_operator.api.v1alpha1.common import ArtifactRef, Resources
from lore_operator.api.v1alpha1.model import RelevanceModel
from lore_operator.api.v1alpha1.tiers import KServeRuntime, Predictor

PORT: Final = 8080
MODEL_FOLDER: Final = "/mnt/models"
_PREFIX: Final = "lore-b-"
_HASH_LENGTH: Final = 10
_STUDENTS: Final = {"Classifier": PromptLayout.CLASSIFIER, "TwoTower": PromptLayout.TWO_TOWER}
MAX_NAMESPACE: Final = 63 - len(_PREFIX) - _HASH_LENGTH - len("-predictor-")
"""KServe joins service, `predictor` and namespace into one label of a host name, which may have 63 characters."""


class Backend(WireModel):
    """Frozen when its composition is recorded: a later default image or engine flag does not reach it."""

    model_name: Name
    model: ArtifactRef
    classifier: bool
    two_tower: Literal[True] | None = None
    """Absent where it is not one, so that compositions recorded before there were any keep their digest."""
    profile: ServingProfile
    arguments: tuple[str, ...]
    environment: dict[str, str] = Field(default={})
    runtime: KServeRuntime | None = None
    """Without one the model is fetched and verified by our own container."""

    @property
    def digest(self) -> str:
        """Digest of what can change an answer."""
        return _Identity(
            model=self.model.digest or "",
            image=self.profile.image,
            arguments=self.arguments,
            environment=self.environment,
            runtime=self.runtime,
        ).content_digest()

    @property
    def name(self) -> str:
        """Name of the InferenceService, and the name the model is served under."""
        return f"{_PREFIX}{self.digest.removeprefix('sha256:')[:_HASH_LENGTH]}"

    @property
    def route(self) -> Route:
        """The HTTP route that scores a pair."""
        if self.two_tower:
            return Route.EMBEDDINGS
        return Route.CLASSIFY if self.classifier else Route.COMPLETIONS

    def url(self, namespace: str) -> str:
        """Its address inside the cluster: the Service that KServe makes in Standard mode."""
        return f"http://{self.name}-predictor.{namespace}.svc.cluster.local"


class _Identity(WireModel):
    model: str
    image: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    runtime: KServeRuntime | None


def backend_of(predictor: Predictor, model: RelevanceModel, default_image: str) -> Backend:
    """The backend of one tier, with everything resolved."""
    profile = predictor.serving_profile.resolved(default_image)
    layout = _STUDENTS.get(model.spec.role, PromptLayout.LABEL_FIRST)
    cpu = not has_gpu(predictor.runner.resources)
    arguments = engine_args(profile, layout, cpu=cpu)
    if predictor.tensor_parallel > 1:
        arguments += ["--tensor-parallel-size", str(predictor.tensor_parallel)]
    spec = model.spec
    return Backend(
        model_name=model.metadata.name,
        model=ArtifactRef(uri=spec.uri, digest=spec.digest, secret_ref=spec.secret_ref),
        classifier=layout is PromptLayout.CLASSIFIER,
        two_tower=True if layout is PromptLayout.TWO_TOWER else None,
        profile=profile,
        arguments=tuple(arguments),
        environment=engine_environment(cpu=cpu),
        runtime=predictor.kserve_runtime,
    )


def has_gpu(resources: Resources) -> bool:
    """Whether a GPU of any vendor is asked for."""
    return any("gpu" in name for name in (*resources.requests, *resources.limits))
