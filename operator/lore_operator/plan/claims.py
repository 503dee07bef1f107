"""Claims that the nodes of a gang share: one that a single node alone can mount is refused before anything runs.

Without that the first pod runs, the others wait for their volume, and the gang holds its GPUs until a deadline.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from lore_operator.api.v1alpha1 import RelevanceTrainJob
from lore_operator.api.v1alpha1.common import ArtifactRef
from lore_operator.plan.conditions import Halt, State
from lore_operator.plan.draft import Draft
from lore_operator.plan.types import Object, Reference

UNCHECKED: Final = "ClaimsUnchecked"
_KIND: Final = "PersistentVolumeClaim"
_WRITTEN: Final = frozenset({"ReadWriteMany"})
_READ: Final = _WRITTEN | {"ReadOnlyMany"}
_LOOK_AGAIN: Final = timedelta(minutes=1)


def claims(resource: Object) -> frozenset[Reference]:
    """The claims of a train job of several nodes; none where one node is all there is."""
    spec = resource.get("spec") or {}
    count = (spec.get("nodes") or {}).get("count", 1)
    if not isinstance(count, int) or count < 2:
        return frozenset()
    stages = [stage for stage in spec.get("stages") or () if not stage.get("synthesize")]
    bases = [(stage.get("distill") or {}).get("base") for stage in stages]
    named = [*(spec.get(field) for field in ("baseModel", "data", "ruleSet", "workspace")), *bases] if stages else []
    found = (_claim(ref) for ref in named)
    return frozenset(Reference(_KIND, name) for name in found if name)


def _claim(ref: Any) -> str | None:
    scheme, _, rest = str((ref or {}).get("uri", "")).partition("://")
    return rest.partition("/")[0] if scheme == "pvc" else None


def check_claims(draft: Draft, job: RelevanceTrainJob) -> None:
    """Before anything runs: every node can mount what all of them use. Halts otherwise. A claim that is not there yet passes."""
    if job.spec.nodes.count < 2:
        return
    for field, ref in _used(job):
        wanted = _WRITTEN if ref.claim == job.spec.workspace.claim else _READ
        found = draft.reference(_KIND, ref.claim) if ref.claim else None
        if found is not None and not wanted & set(_modes(found)):
            draft.wake(draft.now + _LOOK_AGAIN)  # claims are not watched
            modes, most = ", ".join(_modes(found)) or "no access mode", " or ".join(sorted(wanted, reverse=True))
            text = f"spec.{field}: claim {ref.claim} has {modes}; nodes.count {job.spec.nodes.count} needs {most}"
            raise Halt(State.STALLED, "ClaimNotShared", f"{text}, or an object store")


def _used(job: RelevanceTrainJob) -> Iterator[tuple[str, ArtifactRef]]:
    spec = job.spec
    stages = [(number, stage) for number, stage in enumerate(spec.stages) if not stage.synthesize]
    named = {"workspace": spec.workspace, "baseModel": spec.base_model, "data": spec.data, "ruleSet": spec.rule_set}
    yield from ((field, ref) for field, ref in named.items() if ref is not None and stages)
    yield from ((f"stages[{number}].distill.base", stage.distill.base) for number, stage in stages if stage.distill)


def _modes(claim: Object) -> list[str]:
    """What the bound volume can; what is asked for where none is bound yet."""
    bound = (claim.get("status") or {}).get("accessModes")
    return list(bound or (claim.get("spec") or {}).get("accessModes") or ())


def unchecked(draft: Draft) -> Mapping[str, str]:
    """The alert where the operator may not read claims that are shared."""
    said = draft.observed.refused.get(_KIND)
    return {UNCHECKED: f"whether several nodes can share the claims was not checked: {said}"} if said else {}
