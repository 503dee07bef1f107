"""A report as one HTML file: no script, no network, every text escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from lore_core.chart import Axis, Bar, interval_chart, line_chart
from lore_core.evaluation.comparisons import ALL, Comparison
from lore_core.evaluation.confidence import TIERS
from lore_core.evaluation.fidelity import FidelityRow
from lore_core.evaluation.gates import GateOutcome
from lore_core.evaluation.metrics import LABELS
from lore_core.evaluation.report import ImpliedPass, ReportDocument, WorstPair
from lore_core.evaluation.scores import ScoreRow

_PLOTTED: Final = ("Accuracy2", "MacroF1")
_MOST_SHOWN: Final = 600
"""Characters of a pair's attributes."""
_SHADES: Final = 5
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c1c1c;--soft:#5c5c5c;--line:#d5d5d5;--head:#f3f3f3;--page:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--soft:#a8a8a8;--line:#454545;--head:#2a2a2a;--page:#181818}}
body{font:15px/1.45 sans-serif;max-width:1080px;margin:24px auto;padding:0 16px;color:var(--ink);background:var(--page)}
.wide{overflow-x:auto;margin:8px 0 20px}table{border-collapse:collapse}svg{max-width:100%;height:auto}
th,td{border:1px solid var(--line);padding:4px 9px;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.t{min-width:9em;max-width:26em;overflow-wrap:anywhere}
th{background:var(--head)}code{font-size:12px;overflow-wrap:anywhere}.note{color:var(--soft)}
.verdict{display:inline-block;padding:3px 12px;border-radius:4px;color:#fff}.Passed{background:#2c7a4b}.Failed{background:#b3261e}
.Inconclusive{background:#8a6d00}td.Passed,td.Failed,td.Inconclusive{color:#fff}
.s1{background:rgb(31 95 168/.1)}.s2{background:rgb(31 95 168/.22)}.s3{background:rgb(31 95 168/.34)}
.s4{background:rgb(31 95 168/.46)}.s5{background:rgb(31 95 168/.6)}
"""


def page(document: ReportDocument) -> str:
    """The whole file."""
    report = document.report
    title = f"{report.model_name}: {report.verdict} ({report.evaluation})"
    sections = [
        _summary(document),
        _gates(report.gates),
        _scores(document),
        _comparisons(document.comparisons),
        _fidelity(document.fidelity),
        _slices(document.scores),
        _confusions(document),
        _calibration(document),
        _worst(document),
        _lineage(document),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _summary(document: ReportDocument) -> str:
    report = document.report
    against = f" against {escape(report.champion_name)}" if report.champion_name else ""
    counts = f"{report.pairs} pairs, {report.queries} queries, {report.unparsable} unparsable, {report.truncated} cut prompts"
    return (
        f'<h1>{escape(report.model_name)} <span class="verdict {report.verdict}">{report.verdict}</span></h1>'
        f"<p>Evaluation {escape(report.evaluation)}{against}, rule mode {report.rule_mode}, subsets "
        f"{escape(', '.join(report.subsets))}: {counts}. Mean probability outside the labels {report.mean_outside}.</p>"
        f"<p>{escape(report.why)}</p>"
    )


def _gates(gates: Sequence[GateOutcome]) -> str:
    rows = []
    for gate in gates:
        warning = f'<br><span class="note">warning: {escape(gate.warning)}</span>' if gate.warning else ""
        smallest = gate.minimum_detectable_regression or ""
        rows.append(
            f'<tr><td>{escape(gate.name)}</td><td class="{gate.outcome}">{gate.outcome}</td><td>{gate.severity}</td>'
            f'<td class="t">{escape(gate.message)}{warning}</td>{_numbers((smallest, gate.power or ""))}</tr>'
        )
    heads = ("gate", "outcome", "severity", "why", "minimum detectable regression", "power")
    return f"<h2>Gates</h2>{_table(heads, rows)}"


def _scores(document: ReportDocument) -> str:
    rows = [_score(row) for row in document.scores if row.slice == ALL]
    heads = ("metric", "value", "95 % interval", "champion", "worse by", "95 % interval", "queries", "pairs")
    return f"<h2>Scores</h2>{_table(heads, rows)}{_implied(document.implied)}"


def _implied(found: ImpliedPass | None) -> str:
    if found is None:
        return ""
    said = f"pass@1 {found.pass_at_1}, pass@{found.samples} less chance {found.above_chance}"
    return (
        f'<p class="note">As the label probabilities imply, each sample a draw from them: {said}. '
        "No reasoning is sampled: not comparable with sampled answers.</p>"
    )


def _score(row: ScoreRow) -> str:
    cells = (
        *(row.value, _interval(row.low, row.high), row.champion or ""),
        *(row.regression or "", _interval(row.regression_low, row.regression_high), str(row.queries), str(row.samples)),
    )
    return f"<tr><td>{escape(row.metric)}</td>{_numbers(cells)}</tr>"


def _comparisons(found: Sequence[Comparison]) -> str:
    if not found:
        return ""
    rows = [
        f'<tr><td class="t">{escape(one.slice)}</td><td>{one.metric}</td>'
        f"{_numbers((one.regression, one.p, one.adjusted))}"
        f'<td>{one.correction}</td><td class="n">{one.queries}</td></tr>'
        for one in found
    ]
    heads = ("slice", "metric", "worse by", "p", "p, corrected", "correction", "queries")
    note = "Whole queries are swapped between the two models at random. A list of slices is to look through, no claim."
    return f'<h2>Against the champion</h2><p class="note">{note}</p>{_table(heads, rows)}'


def _fidelity(found: Sequence[FidelityRow]) -> str:
    if not found:
        return ""
    rows = [
        f'<tr><td class="t">{escape(one.slice)}</td>'
        + _numbers(
            (
                *(one.agreement, _interval(one.agreement_low, one.agreement_high), one.agreement2),
                *(one.rank_correlation or "", str(one.ranked_queries), one.accuracy, one.champion_accuracy),
                *(str(one.queries), str(one.pairs)),
            )
        )
        + "</tr>"
        for one in found
    ]
    heads = (
        *("slice", "same label", "95 % interval", "same side", "rank correlation", "ranked queries"),
        *("gold: this model", "gold: champion", "queries", "pairs"),
    )
    note = "How closely the champion is followed, whether it is right or wrong: fidelity, where it is this model's teacher."
    return f'<h2>Agreement with the champion</h2><p class="note">{note}</p>{_table(heads, rows)}'


def _interval(low: str | None, high: str | None) -> str:
    return f"[{low}, {high}]" if low is not None and high is not None else ""


def _slices(scores: Sequence[ScoreRow]) -> str:
    parts = []
    for metric in _PLOTTED:
        bars = [_bar(row) for row in scores if row.metric == metric and row.slice != ALL]
        if bars:
            chart = interval_chart(f"{metric} by slice", bars, Axis(metric, 0.0, 1.0))
            parts.append(
                f'<h3>{metric}</h3>{chart}<p class="note">Filled: this model with its 95 % interval. Hollow: the champion.</p>'
            )
    return f"<h2>Slices</h2>{''.join(parts)}{_by_slice(scores)}" if parts else ""


def _by_slice(scores: Sequence[ScoreRow]) -> str:
    """Every metric of every slice, a line a slice; a dash where it is undefined there."""
    metrics = list(dict.fromkeys(row.metric for row in scores))
    values = {(row.slice, row.metric): f"{float(row.value):.3f}" for row in scores}
    sizes = {row.slice: (str(row.queries), str(row.samples)) for row in scores if row.metric in _PLOTTED}
    rows = [
        f'<tr><td class="t">{escape(name)}</td>{_numbers((*size, *(values.get((name, one), "–") for one in metrics)))}</tr>'
        for name, size in sizes.items()
    ]
    return f"<h3>All metrics by slice</h3>{_table(('slice', 'queries', 'pairs', *metrics), rows)}"


def _bar(row: ScoreRow) -> Bar:
    low, high, champion = (None if value is None else float(value) for value in (row.low, row.high, row.champion))
    return Bar(f"{row.slice} ({row.samples})", float(row.value), low, high, champion)


def _confusions(document: ReportDocument) -> str:
    answers = (*LABELS, "unparsable")
    parts = [_matrix("This model", LABELS, answers, document.confusion)]
    if document.champion_confusion:
        parts.append(_matrix("Champion", LABELS, answers, document.champion_confusion))
    parts.append(_matrix("CumPT tiers", TIERS, TIERS, document.tiers))
    return f"<h2>Confusion</h2><p>Rows are gold, columns the answer.</p>{''.join(parts)}"


def _matrix(name: str, gold: Sequence[str], answers: Sequence[str], cells: Sequence[Sequence[int]]) -> str:
    rows = [f"<tr><th>{label}</th>{_shaded(row)}</tr>" for label, row in zip(gold, cells, strict=True)]
    return f"<h3>{name}</h3>{_table(('gold', *answers), rows)}"


def _shaded(row: Sequence[int]) -> str:
    """Cells in a shade for their share of the row."""
    shades = [-(-cell * _SHADES // max(sum(row), 1)) for cell in row]
    return "".join(f'<td class="n s{shade}">{cell}</td>' for shade, cell in zip(shades, row, strict=True))


def _calibration(document: ReportDocument) -> str:
    if not document.reliability:
        return '<h2>Calibration</h2><p class="note">No answer has probabilities.</p>'
    points = [(float(one.confidence), float(one.right)) for one in document.reliability]
    axes = Axis("mean confidence", 0.0, 1.0), Axis("share right", 0.0, 1.0)
    chart = line_chart("Reliability", {"answers": points}, *axes, {"perfect": [(0.0, 0.0), (1.0, 1.0)]})
    rows = [f"<tr>{_numbers((one.confidence, one.right, str(one.pairs)))}</tr>" for one in document.reliability]
    return f"<h2>Calibration</h2>{chart}{_table(('mean confidence', 'share right', 'pairs'), rows)}"


def _worst(document: ReportDocument) -> str:
    if document.champion is None:
        return '<h2>Worst regressions</h2><p class="note">No champion to compare with.</p>'
    shown = f"{document.regressed} pairs that the champion answered better; the worst {len(document.worst)} are shown."
    heads = ("pair", "query", "item", "gold", "champion", "this model", "P(gold)", "slice")
    return f"<h2>Worst regressions</h2><p>{shown}</p>{_table(heads, [_regression(pair) for pair in document.worst])}"


def _regression(pair: WorstPair) -> str:
    attributes = "; ".join(f"{name}: {value}" for name, value in pair.attributes.items())
    item = f'<bdi>{escape(pair.title or "")}</bdi><br><bdi class="note">{escape(attributes[:_MOST_SHOWN])}</bdi>'
    if pair.picture:
        item += f'<br><bdi class="note">picture: {escape(pair.picture[:_MOST_SHOWN])}</bdi>'
    # The capability cell says what its three bits say.
    fields = ", ".join(f"{name}={value}" for name, value in pair.fields.items() if not name.startswith("needs."))
    return (
        f'<tr><td class="t"><code>{escape(pair.id)}</code></td><td class="t">{escape(pair.query or "")}</td>'
        f'<td class="t">{item}</td><td>{pair.gold}</td>'
        f"<td>{pair.champion or 'unparsable'}</td><td>{pair.candidate or 'unparsable'}</td>"
        f'<td class="n">{pair.gold_probability or ""}</td><td class="t">{escape(fields)}</td></tr>'
    )


def _lineage(document: ReportDocument) -> str:
    report = document.report
    known = {
        "evidence": document.evidence,
        **report.bound.model_dump(mode="json", by_alias=True, exclude_none=True),
        "serving profile": report.profile.model_dump_json(by_alias=True)
        if report.profile
        else "an endpoint's is not known",
        **({"RAIR total": report.rair_total} if report.rair_total else {}),
        "decoding": ", ".join(f"{name}={value}" for name, value in report.decoding.items()),
        "bootstrap": f"{report.resamples} resamples of whole queries, seed {report.seed}",
    }
    rows = [
        f"<tr><td>{escape(name)}</td><td><code>{escape(str(value))}</code></td></tr>" for name, value in known.items()
    ]
    return f"<h2>Lineage</h2>{_table(('what', 'digest or value'), rows)}"


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    first = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return f'<div class="wide"><table><tr>{first}</tr>{"".join(rows)}</table></div>'


def _numbers(cells: Iterable[str]) -> str:
    return "".join(f'<td class="n">{escape(cell)}</td>' for cell in cells)
