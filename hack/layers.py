"""Runs every test layer in order, stops at the first that fails, and prints the minutes of each.

Layers of one step run side by side, since neither keeps both cores busy; what they print comes layer by layer.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

STEPS = (("tools",), ("setup",), ("check",), ("unit", "chart"), ("controlplane",), ("integration",), ("e2e",))


class Layer(NamedTuple):
    """A layer that has run."""

    name: str
    minutes: float
    failed: bool


def run(name: str, *, alone: bool) -> Layer:
    """`make NAME`; with others beside it, its output is held back until it has ended."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as held:
        output = None if alone else held
        command = ["make", "--no-print-directory", name]
        status = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
        held.seek(0)
        sys.stdout.buffer.write(held.read())
        sys.stdout.flush()
    return Layer(name, (time.monotonic() - started) / 60, status != 0)


def step(names: Sequence[str]) -> list[Layer]:
    """The layers of a step, all of them to their end."""
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: run(name, alone=len(names) == 1), names))


def main() -> int:
    done: list[Layer] = []
    for names in STEPS:
        done += step(names)
        failed = [layer.name for layer in done if layer.failed]
        if failed:
            print(f"failed: {', '.join(failed)}; run one alone with: make LAYER", file=sys.stderr)
            break
    print("\n".join(f"{layer.name:<14}{layer.minutes:6.1f} min" for layer in done))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
