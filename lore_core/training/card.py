"""The model card: README.md of a model artifact, as people and model hubs read it. It says what was measured and nothing else.

Written from digests and numbers alone, without times and places, so that equal work has an equal card.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lore_core.prompts import ModelKit, PromptLayout
from lore_core.prompts.contract import Towers
from lore_core.training.lineage import MadeBy

CARD_NAME: Final = "README.md"
_STUDENTS: Final = {
    PromptLayout.CLASSIFIER: "text-classification",
    PromptLayout.TWO_TOWER: "sentence-similarity",
}
_WRITES: Final = "text-generation"
_SEES: Final = "image-text-to-text"


def model_card(kit: ModelKit, stages: Sequence[MadeBy], teacher: Sequence[MadeBy]) -> str:
    """The card of a model that the last of `stages` made; `teacher` are the stages of its teacher, where it has one."""
    made, sees = stages[-1], kit.contract.image_tokens is not None
    task = _STUDENTS.get(kit.contract.layout, _SEES if sees else _WRITES)
    parts = [
        f"---\nlibrary_name: transformers\npipeline_tag: {task}\ntags:\n- search-relevance\n- {made.kind.lower()}\n---",
        f"# {made.stage}",
        "Judges how well an item answers a search query: one of four labels, L1 (irrelevant) to L4 (exact)."
        f" {_READ[kit.contract.layout]}",
        "## Serving",
        _facts(kit),
        "`lore-contract.json` holds the prompt, the label tokens and how a score is read; a server that ignores it sees other"
        " prompts than the model was trained on.",
        "## Made from",
        _table(("input", "digest"), ((f"`{name}`", f"`{digest}`") for name, digest in sorted(made.inputs.items()))),
        "## Stages",
        _stages(stages),
        *(["## Stages of the teacher", _stages(teacher)] if teacher else []),
        "## Scores",
        _scores(stages),
        *(["## Sampled answers", _sampled(stages)] if any(made.sampled for made in stages) else []),
    ]
    return "\n\n".join(parts) + "\n"


_READ: Final = {
    PromptLayout.CLASSIFIER: "It is a four-class encoder.",
    PromptLayout.TWO_TOWER: "It is an encoder of query and item apart, mean pooled; a head in the serving contract reads the"
    " cosine of both vectors.",
    PromptLayout.LABEL_FIRST: "It is a language model whose first token is the label.",
    PromptLayout.THINK_FIRST: "It is a language model that writes a short trace of its reasons, then the label.",
}


def _facts(kit: ModelKit) -> str:
    contract = kit.contract
    known: Mapping[str, object] = {
        "layout": contract.layout,
        "rules in the prompt": contract.rule_mode,
        "longest prompt, tokens": contract.truncation.max_prompt_tokens,
        **({"longest picture, tokens": contract.image_tokens} if contract.image_tokens is not None else {}),
        **({"scale, cut points": _head(contract.towers)} if contract.towers is not None else {}),
        "prompt": contract.prompt_digest,
        "label schema": contract.label_schema,
        "tokenizer": contract.tokenizer,
    }
    return _table(("what", "value"), ((name, f"`{value}`") for name, value in known.items()))


def _head(towers: Towers) -> str:
    return f"{towers.scale}, {' '.join(towers.cut_points)}"


def _stages(stages: Sequence[MadeBy]) -> str:
    heads = ("stage", "kind", "weights of step", "steps planned", "pairs a step", "learning rate", "final loss", "data")
    rows = (
        (
            *(f"`{made.stage}`", _kind(made), str(made.step), str(made.steps), str(made.batch_size)),
            *(made.learning_rate, made.final_loss, f"`{made.inputs.get('data', '')}`"),
        )
        for made in stages
    )
    return _table(heads, rows)


def _kind(made: MadeBy) -> str:
    lora = made.lora
    return f"{made.kind}, LoRA of rank {lora.rank} and alpha {lora.alpha}" if lora else made.kind


def _scores(stages: Sequence[MadeBy]) -> str:
    rows = [
        (f"`{made.stage}`", name, value, str(made.scored_pairs))
        for made in stages
        for name, value in sorted(made.scores.items())
    ]
    note = (
        "Measured by the stages themselves on the tune split, which they chose their weights by: no estimate of how good the"
        " model is on other queries. That is what an evaluation with gates is for."
    )
    return (
        f"{_table(('stage', 'score', 'value', 'pairs'), rows)}\n\n{note}" if rows else "None was measured in training."
    )


def _sampled(stages: Sequence[MadeBy]) -> str:
    rows = [
        (f"`{made.stage}`", name, value, str(made.sampled.pairs), str(made.sampled.samples))
        for made in stages
        if made.sampled is not None
        for name, value in sorted(made.sampled.scores.items())
    ]
    note = (
        "Answers at temperature 1 to pairs of the tune split. Four labels make pass@k high by chance, so the chance is taken off"
        " (AboveChance); Checked counts only answers whose reasoning holds step by step. What is Derived follows from label"
        " probabilities of a model that does not reason, and is not comparable with the others."
    )
    return f"{_table(('stage', 'figure', 'value', 'pairs', 'answers a pair'), rows)}\n\n{note}"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
