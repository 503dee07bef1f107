"""`python -m benchmarks.router.one_by_one ARGUMENTS`: `lore router serve` that asks about each item of a question by itself.

What a question takes here and there differs by what lists of prompts save.
"""

import sys
from typing import Any

from lore_core.cli import main
from lore_core.router import predictor


def serve(arguments: list[str]) -> Any:
    """Run the router with it."""
    predictor._LIST = 1
    return main(["router", "serve", *arguments])


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
