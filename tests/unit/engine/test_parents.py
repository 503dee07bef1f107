"""Who is woken by whom, and when kopf's watch is not believed any more."""

from collections.abc import Iterable
from typing import Any

import pytest

from lore_operator.engine.keys import Key
from lore_operator.engine.parents import RESYNC_SECONDS, Parents
from lore_operator.engine.resources import KINDS, Resource
from lore_operator.plan.types import Reference

MODEL = Key("RelevanceModel", "team", "llm")
EVAL = Key("RelevanceEval", "team", "nightly")
SERVING = Key("RelevanceDeployment", "team", "search")


class Lists:
    """The API server's list calls."""

    def __init__(self) -> None:
        self.versions: dict[Key, int] = {}

    async def list_metadata(self, resource: Resource, namespace: str | None = None) -> list[dict[str, Any]]:
        return [
            {"name": key.name, "namespace": key.namespace, "resourceVersion": str(version)}
            for key, version in self.versions.items()
            if key.kind == resource.kind
        ]


@pytest.fixture
def woken() -> list[Key]:
    return []


@pytest.fixture
def parents(woken: list[Key]) -> Parents:
    return Parents(woken.append)


def references(*found: tuple[str, str | None]) -> Iterable[Reference]:
    return (Reference(*item) for item in found)


def test_a_change_wakes_the_object_itself(parents: Parents, woken: list[Key]) -> None:
    parents.changed(EVAL, "5")

    assert woken == [EVAL]


def test_a_change_wakes_who_looks_at_the_object(parents: Parents, woken: list[Key]) -> None:
    parents.looks_at(EVAL, references(("RelevanceModel", "llm")))
    parents.changed(MODEL, "5")

    assert woken == [MODEL, EVAL]


def test_who_looks_at_all_of_a_kind_is_woken_by_each(parents: Parents, woken: list[Key]) -> None:
    parents.looks_at(SERVING, references(("RelevanceEval", None)))
    parents.changed(EVAL, "5")

    assert woken == [EVAL, SERVING]


def test_another_namespace_is_never_woken(parents: Parents, woken: list[Key]) -> None:
    parents.looks_at(EVAL, references(("RelevanceModel", "llm")))
    parents.changed(Key("RelevanceModel", "other", "llm"), "5")

    assert EVAL not in woken


def test_who_looks_elsewhere_now_is_not_woken(parents: Parents, woken: list[Key]) -> None:
    parents.looks_at(EVAL, references(("RelevanceModel", "llm")))
    parents.looks_at(EVAL, references(("RelevanceModel", "other")))
    parents.changed(MODEL, "5")

    assert woken == [MODEL]


def test_a_deletion_wakes_too(parents: Parents, woken: list[Key]) -> None:
    parents.looks_at(EVAL, references(("RelevanceModel", "llm")))
    parents.changed(MODEL, "6", deleted=True)

    assert EVAL in woken


def test_our_own_write_of_a_status_wakes_those_that_look_and_not_itself(parents: Parents, woken: list[Key]) -> None:
    parents.looks_at(EVAL, references(("RelevanceModel", "llm")))
    parents.wrote_status(MODEL, "6")
    parents.changed(MODEL, "6")

    assert woken == [EVAL]


def test_a_change_beside_our_own_write_wakes(parents: Parents, woken: list[Key]) -> None:
    parents.wrote_status(MODEL, "6")
    parents.changed(MODEL, "7")

    assert woken == [MODEL]


def test_an_older_change_that_is_reported_after_our_own_write_wakes(parents: Parents, woken: list[Key]) -> None:
    parents.wrote_status(MODEL, "6")
    parents.changed(MODEL, "5")

    assert woken == [MODEL]


async def test_a_resync_wakes_what_was_missed(parents: Parents, woken: list[Key]) -> None:
    lists = Lists()
    lists.versions[MODEL] = 7
    await parents.resync(lists, [None])  # type: ignore[arg-type]

    assert woken == [MODEL]


async def test_a_resync_wakes_who_looks_at_what_was_missed(parents: Parents, woken: list[Key]) -> None:
    parents.looks_at(EVAL, references(("RelevanceModel", "llm")))
    lists = Lists()
    lists.versions[MODEL] = 7
    await parents.resync(lists, [None])  # type: ignore[arg-type]

    assert EVAL in woken


async def test_a_resync_leaves_what_was_reported_in_peace(parents: Parents, woken: list[Key]) -> None:
    parents.changed(MODEL, "7")
    woken.clear()
    lists = Lists()
    lists.versions[MODEL] = 7
    await parents.resync(lists, [None])  # type: ignore[arg-type]

    assert woken == []


async def test_within_an_hour_everything_is_woken(parents: Parents, woken: list[Key]) -> None:
    parents.changed(MODEL, "7")
    woken.clear()
    lists = Lists()
    lists.versions[MODEL] = 7
    for _ in range(int(3600 / RESYNC_SECONDS)):
        await parents.resync(lists, [None])  # type: ignore[arg-type]

    assert woken == [MODEL]


async def test_a_resync_wakes_what_is_gone(parents: Parents, woken: list[Key]) -> None:
    parents.changed(MODEL, "5")
    woken.clear()
    await parents.resync(Lists(), [None])  # type: ignore[arg-type]

    assert woken == [MODEL]


async def test_a_change_that_is_only_late_is_no_silence(parents: Parents) -> None:
    lists = Lists()
    lists.versions[MODEL] = 7
    await parents.resync(lists, [None])  # type: ignore[arg-type]
    parents.changed(MODEL, "7")
    await parents.resync(lists, [None])  # type: ignore[arg-type]

    assert not parents.watch_is_silent


async def test_a_change_that_is_never_reported_is_silence(parents: Parents) -> None:
    lists = Lists()
    lists.versions[MODEL] = 7
    await parents.resync(lists, [None])  # type: ignore[arg-type]
    await parents.resync(lists, [None])  # type: ignore[arg-type]

    assert parents.watch_is_silent


def test_all_four_kinds_are_ours() -> None:
    assert sorted(KINDS) == ["RelevanceDeployment", "RelevanceEval", "RelevanceModel", "RelevanceTrainJob"]
