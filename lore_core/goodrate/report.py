"""What a measurement found, for people and programs: rates by day and stratum, and how far raters and judge agree."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lore_core.goodrate.agreement import cohen_kappa, krippendorff_alpha
from lore_core.goodrate.estimate import Rate
from lore_core.goodrate.rows import Drawn, Rating
from lore_core.goodrate.traffic import Traffic
from lore_core.jobs.evaluation import GOODRATE_METRICS

_LABELS: Final = ("L1", "L2", "L3", "L4")
_KINDS: Final = dict(zip(("item", "query"), GOODRATE_METRICS, strict=True))


def report(drawn: Sequence[Drawn], people: Sequence[Rating], judge: Sequence[Rating] | None) -> dict[str, Any]:
    """Everything, as JSON. The ratings are checked (values.check). Raises ValueError where something is not rated."""
    traffic = Traffic(drawn, people, judge)
    rates = [row for kind, metric in _KINDS.items() for row in _rates(kind, metric, traffic)]
    return {"rates": rates, **ratings(people, judge)}


def ratings(people: Sequence[Rating], judge: Sequence[Rating] | None) -> dict[str, Any]:
    """Who rated under which guidelines, and how far they agree with each other; with a judge, how far it does with people."""
    found: dict[str, Any] = {
        "guidelines": sorted({rating.guideline for rating in people}),
        "raters": len({rating.rater for rating in people}),
        "agreement": _agreement(people),
    }
    if judge is not None:
        found["judge"] = {
            "raters": sorted({rating.rater for rating in judge}),
            "rubrics": sorted({rating.guideline for rating in judge}),
            **_against_people(judge, people),
        }
    return found


def _rates(kind: str, metric: str, traffic: Traffic) -> Iterator[dict[str, Any]]:
    for where in traffic.slices():
        if (rate := traffic.rate(metric, where)) is not None:
            yield _rate(kind, " and ".join(where) or "all", " ".join(where.values()) or "all", rate)


def _rate(kind: str, scope: str, name: str, rate: Rate) -> dict[str, Any]:
    numbers = {"value": rate.value, "low": rate.low, "high": rate.high}
    shown = {key: _rounded(number) for key, number in numbers.items()}
    return {"kind": kind, "by": scope, "of": name, **shown, "requests": rate.population, "rated": rate.rated}


def _agreement(people: Sequence[Rating]) -> dict[str, Any]:
    units: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for rating in people:
        if rating.item is not None:
            units[rating.request, rating.item].append(_LABELS.index(rating.label))
    several = [labels for labels in units.values() if len(labels) > 1]
    good = [[int(label >= 2) for label in labels] for labels in several]
    return {
        "itemsWithSeveralRaters": len(several),
        "alphaOrdinal": _rounded(krippendorff_alpha(several, len(_LABELS), ordinal=True)),
        "alphaGood": _rounded(krippendorff_alpha(good, 2, ordinal=False)),
    }


def _against_people(judge: Sequence[Rating], people: Sequence[Rating]) -> dict[str, Any]:
    kappa, agreed, count = cohen_kappa(_majority(judge), _majority(people))
    return {"itemsBothRated": count, "agreeOnGood": _rounded(agreed), "kappaOnGood": _rounded(kappa)}


def _majority(ratings: Sequence[Rating]) -> dict[Any, bool]:
    """Good or not by most raters of each item; where they are split, not good."""
    votes: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for rating in ratings:
        if rating.item is not None:
            votes[rating.request, rating.item].append(rating.good)
    return {thing: 2 * sum(found) > len(found) for thing, found in votes.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def table(found: Mapping[str, Any]) -> str:
    """The same as text."""
    lines = [f"{'GoodRate':10}{'by':18}{'of':24}{'value':>8}  {'95 % interval':18}{'requests':>10}{'rated':>7}"]
    for row in found["rates"]:
        value = "none" if row["value"] is None else f"{row['value']:.3f}"
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]" if row["low"] is not None else "too few ratings"
        lines.append(
            f"{row['kind']:10}{row['by']:18}{row['of']:24}{value:>8}  {interval:18}{row['requests']:>10}{row['rated']:>7}"
        )
    lines += [f"{name}: {_words(found[name])}" for name in ("agreement", "judge") if name in found]
    lines.append(f"guidelines: {', '.join(found['guidelines']) or 'none'}")
    return "\n".join(lines)


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {', '.join(v) if isinstance(v, list) else v}" for name, v in values.items())
