"""The page of a deployment: strata with their shares and tiers, the steps of a rollout, revisions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lore_core.router.config import STRATA
from lore_operator.cli.explanation import explain
from lore_operator.cli.kubectl import Object
from lore_operator.console import reasons
from lore_operator.console.markup import Element, cells, chip, table, tag

Row = Mapping[str, Any]
_STRATA_HEADS: Final = ["stratum", "expected", "live", "tier", "model", "ready", "waits for"]


def page(namespace: str, item: Object, objects: Sequence[Object]) -> list[Element]:
    """The body of the page; `objects` are all of the namespace."""
    found, status = explain(item, objects), item.get("status") or {}
    return [
        reasons.heading(found),
        tag("p", "Gate ", chip(str(status.get("gate") or "Waiting")), f" {status.get('url', '')}"),
        *reasons.because(namespace, found),
        *_strata(item),
        *_rollout(item["spec"].get("rollout") or {}, status),
        *_revisions(status),
    ]


def _strata(item: Object) -> list[Element]:
    status = item.get("status") or {}
    named = {tier["stratum"]: tier for tier in item["spec"].get("tiers") or ()}
    tiers = {tier["stratum"]: tier for tier in status.get("tiers") or ()}
    shares = {share["stratum"]: share for share in status.get("traffic") or ()}
    shown = [name for name in STRATA if name in named or name in shares]
    rows = [_stratum(name, named.get(name), tiers.get(name, {}), shares.get(name)) for name in shown]
    words = (
        "Live: of the last 24 hours' queries, as the routers that run now counted them. Expected: in the log of the snapshot."
        if shares
        else "Routers have not seen queries enough to compare shares."
    )
    return [tag("h2", "Strata"), table(_STRATA_HEADS, rows), tag("p", words, class_="note")]


def _stratum(name: str, named: Row | None, tier: Row, share: Row | None) -> Element:
    kind = "" if named is None else "cache" if named.get("cache") else "predictor"
    numbers = ("", "") if share is None else (f"{share['expected']} %", f"{share['live']} %")
    replicas = tier.get("readyReplicas")
    return tag(
        "tr",
        tag("td", name),
        *(tag("td", text, class_="n") for text in numbers),
        tag("td", f"{kind} ", chip(str(tier.get("phase", "")))),
        *cells(str(tier.get("model", "")), "" if replicas is None else str(replicas), str(tier.get("message", ""))),
    )


def _rollout(rollout: Row, status: Row) -> list[Element]:
    steps, candidate = rollout.get("steps") or (), status.get("candidate")
    words = [f"Serving: {status.get('stable') or 'nothing yet'}."]
    if candidate:
        words.append(f"On its way: {candidate}, {status.get('weight') or 0} % of the stratum that moved furthest.")
    if rollout.get("paused"):
        words.append("Paused.")
    if not steps:
        words.append("No steps: a new composition takes over as soon as it is prepared.")
    now = status.get("step") if candidate else None
    rows = [_step(number, step, now) for number, step in enumerate(steps, 1)]
    shown = [table(["step", "what", "for", "bounds", "approval", ""], rows)] if rows else []
    return [tag("h2", "Rollout"), tag("p", " ".join(words)), *shown]


def _step(number: int, step: Row, now: int | None) -> Element:
    if step.get("weight") is not None:
        what = f"{step['weight']} % of {', '.join(step.get('strata') or STRATA)}"
    else:
        what = f"shadow of {step.get('shadow')} %"
    bounds = ", ".join(f"{name} {value}" for name, value in (step.get("analysis") or {}).items())
    where = "" if now is None else "now" if number == now else "passed" if number < now else "to come"
    told = (str(number), what, str(step.get("for", "")), bounds, "needed" if step.get("approval") else "", where)
    return tag("tr", *cells(*told), class_=where)


def _revisions(status: Row) -> list[Element]:
    rows = [
        tag("tr", *cells(str(one["revision"]), chip(str(one["outcome"])), str(one.get("message", ""))))
        for one in status.get("revisions") or ()
    ]
    return [tag("h2", "Revisions"), table(["revision", "outcome", "why"], rows)] if rows else []
