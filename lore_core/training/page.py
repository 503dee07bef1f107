"""How a stage went, as one HTML file: no script, no network, every text escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from lore_core.chart import Axis, Point, line_chart
from lore_core.training.lineage import MadeBy

Curves = Mapping[str, Sequence[Sequence[float]]]
PAGE_NAME: Final = "report.html"
_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Loss": ("loss",),
    "Reward": ("reward", "reward.label", "reward.format", "reward.length", "reward.citation"),
    "Preference": ("margin", "chosen", "rejected"),
    "Tune split": ("tuneMacroF1", "tuneAccuracy2", "tuneParseRate", "tuneCanary"),
    "Log-likelihood of gold on the tune split": ("tuneLogLikelihood",),
    "Answers sampled on the tune split": (
        *("tunePassAt1", "tuneMajorityAtK", "tunePassAtKAboveChance", "tunePassAtKChecked"),
    ),
    "pass@k implied by label probabilities, not comparable with sampled answers": (
        *("tuneDerivedPassAt1", "tuneDerivedPassAtKAboveChance"),
    ),
    "KL to the start, nats a token": ("kl", "tuneDivergence"),
    "Entropy, nats a token": ("entropy", "tuneEntropy"),
    "Tokens of an answer": ("length", "tuneLength"),
}
_STYLE: Final = (
    "body{font:15px/1.45 sans-serif;max-width:1080px;margin:24px auto;padding:0 16px;color:#1c1c1c}"
    "table{border-collapse:collapse;margin:8px 0 20px}th,td{border:1px solid #d5d5d5;padding:4px 9px;text-align:left}"
    "th{background:#f3f3f3}code{font-size:12px;word-break:break-all}svg{max-width:100%;height:auto}"
)


def training_page(stages: Sequence[MadeBy], curves: Curves) -> str:
    """The page of the last of `stages`; `curves` are `[step, value]` rows by name."""
    made = stages[-1]
    title = f"Stage {made.stage}: {made.kind}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"{_facts(made)}{''.join(_charts(curves))}{_sampled(stages)}<h2>Stages</h2>{_stages(stages)}</body></html>\n"
    )


def _facts(made: MadeBy) -> str:
    adapters = f", adapters of rank {made.lora.rank}" if made.lora else ""
    words = (
        f"Weights of step {made.step} of {made.steps} planned, {made.batch_size} pairs a step, learning rate"
        f" {made.learning_rate}{adapters}; mean loss of the last ten steps {made.final_loss}."
    )
    scores = ((name, value, str(made.scored_pairs)) for name, value in sorted(made.scores.items()))
    table = _table(("score on the tune split", "value", "pairs"), scores) if made.scores else ""
    return f"<p>{escape(words)}</p>{table}"


def _charts(curves: Curves) -> Iterable[str]:
    known = {name for names in _GROUPS.values() for name in names}
    groups = {**_GROUPS, **{name: (name,) for name in curves if name not in known}}
    for title, names in groups.items():
        lines = {name: [(point[0], point[1]) for point in curves[name]] for name in names if curves.get(name)}
        if lines:
            yield f"<h2>{escape(title)}</h2>{_chart(title, lines)}"


def _chart(title: str, lines: Mapping[str, Sequence[Point]]) -> str:
    steps, values = zip(*(point for points in lines.values() for point in points), strict=True)
    return line_chart(title, lines, Axis("step", min(steps), max(steps)), Axis("value", min(values), max(values)))


def _sampled(stages: Sequence[MadeBy]) -> str:
    """pass@k from stage to stage: what reasoning gained and what it cost."""
    rows = [
        (made.stage, name, value, f"{made.sampled.pairs} pairs, {made.sampled.samples} answers each")
        for made in stages
        if made.sampled is not None
        for name, value in sorted(made.sampled.scores.items())
    ]
    heads = ("stage", "figure", "value", "of")
    return f"<h2>Sampled answers by stage</h2>{_table(heads, rows)}" if rows else ""


def _stages(stages: Sequence[MadeBy]) -> str:
    rows = [(made.stage, made.kind, f"{made.step} of {made.steps}", made.inputs.get("data", "")) for made in stages]
    return _table(("stage", "kind", "step", "data"), rows)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>{body}</table>"
