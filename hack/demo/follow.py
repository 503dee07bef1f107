"""Watches the platform's resources until they are where they should be, showing how they get there."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hack.cluster.kubectl import Kubectl
from hack.demo import view
from hack.demo.errors import DemoError

KINDS: Final = {"RelevanceTrainJob": "rtj", "RelevanceEval": "reval", "RelevanceDeployment": "rdep"}
_RESOURCES: Final = ",".join(f"{kind.lower()}s.lore-platform.io" for kind in KINDS)
_POLL_SECONDS: Final = 2.0
_ORDER: Final = tuple(KINDS)


@dataclass
class Screen:
    """Redraws in place on a terminal; elsewhere prints a line whenever it changes."""

    terminal: bool = field(default_factory=sys.stdout.isatty)
    _drawn: int = 0
    _seen: set[str] = field(default_factory=set)

    def show(self, lines: Sequence[str]) -> None:
        """Show the present state."""
        if self.terminal:
            columns = shutil.get_terminal_size().columns  # a line that wraps could not be drawn over
            print(f"\x1b[{self._drawn}F\x1b[J" if self._drawn else "", end="")
            print("\n".join(line[: columns - 1] for line in lines), flush=True)
            self._drawn = len(lines)
            return
        fresh = [line for line in lines if line not in self._seen]
        self._seen = set(lines)
        if fresh:
            print("\n".join(fresh), flush=True)


@dataclass(frozen=True)
class Follower:
    """Reads the three kinds of one namespace."""

    kubectl: Kubectl
    namespace: str

    def objects(self) -> list[dict[str, Any]]:
        """All of them, train jobs first."""
        found = json.loads(self.kubectl("get", _RESOURCES, f"--namespace={self.namespace}", "--output=json"))["items"]
        return sorted(found, key=lambda item: (_ORDER.index(item["kind"]), item["metadata"]["name"]))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One of them."""
        return self.kubectl.get(f"{kind.lower()}s.lore-platform.io", name, f"--namespace={self.namespace}")

    def until(self, done: Callable[[dict[tuple[str, str], dict[str, Any]]], bool], minutes: float, what: str) -> None:
        """Poll until `done` of (kind, name) → object; DemoError where it takes longer than the minutes."""
        screen, deadline = Screen(), time.monotonic() + minutes * 60
        while True:
            found = self.objects()
            screen.show(view.progress(found))
            if done({(item["kind"], item["metadata"]["name"]): item for item in found}):
                return
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{what} took longer than {minutes:.0f} minutes; look at\n"
                    f"  kubectl --kubeconfig {self.kubectl.kubeconfig} --namespace {self.namespace} describe lore\n"
                    f"  kubectl --kubeconfig {self.kubectl.kubeconfig} --namespace {self.namespace} get pods,events"
                )
            time.sleep(_POLL_SECONDS)


def succeeded(item: dict[str, Any]) -> bool:
    """Whether a resource is Ready for its present generation; DemoError where it has stopped short of it."""
    stalled = view.condition(item, "Stalled")
    if stalled and stalled["status"] == "True" and stalled["reason"] not in WAITING:
        raise DemoError(f"{item['kind']} {item['metadata']['name']}: {stalled['reason']}: {stalled.get('message', '')}")
    return view.holds(item, "Ready")


WAITING: Final = frozenset({"GateBlocked"})
"""A deployment is stalled with this reason while a verdict is awaited, too."""
