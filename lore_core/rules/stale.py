"""Which artifacts were made under another rule set: labels, models, generations and verdicts alike."""

from collections.abc import Mapping
from dataclasses import dataclass

from lore_core.artifacts import Manifest

_ROLES = ("ruleSet", "rules")


@dataclass(frozen=True, slots=True)
class Standing:
    """How an artifact stands to a rule set. `under` is the digest of the set it was made under, None for none."""

    under: str | None
    stale: bool
    because: str


def standings(artifacts: Mapping[str, Manifest], current: str) -> dict[str, Standing]:
    """The standing of each artifact, by the name it is given under; `current` is the digest of the rule-set artifact.

    What was made from a stale artifact among those given is stale too, whatever rules it was shown itself.
    """
    found: dict[str, Standing] = {}
    stale = {name: manifest for name, manifest in artifacts.items() if (_under(manifest) or current) != current}
    for name, manifest in stale.items():
        found[name] = Standing(_under(manifest), True, f"made under {_under(manifest)}")
    while spread := _made_from(artifacts, {artifacts[name].digest: name for name in found if found[name].stale}, found):
        found |= spread
    for name, manifest in artifacts.items():
        found.setdefault(name, Standing(_under(manifest), False, ""))
    return {name: found[name] for name in artifacts}


def _made_from(
    artifacts: Mapping[str, Manifest], stale: Mapping[str, str], found: Mapping[str, Standing]
) -> dict[str, Standing]:
    spread = {}
    for name, manifest in artifacts.items():
        source = next((stale[digest] for digest in manifest.inputs.values() if digest in stale), None)
        if source is not None and name not in found:
            spread[name] = Standing(_under(manifest), True, f"made from {source}, which is stale")
    return spread


def _under(manifest: Manifest) -> str | None:
    return next((manifest.inputs[role] for role in _ROLES if role in manifest.inputs), None)
