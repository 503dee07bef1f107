"""Reads a cluster with the user's own kubectl: its contexts, its plugins for credentials, its permissions."""

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lore_core.cli import EXIT_FAILED, EXIT_USAGE

Object = dict[str, Any]

PLURALS: Final = {
    "RelevanceTrainJob": "relevancetrainjobs",
    "RelevanceModel": "relevancemodels",
    "RelevanceEval": "relevanceevals",
    "RelevanceDeployment": "relevancedeployments",
}
_SHORT: Final = {
    "RelevanceTrainJob": ("rtj", "job", "trainjob"),
    "RelevanceModel": ("rmodel", "model"),
    "RelevanceEval": ("reval", "eval"),
    "RelevanceDeployment": ("rdep", "deployment"),
}
_GROUP: Final = "lore-platform.io"
_KINDS: Final = {
    name: kind
    for kind, plural in PLURALS.items()
    for name in (kind.lower(), plural, f"{plural}.{_GROUP}", *_SHORT[kind])
}


class CannotTell(Exception):
    """The question cannot be answered; the message says why and what to do. `status` is the exit status."""

    def __init__(self, message: str, status: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one context and namespace; the empty ones are kubectl's own defaults."""

    context: str = ""
    namespace: str = ""

    def chain(self) -> list[Object]:
        """Every object of the four kinds in the namespace, by one call."""
        kinds = ",".join(f"{plural}.{_GROUP}" for plural in PLURALS.values())
        items: list[Object] = self._get(kinds)["items"]
        return items

    def one(self, kind: str, name: str) -> Object:
        """One object."""
        return self._get(f"{PLURALS[kind]}.{_GROUP}", name)

    def kustomize(self, folder: str) -> str:
        """What a kustomization builds, as YAML."""
        return self._run("kustomize", folder)

    def _get(self, *what: str) -> Object:
        where = [f"--namespace={self.namespace}"] if self.namespace else []
        found: Object = json.loads(self._run("get", *what, "--output=json", *where))
        return found

    def _run(self, *arguments: str) -> str:
        context = [f"--context={self.context}"] if self.context else []
        try:
            done = subprocess.run(["kubectl", *arguments, *context], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise CannotTell("there is no kubectl on PATH; this command reads the cluster with it") from error
        if done.returncode != 0:
            raise CannotTell(_words(done.stderr.strip()))
        return done.stdout


def _words(said: str) -> str:
    if "the server doesn't have a resource type" in said:
        return f"{said}\nthe definitions of {_GROUP} are not installed: install the chart, or kubectl apply -k crds"
    if "Forbidden" in said or "forbidden" in said:
        return f"{said}\nask for the cluster role view in this namespace: the chart adds these kinds to it"
    return said


def parse_object(text: str) -> tuple[str, str]:
    """(kind, name) of `KIND/NAME`; kinds in any of their spellings. CannotTell names the known ones."""
    kind, slash, name = text.partition("/")
    known = _KINDS.get(kind.lower())
    if not slash or not name or known is None:
        short = ", ".join(names[0] for names in _SHORT.values())
        raise CannotTell(f"{text}: give KIND/NAME; KIND is one of {', '.join(PLURALS)} or {short}", EXIT_USAGE)
    return known, name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every verb of this package has."""
    parser.add_argument("-n", "--namespace", default="", help="namespace (default: the context's)")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: the current one)")


def from_arguments(args: argparse.Namespace) -> Kubectl:
    """The cluster that the options name."""
    return Kubectl(args.context, args.namespace)


def names(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """Objects of one kind by name, in the order of their names."""
    found = {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}
    return dict(sorted(found.items()))
