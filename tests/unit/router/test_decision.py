"""The routing order of ADR 0002, as a table and as properties."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.router.config import RouterConfig, Stratum, Tiers
from lore_core.router.decision import SLOTS, chain, choose, slot

STRATUM = st.sampled_from(["head", "torso", "tail"])


def ref(letter: str) -> dict[str, Any]:
    return {"uri": f"pvc://claim/{letter}", "digest": "sha256:" + letter * 64}


def predictor(*fallback: str) -> dict[str, Any]:
    model = {"url": "http://backend", "modelName": "m", "kit": ref("b"), "route": "Completions", "deadlineMs": 100}
    return {"predictor": model | {"fallback": fallback}}


def config(stable: dict[str, int], candidate: dict[str, int] | None = None) -> RouterConfig:
    compositions = [{"revision": "stable", "weights": stable}]
    if candidate is not None:
        compositions.append({"revision": "candidate", "weights": candidate})
    common = {"strata": ref("a"), "tiers": {"tail": predictor()}}
    values = {"deployment": "d", "stable": "stable", "compositions": [c | common for c in compositions]}
    return RouterConfig.model_validate(values)


def split(weight: int) -> RouterConfig:
    names = ("head", "torso", "tail")
    return config(dict.fromkeys(names, 100 - weight), dict.fromkeys(names, weight))


ALL = {"head": 100, "torso": 100, "tail": 100}
NONE = {"head": 0, "torso": 0, "tail": 0}


@pytest.mark.parametrize(
    ("stable_weights", "candidate_weights", "stable_says", "candidate_says", "answers", "by_tier"),
    [
        # alone, the stable composition answers whatever it is
        (ALL, None, "tail", "tail", "stable", "tail"),
        # a candidate without weight is only loaded
        (ALL, NONE, "head", "tail", "stable", "head"),
        # the weight is that of the stratum the stable snapshot gives ...
        (
            {"head": 100, "torso": 100, "tail": 0},
            {"head": 0, "torso": 0, "tail": 100},
            "tail",
            "head",
            "candidate",
            "head",
        ),
        # ... not of the one the candidate's snapshot gives
        (
            {"head": 100, "torso": 100, "tail": 0},
            {"head": 0, "torso": 0, "tail": 100},
            "head",
            "tail",
            "stable",
            "head",
        ),
        # the chosen composition's own snapshot decides the tier
        (NONE, ALL, "torso", "head", "candidate", "head"),
        (NONE, ALL, "head", "torso", "candidate", "torso"),
    ],
)
def test_the_routing_table(
    stable_weights: dict[str, int],
    candidate_weights: dict[str, int] | None,
    stable_says: Stratum,
    candidate_says: Stratum,
    answers: str,
    by_tier: Stratum,
) -> None:
    says = {"stable": stable_says, "candidate": candidate_says}
    choice = choose(config(stable_weights, candidate_weights), "any query", lambda revision: says[revision])
    assert (choice.composition.revision, choice.weight_stratum, choice.stratum) == (answers, stable_says, by_tier)


@given(st.text(max_size=20), st.integers(0, 100), st.integers(0, 100), STRATUM)
def test_raising_a_weight_never_moves_a_query_back(key: str, one: int, other: int, stratum: Stratum) -> None:
    low, high = sorted((one, other))
    before = choose(split(low), key, lambda _: stratum).composition.revision
    after = choose(split(high), key, lambda _: stratum).composition.revision
    assert not (before == "candidate" and after == "stable")


@pytest.mark.parametrize("weight", [1, 10, 50, 99])
def test_the_share_of_queries_is_the_weight(weight: int) -> None:
    chosen = sum(
        choose(split(weight), f"query {n}", lambda _: "tail").composition.revision == "candidate" for n in range(20_000)
    )
    assert chosen / 20_000 == pytest.approx(weight / 100, abs=0.012)


def test_weights_of_0_and_100_have_no_exceptions() -> None:
    keys = [f"query {n}" for n in range(5_000)]
    assert {choose(split(0), key, lambda _: "tail").composition.revision for key in keys} == {"stable"}
    assert {choose(split(100), key, lambda _: "tail").composition.revision for key in keys} == {"candidate"}


def test_by_bucket_a_user_keeps_one_composition_whatever_is_asked_and_without_a_bucket_the_query_counts() -> None:
    by_bucket = split(50).model_copy(update={"split_by": "Bucket"})
    queries = [f"query {number}" for number in range(200)]

    def chosen(query: str, bucket: str) -> str:
        return choose(by_bucket, query, lambda _: "tail", bucket).composition.revision

    of_users = {
        user: {chosen(query, user) for query in queries} for user in ("u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8")
    }
    assert all(len(revisions) == 1 for revisions in of_users.values())
    assert len(set().union(*of_users.values())) == 2
    by_query = split(50)
    assert [chosen(query, "") for query in queries] == [
        choose(by_query, query, lambda _: "tail", "u1").composition.revision for query in queries
    ]


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_a_slot_depends_on_nothing_but_key_and_rollout(key: str, revision: str) -> None:
    assert slot(key, revision) == slot(key, revision)
    assert 0 <= slot(key, revision) < SLOTS


def test_each_rollout_begins_with_other_queries() -> None:
    keys = [f"query {n}" for n in range(2_000)]
    first = {key for key in keys if slot(key, "r2") < SLOTS // 10}
    second = {key for key in keys if slot(key, "r3") < SLOTS // 10}
    assert len(first & second) < len(first) / 2


CACHED = {"cache": {"onMiss": "torso"}}


@pytest.mark.parametrize(
    ("tiers", "stratum", "cached", "predictors"),
    [
        ({"head": CACHED, "torso": predictor("tail"), "tail": predictor("torso")}, "head", True, ("torso", "tail")),
        ({"head": CACHED, "torso": predictor("tail"), "tail": predictor("torso")}, "torso", False, ("torso", "tail")),
        ({"head": CACHED, "torso": predictor("tail"), "tail": predictor("torso")}, "tail", False, ("tail", "torso")),
        ({"head": {"cache": {"onMiss": "tail"}}, "tail": predictor()}, "head", True, ("tail",)),
        ({"torso": predictor(), "tail": predictor()}, "head", False, ("torso",)),
        ({"tail": predictor()}, "torso", False, ("tail",)),
        ({"head": predictor("torso"), "torso": predictor(), "tail": predictor()}, "head", False, ("head", "torso")),
    ],
)
def test_the_tiers_tried_in_order(
    tiers: dict[str, Any], stratum: Stratum, cached: bool, predictors: tuple[str, ...]
) -> None:
    found = chain(Tiers.model_validate(tiers), stratum)
    assert (found.cached, found.predictors) == (cached, predictors)
