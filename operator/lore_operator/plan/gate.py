"""Whether a composition may serve: a passed evaluation for every model, of exactly it, its profile, rules, benchmark and gates."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from lore_core.jobs.config import ServingProfile
from lore_core.router.config import Stratum
from lore_operator.api.v1alpha1.serving_gate import Requirement, ServingGate
from lore_operator.children.backend import Backend
from lore_operator.children.composition import Recipe
from lore_operator.plan.imported import IMPORTED
from lore_operator.plan.types import Object

PASSED: Final = "Passed"
_SHORT: Final = 19  # "sha256:" and twelve digits


@dataclass(frozen=True)
class Verdicts:
    """The gate's finding. `missing` says in words what is lacking; `refused` that an evaluation did end, and not well."""

    evidence: tuple[dict[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    refused: bool = False

    overridden: tuple[str, ...] = ()
    """Verdicts that only a person's override lets pass, in words."""

    @property
    def passed(self) -> bool:
        """Whether all requirements hold."""
        return not self.missing


@dataclass(frozen=True)
class _Model:
    strata: frozenset[Stratum]
    name: str
    digest: str
    profile: ServingProfile
    unverified: str | None
    """In words, where a runtime of KServe's loads it without a look at its digest."""
    rules: str | None
    """Digest of the rule set that prompts may show; without one nothing is compared: a model that shows rules does not load."""


def judge(gate: ServingGate, recipe: Recipe, evaluations: Iterable[Object]) -> Verdicts:
    """Judge a composition. With `mode: Disabled` everything passes; a column shows it."""
    if gate.mode == "Disabled":
        return Verdicts()
    found, evidence, missing, refused = list(evaluations), list[dict[str, str]](), list[str](), False
    overridden: list[str] = []
    for model in _models(recipe):
        if model.unverified and not gate.allow_unverified:
            missing.append(f"{model.unverified}; the gate lacks allowUnverified")
        for requirement in gate.requirements:
            if requirement.strata and not model.strata & set(requirement.strata):
                continue
            selected = [item for item in found if _selected(item, requirement)]
            passed = next((item for item in selected if _holds(item, model, requirement)), None)
            if passed is not None:
                evidence.append(_evidence(requirement, model, passed))
                overridden += _override(passed)
            else:
                words, ended = _why(selected, model, requirement)
                missing.append(words)
                refused = refused or ended
    return Verdicts(tuple(evidence), tuple(missing), refused, tuple(dict.fromkeys(overridden)))


def unverified(recipe: Recipe) -> list[str]:
    """Tiers whose model's bytes nobody has verified, in words."""
    return [model.unverified for model in _models(recipe) if model.unverified]


def _models(recipe: Recipe) -> Iterator[_Model]:
    rules = recipe.rule_set.digest if recipe.rule_set else None
    for stratum, part in recipe.predictors.items():
        strata: set[Stratum] = {stratum}
        if recipe.head and recipe.head.candidates and recipe.head.from_tier == stratum:
            strata.add("head")
        backend = part.backend
        loads = _loads(stratum, backend)
        yield _Model(frozenset(strata), backend.model_name, backend.model.digest or "", backend.profile, loads, rules)


def _loads(stratum: Stratum, backend: Backend) -> str | None:
    if (runtime := backend.runtime) is None:
        return None
    what = f"tier {stratum}: model {backend.model_name} is loaded by KServe's runtime {runtime.name}"
    return f"{what} from {runtime.storage_uri}, which compares no digest"


def _selected(evaluation: Object, requirement: Requirement) -> bool:
    if IMPORTED in evaluation:  # labels are not signed: it is found by digests alone
        return True
    labels = evaluation["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in requirement.eval_selector.match_labels.items())


def _holds(evaluation: Object, model: _Model, requirement: Requirement) -> bool:
    status = evaluation.get("status") or {}
    lets_pass = status.get("verdict") == PASSED or bool(status.get("override"))
    return lets_pass and not _differences(evaluation, model, requirement)


def _differences(evaluation: Object, model: _Model, requirement: Requirement) -> list[str]:
    """In what an evaluation differs from what is required, in words."""
    status: dict[str, Any] = evaluation.get("status") or {}
    if IMPORTED in evaluation and not (requirement.benchmark_digest and requirement.gate_set_digest):
        return ["evidence of another cluster counts where the requirement names benchmarkDigest and gateSetDigest"]
    if refused := status.get("refused"):
        return [str(refused)]
    pairs = {
        "model": ((status.get("model") or {}).get("digest"), model.digest),
        "serving profile": (status.get("profileDigest"), model.profile.content_digest()),
        "rule set": (status.get("rulesDigest"), model.rules),
        "benchmark": (status.get("benchmarkDigest"), requirement.benchmark_digest),
        "gate set": (status.get("gateSetDigest"), requirement.gate_set_digest),
    }
    wrong = [
        f"its {what} is {_short(has)}, not {_short(wants)}"
        for what, (has, wants) in pairs.items()
        if wants is not None and has != wants
    ]
    wrong += ["another image than the profile's computed it"] if status.get("customRunner") else []
    generated = status.get("protocol") == "GeneratedAnswer"
    return [*wrong, *(["it judged generated answers, a tier serves label scores"] if generated else [])]


def _evidence(requirement: Requirement, model: _Model, evaluation: Object) -> dict[str, str]:
    stored = (evaluation["status"].get("evidence") or {}).get("digest", "")
    told = _override(evaluation)
    return {
        **({"override": told[0]} if told else {}),
        "requirement": requirement.name,
        "model": model.digest,
        "profile": model.profile.content_digest(),
        "eval": evaluation["metadata"]["name"],
        "evidence": stored,
    }


def _override(evaluation: Object) -> list[str]:
    status = evaluation["status"]
    if status.get("verdict") == PASSED:
        return []
    said, name = status["override"], evaluation["metadata"]["name"]
    return [f"{name} {status.get('verdict')}, overridden by {said['by']} until {said['expires']}: {said['reason']}"]


def _why(selected: list[Object], model: _Model, requirement: Requirement) -> tuple[str, bool]:
    """What is missing, and whether an evaluation of this very model and profile ended without passing."""
    tier = "/".join(sorted(model.strata))
    what = f"tier {tier}: model {model.name} ({_short(model.digest)}) has no passed evaluation for {requirement.name}"
    about = [item for item in selected if (item.get("status", {}).get("model") or {}).get("digest") == model.digest]
    exact = [item for item in about if not _differences(item, model, requirement)]
    ended = [item for item in exact if item["status"].get("verdict")]
    if ended:
        return f"{what}: {'; '.join(map(_outcome, ended[:2]))}", True
    if exact:
        return f"{what}: {exact[0]['metadata']['name']} has no verdict yet", False
    if about:
        near = about[0]
        return f"{what}: of {near['metadata']['name']} {', '.join(_differences(near, model, requirement))}", False
    profile = _short(model.profile.content_digest())
    return f"{what}; create a RelevanceEval for it with serving profile {profile}", False


def _outcome(evaluation: Object) -> str:
    status = evaluation["status"]
    reasons = [
        f"gate {gate['name']} {gate['outcome']}: {gate.get('message', '')}".rstrip(": ")
        for gate in status.get("gates") or ()
        if gate.get("outcome") != PASSED and gate.get("severity", "Required") == "Required"
    ]
    return f"{evaluation['metadata']['name']} {status['verdict']} ({'; '.join(reasons) or 'no gate named'})"


def _short(digest: str | None) -> str:
    return digest[:_SHORT] if digest else "unknown"
