"""What `lore gc` lets go: never what something names, nor what that was made from."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lore_core.artifacts.retention import COMPARED, KEY_DIGITS, SERVES, Item, Kind, Named, judge

NOW = datetime(2026, 11, 8, tzinfo=UTC)
AGE = timedelta(days=1)
OLD = NOW - timedelta(days=30)
WORKSPACE = "s3://team/runs"
PLACES = {
    Kind.MODEL: "stages/{}/model",
    Kind.PAIRS: "stages/{}/pairs",
    Kind.CHECKPOINTS: "stages/{}/checkpoints",
    Kind.HEAD: "heads/{}",
    Kind.STRATA: "strata/{}",
    Kind.EVIDENCE: "evidence/{}",
    Kind.ANSWERS: "answers/{}",
}


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def input_key(number: int) -> str:
    return f"sha256:{number:020x}{'f' * 44}"


def item(
    kind: Kind, number: int, made: int | None = None, inputs: tuple[int, ...] = (), written: datetime = OLD
) -> Item:
    key = f"{number:020x}"
    named = digest(made) if made is not None and kind not in SERVES else None
    return Item(PLACES[kind].format(key), kind, key, 10, written, named, frozenset(map(digest, inputs)))


def gone(*items: Item, documents: tuple[object, ...] = (), now: datetime = NOW) -> list[str]:
    return [found.item.path for found in judge(items, Named.by(documents), WORKSPACE, now, AGE) if found.goes]


MODEL = item(Kind.MODEL, 1, made=100)


def test_what_nothing_names_goes() -> None:
    assert gone(MODEL) == [MODEL.path]


@pytest.mark.parametrize(
    "document",
    [
        {"spec": {"digest": digest(100)}},
        {"status": {"stages": [{"result": {"uri": f"{WORKSPACE}/{MODEL.path}"}}]}},
        {"spec": {"tiers": [{"uri": f"{WORKSPACE}/{MODEL.path}/"}]}},
        {"uri": f"{WORKSPACE}/{MODEL.path}/model.safetensors"},
        {"uri": f"{WORKSPACE}/stages/{MODEL.key}"},
        {"data": {"config.json": f'{{"inputKey": "{input_key(1)}"}}'}},
        {"data": {"router.json": f'{{"compositions": [{{"model": {{"digest": "{digest(100)}"}}}}]}}'}},
        {"metadata": {"annotations": {"last-applied": f"model at {digest(100)}"}}},
    ],
    ids=["digest", "uri", "uri with a slash", "a file of it", "its folder", "the work's key", "text of JSON", "words"],
)
def test_what_is_named_anywhere_stays(document: object) -> None:
    assert gone(MODEL, documents=(document,)) == []


@pytest.mark.parametrize(
    "document", [{"uri": WORKSPACE}, {"uri": f"{WORKSPACE}/"}, {"uri": "s3://team/runs-2/stages"}, {"uri": "s3://team"}]
)
def test_the_workspace_itself_names_nothing_in_it(document: object) -> None:
    assert gone(MODEL, documents=(document,)) == [MODEL.path]


def test_evidence_keeps_the_model_that_it_judges_and_what_that_was_made_from() -> None:
    pairs, student = item(Kind.PAIRS, 2, made=101), item(Kind.MODEL, 3, made=102, inputs=(100, 101))
    evidence = item(Kind.EVIDENCE, 4, made=103, inputs=(102,))
    everything = (MODEL, pairs, student, evidence)

    assert gone(*everything, documents=({"evidence": {"digest": digest(103)}},)) == []
    assert gone(*everything, documents=({"digest": digest(102)},)) == [evidence.path]


def test_of_a_snapshot_a_day_those_stay_that_a_deployment_or_its_history_names() -> None:
    """Each was set beside the one before it: that is no reason to keep a year of them."""
    days = [item(Kind.STRATA, n, made=100 + n, inputs=(99 + n,)) for n in range(1, 5)]
    serving = {"kind": "RelevanceDeployment", "status": {"strata": {"result": {"digest": digest(104)}}}}
    history = {"kind": "ControllerRevision", "data": {"strata": {"uri": f"{WORKSPACE}/{days[1].path}"}}}

    assert gone(*days, documents=(serving, history)) == [days[0].path, days[2].path]


def test_a_snapshot_that_a_build_has_begun_to_write_stays() -> None:
    torn = item(Kind.STRATA, 6)

    assert gone(torn, documents=({"data": {"config.json": f'{{"inputKey": "{input_key(6)}"}}'}},)) == []
    assert gone(torn) == [torn.path]


@pytest.mark.parametrize("kind", SERVES)
def test_what_a_result_was_made_from_goes_once_the_result_is_there(kind: Kind) -> None:
    served, key = item(kind, 5), {"inputKey": input_key(5)}
    torn, whole = item(SERVES[kind], 5), item(SERVES[kind], 5, made=104)

    assert gone(served, documents=(key,)) == []
    assert gone(served, torn, documents=(key,)) == []
    assert gone(served, whole, documents=(key,)) == [served.path]
    assert gone(served) == [served.path], "nobody does this work any more"


def test_what_is_not_whole_stays_while_somebody_writes_it() -> None:
    torn = item(Kind.HEAD, 6)

    assert gone(torn, documents=({"inputKey": input_key(6)},)) == []
    assert gone(torn) == [torn.path]


def test_what_is_young_stays_and_so_does_what_has_no_age() -> None:
    young = MODEL._replace(written=NOW - AGE + timedelta(seconds=1))

    assert gone(young) == []
    assert gone(young, now=NOW + timedelta(seconds=1)) == [young.path]
    assert gone(MODEL._replace(written=None)) == []


ITEMS = st.lists(
    st.builds(
        item,
        st.sampled_from(Kind),
        st.integers(0, 5),
        st.none() | st.integers(0, 9),
        st.lists(st.integers(0, 9), max_size=3).map(tuple),
        st.sampled_from([OLD, NOW]),
    ),
    max_size=12,
    unique_by=lambda found: found.path,
)
NAMED = st.builds(
    lambda digests, keys, paths: {
        "digests": [digest(number) for number in digests],
        "keys": [input_key(number) for number in keys],
        "uris": [f"{WORKSPACE}/{PLACES[kind].format(f'{number:020x}')}" for kind, number in paths],
    },
    st.lists(st.integers(0, 9), max_size=2),
    st.lists(st.integers(0, 5), max_size=2),
    st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 5)), max_size=2),
)


@given(items=ITEMS, document=NAMED)
def test_nothing_that_can_be_reached_ever_goes_and_what_is_left_is_at_rest(items: list[Item], document: dict) -> None:
    going = {found.item.path for found in judge(items, Named.by([document]), WORKSPACE, NOW, AGE) if found.goes}
    left = [one for one in items if one.path not in going]

    named = set(document["digests"])
    keys = {text.removeprefix("sha256:")[:KEY_DIGITS] for text in (*document["digests"], *document["keys"])}
    uris = {uri.removeprefix(f"{WORKSPACE}/") for uri in document["uris"]}
    whole = [one for one in items if one.digest]
    while True:  # by brute force: everything that is named, then what that names, until nothing is new
        reached = [one for one in whole if one.digest in named or one.key in keys or one.path in uris]
        more = {text for one in reached if one.kind not in COMPARED for text in one.inputs} - named
        if not more:
            break
        named |= more

    assert not {one.path for one in reached} & going
    assert not [one.path for one in items if one.written == NOW and one.path in going]
    results = {(one.kind, one.key) for one in whole}
    for one in items:
        if one.kind in SERVES and one.key in keys and (SERVES[one.kind], one.key) not in results:
            assert one.path not in going, "the work goes on from it"
    assert not [found for found in judge(left, Named.by([document]), WORKSPACE, NOW, AGE) if found.goes]
