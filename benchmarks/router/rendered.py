"""`python -m benchmarks.router.rendered ARGUMENTS`: `lore router serve` that renders each prompt once.

What it adds is what the router adds apart from rendering, which a router that knows nothing of prompts has no part in.
"""

import sys
from typing import Any

from lore_core.cli import main
from lore_core.prompts import ModelKit, RenderedPrompt
from lore_core.prompts.fields import NO_RULES, PromptRecord, PromptRules

_known: dict[tuple[str, str], RenderedPrompt] = {}
_render = ModelKit.render


def remembered(kit: ModelKit, record: PromptRecord, rules: PromptRules = NO_RULES) -> RenderedPrompt:
    """The prompt of a query with a title; this benchmark's items have nothing else."""
    key = record.query, record.title
    if key not in _known:
        _known[key] = _render(kit, record, rules)
    return _known[key]


def serve(arguments: list[str]) -> Any:
    """Run the router with it."""
    ModelKit.render = remembered  # type: ignore[method-assign]
    return main(["router", "serve", *arguments])


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
