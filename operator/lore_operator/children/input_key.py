"""The digest of everything that goes into a result: equal keys mean equal work, which is looked up instead of done again."""

from typing import Any

from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_operator.api.v1alpha1.common import ArtifactRef


def input_key(verb: str, inputs: dict[str, ArtifactRef | None], parameters: dict[str, Any], run: str) -> str:
    """Key of one piece of work.

    An input counts by its digest, wherever it lies. One without a digest may change under its uri, so then the key holds for
    this `run` alone: its attempts find each other's work, another run does not.
    """
    identities = {name: ref.digest or ref.uri for name, ref in inputs.items() if ref is not None}
    pinned = all(ref.digest for ref in inputs.values() if ref is not None)
    content = {"verb": verb, "inputs": identities, "parameters": parameters, **({} if pinned else {"run": run})}
    return sha256_digest(canonical_json(content))
