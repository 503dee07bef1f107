"""Any series of specs that the API server accepts ends at rest, or a condition says why not.

After "Acto: Automatic End-to-End Testing for Operation Correctness of Cloud System Management" (Gu et al., SOSP 2023): the specs
are drawn from our own schemas. `make campaign` makes some hundred transitions of each kind, with a new seed.
"""

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cluster.campaign import SEED, WHOLE
from cluster.faults import SHARING, FaultyClient, Operator
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from unit.api.specs import GOOD
from unit.api.strategies import edited_specs

from lore_operator.__main__ import PLANNERS
from lore_operator.api.reasons import REASONS
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.errors import Invalid
from lore_operator.engine.keys import Key
from lore_operator.engine.resources import KINDS

CHANGED = ("RelevanceTrainJob", "RelevanceEval", "RelevanceDeployment")
"""A RelevanceModel never changes: tests/controlplane/test_crds.py."""
SERIES = 60 if WHOLE else 2
LENGTH = 8
WANTED = 170 if WHOLE else 1
"""Transitions of each kind that must have been made; what the API server refuses does not count."""
PASSES = 25
MADE: Counter[str] = Counter()
_numbers = itertools.count()


@pytest.mark.timeout(3600 if WHOLE else 600)
@pytest.mark.usefixtures("kserve_kinds")
@pytest.mark.parametrize("kind", CHANGED)
def test_every_series_of_specs_comes_to_rest_or_says_why(
    kubeconfig: Path, namespace: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    @seed(SEED)
    @settings(
        max_examples=SERIES,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(specs=st.lists(edited_specs(kind), min_size=LENGTH, max_size=LENGTH))
    def one(specs: list[dict[str, Any]]) -> None:
        asyncio.run(series(kind, namespace, specs))

    one()
    print(f"LORE_SEED={SEED}: {MADE[kind]} transitions of {kind}")
    assert MADE[kind] >= WANTED


async def series(kind: str, namespace: str, specs: list[dict[str, Any]]) -> None:
    """One object through all the specs; then it is deleted."""
    key = Key(kind, namespace, f"demo-{next(_numbers)}")
    async with FaultyClient() as client, KubeClient(connect, manager="a-person") as person:
        operator = Operator(client, namespace, PLANNERS, SHARING)
        metadata = {"name": key.name, "namespace": namespace}
        resource = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, "spec": GOOD[kind]}
        stored = await person.create(resource, KINDS[kind])
        await comes_to_rest(operator, client, person, key)
        for spec in specs:
            try:
                await person.merge(KINDS[kind], namespace, key.name, replaced(stored["spec"], spec))
            except Invalid:
                continue
            stored = await comes_to_rest(operator, client, person, key)
            MADE[kind] += 1
        await person.delete(KINDS[kind], namespace, key.name, uid=stored["metadata"]["uid"])


def replaced(before: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """The merge patch that makes the whole spec another one."""
    return {"spec": {**dict.fromkeys(before.keys() - spec.keys()), **spec}}


async def comes_to_rest(operator: Operator, client: FaultyClient, person: KubeClient, key: Key) -> dict[str, Any]:
    """Passes until one writes nothing; what the status then says must be about this spec, and be documented."""
    for _ in range(PASSES):
        await operator.look()
        before = len(client.journal)
        await operator.reconcile(key)
        if len(client.journal) == before:
            break
    else:
        pytest.fail(f"{key} is not at rest after {PASSES} passes; last writes: {client.journal[-10:]}")
    found = await person.get(KINDS[key.kind], key.namespace, key.name)
    judge(found)
    return found


def judge(found: dict[str, Any]) -> None:
    status = found.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    reasons = {item["reason"] for item in conditions.values()}
    assert reasons <= set(REASONS), (found["spec"], conditions)
    assert "InternalError" not in reasons, (found["spec"], conditions)
    told = any(conditions.get(kind, {}).get("status") == "True" for kind in ("Ready", "Reconciling", "Stalled"))
    assert told or "Suspended" in reasons or "Paused" in reasons, (found["spec"], conditions)
    failed = conditions.get("Reconciling", {}).get("reason", "").startswith("Api")
    assert failed or status["observedGeneration"] == found["metadata"]["generation"], (found["spec"], status)
