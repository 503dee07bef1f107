"""Whatever happens to the operator, the end is the same: no child twice, nothing lost, at rest nothing written."""

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from unit.plan import test_evaluation, test_trainjob
from unit.plan.world import Crash, World, digest

Event = Callable[[World], None]
MINUTE = timedelta(minutes=1)


def train_story() -> tuple[World, list[Event]]:
    """Two stages on two nodes, one crash of a pod, one suspension, one edit."""
    return test_trainjob.world(nodes={"count": 2}), [
        lambda w: w.fail_pod("demo-sft-a1", "OOMKilled", 137),
        lambda w: w.pass_time(MINUTE),
        lambda w: test_trainjob.edit(w, suspend=True),
        lambda w: test_trainjob.edit(w, suspend=False, data={"uri": "pvc://data/edited"}),
        lambda w: w.succeed("demo-sft-a2", "a"),
        lambda w: w.succeed("demo-student-a1", "b"),
        lambda w: test_trainjob.edit(w, runPolicy={"ttlAfterFinished": "1h"}),
        lambda w: w.pass_time(60 * MINUTE),
    ]


def eval_story() -> tuple[World, list[Event]]:
    """The model comes late, the pod dies once, the verdict is reached, the children are removed."""
    w = test_evaluation.world(model_there=False, runPolicy={"maxRestarts": 1, "ttlAfterFinished": "1h"})

    def judge(w: World) -> None:
        summary = test_evaluation.summary(w, "Failed")
        w.succeed("nightly-eval-a2", "e", summary)

    return w, [
        lambda w: w.add(test_evaluation.lore()) and None,
        lambda w: w.fail_pod("nightly-eval-a1"),
        lambda w: w.pass_time(MINUTE),
        judge,
        lambda w: w.pass_time(60 * MINUTE),
    ]


STORIES = pytest.mark.parametrize("story", [train_story, eval_story], ids=["train job", "evaluation"])
Story = Callable[[], tuple[World, list[Event]]]


def moments(story: Story) -> Iterator[tuple[World, list[Event]]]:
    """The world just after each event, before any pass, with the events that are still to come."""
    w, events = story()
    for done in range(len(events) + 1):
        yield w.copy(), events[done:]
        w.settle()
        if done < len(events):
            events[done](w)


def finish(w: World, events: list[Event]) -> Any:
    """The rest of the story undisturbed; what it ends in, but for uids and times of transition."""
    w.settle()
    for event in events:
        event(w)
        w.settle()
    status = copy.deepcopy(w.resource["status"])
    for condition in status["conditions"]:
        del condition["lastTransitionTime"]
    return status, {key: without_identity(item) for key, item in w.objects.items()}


def without_identity(item: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(item)
    del found["metadata"]["uid"]
    return found


def writes_of(w: World) -> int:
    plan = w.plan()
    return len(plan.apply) + len(plan.delete) + 1


@STORIES
def test_a_crash_before_any_write_changes_nothing_about_the_end(story: Story) -> None:
    undisturbed, events = story()
    expected, created = finish(undisturbed, events), undisturbed.created
    tried = 0
    for w, rest in moments(story):
        for crash in range(writes_of(w)):
            other = w.copy()
            try:
                other.step(crash_before=crash)
            except Crash:
                tried += 1
            assert finish(other, rest) == expected
            assert other.created == created
    assert tried > len(events)


@STORIES
def test_at_rest_another_pass_writes_nothing(story: Story) -> None:
    for w, _ in moments(story):
        w.settle()
        before, events = copy.deepcopy((w.objects, w.resource)), list(w.events)
        plan = w.step()
        assert not plan.writes
        assert (before, events) == ((w.objects, w.resource), w.events)


@STORIES
def test_a_wiped_status_is_rebuilt_and_nothing_else_is_written(story: Story) -> None:
    for w, _ in moments(story):
        w.settle()
        expected = without_times(w.resource["status"])
        del w.resource["status"]
        plan = w.plan()
        assert not plan.writes
        assert without_times(plan.status) == expected


def without_times(status: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(status)
    for condition in found["conditions"]:
        del condition["lastTransitionTime"]
    return found


@STORIES
def test_a_decision_on_an_old_view_creates_nothing_twice(story: Story) -> None:
    undisturbed, events = story()
    expected, created = finish(undisturbed, events), undisturbed.created
    for (old, _), (w, rest) in itertools.pairwise(moments(story)):
        w.step(stale=old.observed())
        assert finish(w, rest) == expected
        assert w.created == created


@STORIES
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_any_series_of_crashes_and_old_views_ends_the_same(story: Story, data: st.DataObject) -> None:
    undisturbed, events = story()
    expected, created = finish(undisturbed, events), undisturbed.created
    w, rest = story()
    view = w.observed()
    for event in [*rest, lambda _: None]:
        for _ in range(data.draw(st.integers(0, 3))):
            crash = data.draw(st.none() | st.integers(0, 5))
            stale = data.draw(st.sampled_from([None, view]))
            view = w.observed()
            try:
                w.step(crash_before=crash, stale=stale)
            except Crash:
                continue
        w.settle()
        event(w)
    assert finish(w, []) == expected
    assert w.created == created


def test_a_story_really_has_what_it_claims() -> None:
    w, events = train_story()
    status, objects = finish(w, events)
    assert status["restarts"] == 1
    assert {item["type"] for item in status["conditions"]} >= {"Complete", "SpecDrift"}
    assert not [key for key in objects if key.kind == "Job"]
    assert w.find("RelevanceModel", "lore")["spec"]["digest"] == digest("a")


def test_a_job_that_ended_and_was_removed_does_not_run_again_for_an_old_view_that_lacks_it() -> None:
    w, events = train_story()
    w.settle()
    seen = w.observed()
    old = replace(seen, children={key: item for key, item in seen.children.items() if key.kind != "Job"})
    finish(w, events)

    w.step(stale=old)

    assert w.names("Job") == []
