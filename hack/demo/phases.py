"""Minutes of each phase, for the end of the demo and for whoever wants it faster."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Phases:
    """What ran so far and how long it took, in seconds."""

    announce: Callable[[str], None] = print
    clock: Callable[[], float] = time.monotonic
    spent: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block under a name."""
        self.announce(f"== {name}")
        started = self.clock()
        try:
            yield
        finally:
            self.spent.append((name, self.clock() - started))
