"""The config of a quantize stage: one model in, its 8-bit variant out."""

from lore_core.artifacts.ref import ArtifactRef, Digest
from lore_core.jobs.wire import Name, WireModel


class QuantizeConfig(WireModel):
    """`lore quantize`: the model artifact `base_model` with 8-bit linear layers; the result is a model artifact at `output`."""

    job: Name
    stage: Name
    base_model: ArtifactRef
    workspace: ArtifactRef
    input_key: Digest

    @property
    def output(self) -> ArtifactRef:
        """Where the model goes; named by the input key, so equal work is found again."""
        return self.workspace.child(f"stages/{self.input_key.removeprefix('sha256:')[:20]}/model")
