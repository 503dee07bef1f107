"""What a promotion needs and what it writes: a verdict for exactly this model and profile, then a kustomize component.

The component is written whole, so that the overlay's own files, with their comments, are never edited. Patches are JSON
patches that first test which tier they meet: a base that moved its tiers fails to build instead of changing another one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from lore_operator.api.v1alpha1.common import ServingProfile
from lore_operator.cli.kubectl import Object

COMPONENT: Final = "promoted"
GROUP: Final = "lore-platform.io"
VERSION: Final = "v1alpha1"
_SHORT: Final = 19
EVIDENCE: Final = f"{GROUP}/evidence"
"""Annotation: the evaluations that the promotion rests on, with their evidence."""
_COPIED: Final = ("uri", "digest", "secretRef", "role", "contract", "lineage")


class Refused(Exception):
    """The promotion is refused; the message says what is missing."""


@dataclass(frozen=True)
class Place:
    """One tier of a deployment of the overlay."""

    deployment: str
    index: int
    stratum: str
    profile: Mapping[str, Any]
    rules: str | None = None

    @property
    def file(self) -> str:
        """Name of its patch."""
        return f"{self.deployment}-{self.stratum}.yaml"


def places(manifests: Iterable[Object], model: str, deployment: str, tier: str) -> list[Place]:
    """The tiers to promote into: those asked for, else those that name the model already. Refused where none is meant."""
    every = [place for item in manifests if item.get("kind") == "RelevanceDeployment" for place in _tiers(item)]
    known = ", ".join(f"{place.deployment}/{place.stratum}" for place, _ in every) or "none"
    chosen = [
        place
        for place, named in every
        if (not deployment or place.deployment == deployment) and (place.stratum == tier if tier else named == model)
    ]
    if not chosen:
        raise Refused(f"no tier of the overlay is meant: give --tier and --deployment; it has {known}")
    if len({place.deployment for place in chosen}) > 1:
        raise Refused(f"several deployments are meant: give --deployment; the overlay has {known}")
    return chosen


def _tiers(deployment: Object) -> Iterator[tuple[Place, str]]:
    spec = deployment["spec"]
    rules = (spec.get("ruleSet") or {}).get("digest")
    for index, tier in enumerate(spec.get("tiers") or ()):
        if predictor := tier.get("predictor"):
            profile = predictor.get("servingProfile") or {}
            name = deployment["metadata"]["name"]
            yield Place(name, index, tier["stratum"], profile, rules), predictor.get("modelRef", {}).get("name", "")


def verdict(model: Object, evaluations: Iterable[Object], place: Place) -> Object:
    """A passed evaluation of this model in the profile of the place. Refused says what the nearest one lacks."""
    digest = model["spec"]["digest"]
    about = [item for item in evaluations if _status(item).get("model", {}).get("digest") == digest]
    lacking = {item["metadata"]["name"]: list(_lacking(item, place)) for item in about}
    passed = next((item for item in about if not lacking[item["metadata"]["name"]]), None)
    if passed is not None:
        return passed
    name = model["metadata"]["name"]
    head = f"{name} ({digest[:_SHORT]}) has no passed verdict for {place.deployment}/{place.stratum}"
    if not lacking:
        raise Refused(f"{head}: no RelevanceEval of this namespace judged this digest")
    details = "; ".join(f"{other}: {', '.join(words)}" for other, words in sorted(lacking.items()))
    raise Refused(f"{head}; {details}")


def _lacking(evaluation: Object, place: Place) -> Iterator[str]:
    status = _status(evaluation)
    if status.get("verdict") != "Passed":
        yield f"its verdict is {status.get('verdict') or 'not reached yet'}"
    if status.get("customRunner"):
        yield "another image than the profile's computed it"
    if not _same_profile(evaluation, place.profile):
        yield "it judged another serving profile"
    if place.rules and status.get("rulesDigest") and status["rulesDigest"] != place.rules:
        yield f"it judged under rules {status['rulesDigest'][:_SHORT]}, the deployment shows {place.rules[:_SHORT]}"
    if not status.get("evidence"):
        yield "it has no evidence"


def _same_profile(evaluation: Object, wanted: Mapping[str, Any]) -> bool:
    """With an image the digests must be equal; without one both sides take their installation's image."""
    target = _profile(wanted)
    if target.image:
        return bool(_status(evaluation).get("profileDigest") == target.resolved("").content_digest())
    return target == _profile(evaluation["spec"].get("servingProfile") or {})


def _profile(fields: Mapping[str, Any]) -> ServingProfile:
    try:
        return ServingProfile.model_validate(fields)
    except ValidationError as error:
        raise Refused(f"servingProfile cannot be read: {error}") from error


def _status(resource: Object) -> Mapping[str, Any]:
    return resource.get("status") or {}


def promoted_model(model: Object, verdicts: Iterable[Object]) -> Object:
    """The RelevanceModel as the overlay has it: what is immutable about it; an annotation names the evidence, for review."""
    spec = {field: model["spec"][field] for field in _COPIED if field in model["spec"]}
    verdicts = list(verdicts)
    found = {item["metadata"]["name"]: item["status"]["evidence"] for item in verdicts}
    evidence = [{"eval": name, **{key: found[name][key] for key in ("uri", "digest")}} for name in sorted(found)]
    annotations = {EVIDENCE: json.dumps(evidence, sort_keys=True)}
    metadata = {"name": model["metadata"]["name"], "annotations": annotations}
    if signed := _signed(model, verdicts):
        spec["evidence"] = signed
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "RelevanceModel", "metadata": metadata, "spec": spec}


def _signed(model: Object, verdicts: Iterable[Object]) -> list[dict[str, str]]:
    """Signed verdicts: those the model came with, and those it got here; the target's operator verifies them."""
    found = {item["name"]: item["attestation"] for item in model["spec"].get("evidence") or ()}
    found |= {item["metadata"]["name"]: item["status"].get("attestation") or "" for item in verdicts}
    return [{"name": name, "attestation": text} for name, text in sorted(found.items()) if text]


def tier_patch(place: Place, model: str, digest: str) -> list[dict[str, Any]]:
    """The JSON patch of one tier."""
    tier = f"/spec/tiers/{place.index}"
    return [
        {"op": "test", "path": f"{tier}/stratum", "value": place.stratum},
        {"op": "replace", "path": f"{tier}/predictor/modelRef", "value": {"name": model, "digest": digest}},
    ]


def component(models: Iterable[str], patches: Mapping[str, str]) -> Object:
    """The component's kustomization; `patches` maps files to the deployment they patch."""
    target = {"group": GROUP, "version": VERSION, "kind": "RelevanceDeployment"}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": sorted(models),
        "patches": [
            {"path": file, "target": {**target, "name": deployment}} for file, deployment in sorted(patches.items())
        ],
    }
