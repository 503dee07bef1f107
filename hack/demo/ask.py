"""Asks the router as a search backend would, with one query of each stratum."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.cluster.kubectl import Kubectl
from hack.demo import view
from hack.demo.data import Data
from hack.demo.errors import DemoError
from lore_core.strata import StrataSnapshot

_ITEMS: Final = 4
_TIMEOUT: Final = 30.0


@dataclass(frozen=True)
class Question:
    """A query of a known stratum and items that were annotated for it."""

    stratum: str
    query: str
    market: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What came back: two headers, the body, and the time on the caller's clock in milliseconds."""

    stratum: str
    revision: str
    body: dict[str, Any]
    milliseconds: float


def questions(data: Data) -> list[Question]:
    """The first query of each stratum that has annotated items. Head queries are asked with items the cache was built for."""
    snapshot = StrataSnapshot.open(data.folders["data/strata"])
    rows = list(_rows(data.folders["data/candidates"] / "candidates.jsonl"))
    cached = {(row["query"], row["market"]): set(row["item_ids"]) for row in rows}
    chosen: dict[str, Question] = {}
    for (query, market), labels in _annotated(data).items():
        stratum = snapshot.stratum(query)
        wanted = cached.get((query, market), set()) if stratum == "head" else set(labels)
        kept = {item: label for item, label in labels.items() if item in wanted}
        if kept:
            chosen.setdefault(stratum, Question(stratum, query, market, dict(list(kept.items())[:_ITEMS])))
    return [chosen[stratum] for stratum in ("head", "torso", "tail") if stratum in chosen]


def _annotated(data: Data) -> dict[tuple[str, str], dict[str, str]]:
    """(query, market) → item → label, over what no model was trained on."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    held_out = [*sorted(data.folders["data/benchmark"].glob("*.jsonl")), data.folders["data/pairs"] / "tune.jsonl"]
    for path in held_out:
        for row in _rows(path):
            found.setdefault((row["query"], row["market"]), {})[row["item_id"]] = row["groundtruth"]
    return found


def ask(url: str, question: Question) -> Answer:
    """One `POST /v1/relevance`."""
    body = {"query": question.query, "market": question.market, "items": [{"id": item} for item in question.labels]}
    request = urllib.request.Request(
        f"{url}/v1/relevance", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    started = time.perf_counter()
    with _direct().open(request, timeout=_TIMEOUT) as response:
        answer, headers = json.load(response), response.headers
    spent = (time.perf_counter() - started) * 1000
    return Answer(headers["x-lore-stratum"], headers["x-lore-revision"], answer, spent)


def answers(pairs: Iterable[tuple[Question, Answer]]) -> list[str]:
    """One line an answer."""
    rows = []
    for question, answer in pairs:
        items = answer.body["items"]
        given = " ".join(f"{item['label']}({question.labels[item['id']]})" for item in items)
        latency = f"{answer.body['latency_ms']:.1f} ms"
        rows.append(
            (answer.stratum, answer.body["tier"], answer.revision, latency, view.shorten(question.query, 50), given)
        )
    return view.table(("stratum", "answered by", "revision", "latency", "query", "labels (annotated)"), rows)


@contextmanager
def forwarded(kubectl: Kubectl, namespace: str, service: str) -> Iterator[str]:
    """The base url of a Service, reached through the API server."""
    command = [str(kubectl.binary), f"--kubeconfig={kubectl.kubeconfig}", "port-forward", f"--namespace={namespace}"]
    with subprocess.Popen([*command, f"service/{service}", ":80"], stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "127.0.0.1:" not in line:
                raise DemoError(f"no connection to service {service} in {namespace}; is a router pod Ready?")
            yield f"http://127.0.0.1:{line.split('127.0.0.1:')[1].split(' ')[0]}"
        finally:
            process.terminate()


def _direct() -> urllib.request.OpenerDirector:
    # A proxy of the environment must not see a call to this machine.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
