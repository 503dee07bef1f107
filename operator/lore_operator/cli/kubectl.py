"""Reads a cluster with the user's own kubectl: its contexts, its plugins for credentials, its permissions."""

import argparse
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
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
_CLIENT_LOG: Final = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.")
"""How a line begins that kubectl's libraries log beside its answer."""
_LOGS: Final = ("--all-containers", "--prefix", "--ignore-errors")
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

    def labelled(self, plural: str, selector: str) -> list[Object]:
        """Objects of another kind in the namespace, by their labels."""
        return list(self._get(plural, f"--selector={selector}")["items"])

    def everything(self, children: str) -> list[Object]:
        """What names artifacts, in all namespaces: the four kinds, and the ConfigMaps and revisions that the selector finds."""
        kinds = ",".join(f"{plural}.{_GROUP}" for plural in PLURALS.values())
        everywhere = ("--all-namespaces", "--output=json")
        asked = (("get", kinds), ("get", "configmaps,controllerrevisions.apps", f"--selector={children}"))
        return [item for words in asked for item in json.loads(self._run(*words, *everywhere))["items"]]

    def logs(self, pod: str, tail: int) -> str:
        """The last lines of every container of a pod, each with its pod and container before it."""
        return self._run("logs", pod, *_LOGS, f"--tail={tail}", *self._where)

    def followed(self, pod: str) -> Iterator[str]:
        """Lines as the pod writes them, until it ends."""
        command = ["kubectl", "logs", pod, *_LOGS, "--follow", *self._where, *self._chosen]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            yield from running.stdout
            said = running.stderr.read()
        if running.returncode:
            raise CannotTell(_words(said))

    def kustomize(self, folder: str) -> str:
        """What a kustomization builds, as YAML."""
        return self._run("kustomize", folder)

    def _get(self, *what: str) -> Object:
        found: Object = json.loads(self._run("get", *what, "--output=json", *self._where))
        return found

    @property
    def _where(self) -> list[str]:
        return [f"--namespace={self.namespace}"] if self.namespace else []

    @property
    def _chosen(self) -> list[str]:
        return [f"--context={self.context}"] if self.context else []

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(["kubectl", *arguments, *self._chosen], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise CannotTell("there is no kubectl on PATH; this command reads the cluster with it") from error
        if done.returncode != 0:
            raise CannotTell(_words(done.stderr))
        return done.stdout


def _words(output: str) -> str:
    """What kubectl says, each line once and without its libraries' log, and what to do where that is known."""
    lines = (line.rstrip() for line in output.splitlines())
    said = "\n".join(dict.fromkeys(line for line in lines if line and not _CLIENT_LOG.match(line)))
    if "the server doesn't have a resource type" in said:
        return f"{said}\nthe definitions of {_GROUP} are not installed: install the chart, or kubectl apply -k crds"
    if "orbidden" in said:
        return f"{said}\nask for the cluster role view in this namespace: the chart adds these kinds to it"
    if "connection to the server" in said or "Unable to connect" in said:
        return f"{said}\nKUBECONFIG or --context names the cluster to ask"
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
