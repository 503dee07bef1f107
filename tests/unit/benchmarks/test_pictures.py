"""The arms of `python -m benchmarks.pictures`: what each is shown, and when a yardstick counts as missed."""

from benchmarks.pictures.arms import BLANK, Arm, shown
from benchmarks.pictures.compare import Score, missed, scores, summary, table, tabled
from benchmarks.pictures.runs import SUBSETS, pairs_of
from lore_core.benchmark.world import Scale, World
from lore_core.evaluation.bootstrap import Interval
from lore_core.evaluation.table import PairTable
from lore_core.records import LABELS
from lore_core.records.picture import size

PAIRS = pairs_of(World(17, Scale(1, 1, 1, 2)), "gate")
PICTURED = [place for place, pair in enumerate(PAIRS) if pair.image_base64]


def test_arms_differ_in_the_picture_alone() -> None:
    for arm in Arm:
        arms_own = shown(PAIRS, arm, 5)
        assert arms_own == shown(PAIRS, arm, 5)
        assert [pair.model_copy(update={"image_base64": ""}) for pair in arms_own] == [
            pair.model_copy(update={"image_base64": ""}) for pair in PAIRS
        ]
        bare = [pair for pair in arms_own if not pair.needs.image]
        assert bare == [pair for pair in PAIRS if not pair.needs.image]


def test_each_arm_is_shown_what_its_name_says() -> None:
    import base64

    images = {arm: [shown(PAIRS, arm, 5)[place].image_base64 for place in PICTURED] for arm in Arm}
    own = [PAIRS[place].image_base64 for place in PICTURED]
    assert images[Arm.PICTURE] == own
    assert set(images[Arm.BLANK]) == {BLANK}
    assert size(base64.b64decode(BLANK)) == size(base64.b64decode(own[0]))
    assert set(images[Arm.CAPTION]) == {""}
    assert set(images[Arm.SHUFFLED]) == set(own)
    by_item = {(PAIRS[place].item_id, image) for place, image in zip(PICTURED, images[Arm.SHUFFLED], strict=True)}
    assert len(by_item) == len({PAIRS[place].item_id for place in PICTURED})
    assert not any(one == other for one, other in zip(own, images[Arm.SHUFFLED], strict=True))


def answered(right: bool) -> PairTable:
    """Every pair answered with its gold label, or all of a query with one."""
    return tabled({17: [(pair, LABELS.index(pair.groundtruth) if right else 3) for pair in PAIRS]})


def test_a_model_that_looks_reaches_every_yardstick() -> None:
    blind = {arm: answered(arm in (Arm.PICTURE, Arm.CAPTION)) for arm in Arm}
    found = scores(blind)
    assert missed(found) == []
    lines = table(found).splitlines()
    assert [line.split("  ")[0].strip() for line in lines if line.startswith(tuple(Arm))] == [*Arm, *Arm]
    assert "blank                      0.500" in table(found)
    assert "+0.500" in table(found)


def test_what_is_missed_is_named() -> None:
    found = scores({arm: answered(arm is not Arm.PICTURE) for arm in Arm})
    said = missed(found)
    assert [line.split(":")[0] for line in said] == ["picture", "blank", "shuffled picture", "picture"]
    narrow = [Score(subset, arm, 0.9, Interval(0.45, 0.55), 0.0, None, 24, 6) for subset in SUBSETS for arm in Arm]
    assert missed(narrow) == []


def test_queries_of_several_seeds_stand_apart_in_one_table() -> None:
    right = [(pair, LABELS.index(pair.groundtruth)) for pair in PAIRS]
    wrong = [(pair, 3 - LABELS.index(pair.groundtruth)) for pair in PAIRS]
    one, both = tabled({17: right}), tabled({17: right, 18: wrong})
    assert (len(both), both.queries) == (2 * len(one), 2 * one.queries)
    assert summary(both) == "visual: 0.500  general: 0.500"
