"""The compositions a deployment remembers: which one the spec means, and what is known of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lore_operator.api import InvalidResource, parse_model
from lore_operator.api.v1alpha1 import RelevanceDeployment, RelevanceModel
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.children.composition import (
    ADMITTED,
    FAILED,
    GENERATION,
    SPEC_DIGEST,
    PredictorPart,
    Recipe,
    controller_revision,
    recipe_of,
    revision_name,
    spec_digest,
)
from lore_operator.children.labels import controlled_by
from lore_operator.children.settings import Settings
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.serving_draft import ServingDraft
from lore_operator.plan.types import Object, ObjectKey


@dataclass(frozen=True)
class Revision:
    """One recorded composition."""

    stored: Object
    recipe: Recipe

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.stored["metadata"]["name"])

    @property
    def parts(self) -> tuple[PredictorPart, ...]:
        """Its tiers with a model."""
        return tuple(self.recipe.predictors.values())

    @property
    def number(self) -> int:
        """Its place in the order of recording."""
        return int(self.stored["revision"])

    def note(self, annotation: str) -> str | None:
        """What is known of it under an annotation."""
        return (self.stored["metadata"].get("annotations") or {}).get(annotation)

    @property
    def admitted(self) -> bool:
        """Whether its gate was passed once: later expiry never evicts it."""
        return self.note(ADMITTED) is not None

    @property
    def generation(self) -> ArtifactRef | None:
        """The head generation, given or built."""
        if self.recipe.head is None:
            return None
        if self.recipe.head.generation is not None:
            return self.recipe.head.generation
        return ArtifactRef.model_validate_json(text) if (text := self.note(GENERATION)) else None

    @property
    def complete(self) -> bool:
        """Whether everything it is made from is known."""
        head = self.recipe.head
        return head is None or head.store is not None or self.generation is not None

    @property
    def store_secrets(self) -> frozenset[str]:
        """Secrets that its routers need while they answer."""
        head = self.recipe.head
        return frozenset({head.store.secret} if head and head.store and head.store.secret else ())

    def failure(self, run_token: str | None) -> dict[str, Any] | None:
        """Why it failed, unless the run token changed since."""
        found = json.loads(text) if (text := self.note(FAILED)) else None
        return found if found and found.get("runToken") == run_token else None

    def artifacts(self) -> tuple[ArtifactRef, ...]:
        """Everything its routers load."""
        generation = self.generation
        return (*self.recipe.artifacts(), *((generation,) if generation else ()))


def revisions(draft: ServingDraft) -> list[Revision]:
    """All of a deployment's revisions that can be read, newest first."""
    found = []
    for key, child in draft.observed.children.items():
        if key.kind == "ControllerRevision" and controlled_by(child, draft.uid):
            try:
                found.append(Revision(child, Recipe.model_validate(child.get("data") or {}, extra="ignore")))
            except ValidationError:
                continue  # written by a newer version: not ours to read, nor to delete
    return sorted(found, key=lambda revision: revision.number, reverse=True)


def wanted_revision(
    draft: ServingDraft, deployment: RelevanceDeployment, known: list[Revision], settings: Settings
) -> Revision:
    """The revision that the spec means: pinned, resolved before, or resolved and recorded now.

    A model named without a digest is resolved once, when the spec is first seen; the name pointing elsewhere later changes
    nothing. Halts where a model or a pinned revision is not there.
    """
    if (pinned := deployment.spec.rollout.pin_revision) is not None:
        found = next((revision for revision in known if revision.name == pinned), None)
        if found is None:
            names = ", ".join(revision.name for revision in known) or "none"
            text = f"rollout.pinRevision {pinned} is not in the history; there are: {names}"
            raise Halt(State.STALLED, "RevisionNotFound", text)
        return found
    digest = spec_digest(deployment)
    resolved = next((revision for revision in known if revision.note(SPEC_DIGEST) == digest), None)
    return resolved or _record(draft, deployment, known, digest, settings)


def _record(
    draft: ServingDraft, deployment: RelevanceDeployment, known: list[Revision], digest: str, settings: Settings
) -> Revision:
    recipe = recipe_of(deployment, _models(draft, deployment), settings)
    name = revision_name(deployment.metadata.name, recipe)
    if (same := next((revision for revision in known if revision.name == name), None)) is not None:
        draft.annotate(same.stored, {SPEC_DIGEST: digest})
        return same
    number = max((revision.number for revision in known), default=0) + 1
    stored = controller_revision(draft.resource, recipe, number, digest, settings)
    draft.ensure(stored)
    return Revision(stored, recipe)


def _models(draft: ServingDraft, deployment: RelevanceDeployment) -> Mapping[str, RelevanceModel]:
    found: dict[str, RelevanceModel] = {}
    for tier in deployment.spec.tiers:
        if tier.predictor is None:
            continue
        name, digest = tier.predictor.model_ref.name, tier.predictor.model_ref.digest
        stored = draft.observed.references.get(ObjectKey("RelevanceModel", name))
        if stored is None:
            text = f"tier {tier.stratum}: RelevanceModel {name} does not exist yet"
            raise Halt(State.WORKING, "AwaitingModel", text)
        try:
            found[name] = parse_model(stored)
        except InvalidResource as error:
            raise Halt(State.STALLED, "InvalidModel", f"tier {tier.stratum}: RelevanceModel {name}: {error}") from error
        if digest is not None and found[name].spec.digest != digest:
            text = f"tier {tier.stratum}: RelevanceModel {name} is {found[name].spec.digest}, the spec wants {digest}"
            raise Halt(State.STALLED, "DigestMismatch", text)
    return found


def forget_oldest(draft: ServingDraft, known: list[Revision], limit: int, kept: set[str]) -> None:
    """Delete revisions beyond the limit, oldest first, except those that serve or are wanted."""
    spare = [revision for revision in known if revision.name not in kept]
    room = max(0, limit - sum(revision.name in kept for revision in known))
    for revision in spare[room:]:
        draft.delete(revision.stored)
