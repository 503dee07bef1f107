"""A replay's difference as one HTML file: no script, no network, every text escaped and kept in its own direction."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from lore_core.evaluation.metrics import LABELS
from lore_core.replay.compare import QUANTILES, Change, Difference, Stratum

_STYLE: Final = """
body{font:15px/1.45 sans-serif;max-width:1080px;margin:24px auto;padding:0 16px;color:#1c1c1c}
table{border-collapse:collapse;margin:8px 0 20px}th,td{border:1px solid #d5d5d5;padding:4px 9px;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}th{background:#f3f3f3}td.same{color:#8a8a8a}code,bdi{word-break:break-word}
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(found: Difference, before: str, after: str, broken: Sequence[str]) -> str:
    """The whole file; `before` and `after` are the sides' names, `broken` lines of the log that were left out."""
    sections = [
        _summary(found, before, after, broken),
        f"<h2>By stratum</h2>{_strata(found)}",
        f"<h2>Time to an answer</h2>{_latencies(found)}",
        f"<h2>Labels</h2>{_labels(found)}",
        f"<h2>Tiers that answered</h2>{_tiers(found)}",
        f"<h2>Labels that changed, largest change of grade first</h2>{_changes(found.largest())}",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>Replay</title><style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _summary(found: Difference, before: str, after: str, broken: Sequence[str]) -> str:
    parts = [f"<h1>Replay of {found.requests:,} requests</h1><ul>"]
    for name, where, seen, failed, said in zip(
        ("Before", "After"), (before, after), found.revisions, found.failed, found.problems, strict=True
    ):
        revisions = ", ".join(f"{revision} ({count:,})" for revision, count in seen.most_common())
        parts.append(f"<li>{name}: {_text(where)}, revisions {_text(revisions or 'none')}; {failed:,} requests failed")
        parts.append("".join(f"<br>{_text(problem)}" for problem in said) + "</li>")
    parts += [f"<li>left out: {_text(problem)}</li>" for problem in broken]
    return "".join(parts) + "</ul><p>Times and labels are of requests that both sides answered.</p>"


def _strata(found: Difference) -> str:
    rows = [_stratum(name, stratum) for name, stratum in sorted(found.strata.items())]
    names = "stratum", "requests", "other stratum after", "items compared", "labels changed", "mean grade difference"
    return _table((*names, "items not scored by both"), rows)


def _stratum(name: str, s: Stratum) -> list[str]:
    changed, mean = (s.changed / s.compared, s.grades / s.compared) if s.compared else (0.0, 0.0)
    counts = [_number(f"{count:,}") for count in (s.requests, s.moved, s.compared)]
    shares = [_number(f"{s.changed:,} ({changed:.2%})"), _number(f"{mean:.4f}"), _number(f"{s.unscored:,}")]
    return [_cell(name), *counts, *shares]


def _latencies(found: Difference) -> str:
    rows = []
    for name, stratum in sorted(found.strata.items()):
        before, after = stratum.latencies()
        pairs = zip(before, after, strict=True)
        rows.append([_cell(name), *(_number(f"{old:.1f} → {new:.1f}") for old, new in pairs)])
    return _table(["stratum", *(f"p{quantile} ms, before → after" for quantile in QUANTILES)], rows)


def _labels(found: Difference) -> str:
    rows = [
        [_cell(old), *(_count(found.labels[old, new], same=old == new) for new in LABELS)]
        for old in LABELS
    ]  # fmt: skip
    return _table(["before ↓, after →", *LABELS], rows)


def _tiers(found: Difference) -> str:
    rows = [
        [_cell(old), _cell(new), _count(count, same=old == new)]
        for (old, new), count in sorted(found.tiers.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return _table(("before", "after", "requests"), rows)


def _changes(changes: Sequence[Change]) -> str:
    if not changes:
        return "<p>None.</p>"
    rows = [
        [
            _cell(change.query),
            _cell(change.market),
            _cell(change.item),
            _cell(change.title),
            _cell(f"{change.before} → {change.after}"),
            _number(f"{change.grades[0]:.2f} → {change.grades[1]:.2f}"),
            _cell(" → ".join(change.tiers)),
        ]
        for change in changes
    ]
    return _table(("query", "market", "item", "title", "label", "grade", "tier"), rows)


def _table(names: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(words: str) -> str:
    """Text of others: escaped, and set apart so that its direction cannot turn what stands beside it."""
    return f"<bdi>{escape(words)}</bdi>"


def _cell(words: str) -> str:
    return f"<td>{_text(words)}</td>"


def _number(words: str) -> str:
    return f'<td class="n">{escape(words)}</td>'


def _count(count: int, *, same: bool) -> str:
    return f'<td class="n{" same" if same else ""}">{count:,}</td>'
