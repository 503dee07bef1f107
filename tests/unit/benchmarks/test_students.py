"""Students and their teacher are compared pair against pair, by what serves a query, and what is missed is told."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.students.compare import ALL, HEAD, TEXT, TORSO, VISUAL, Difference, Figures, Seed, figures, verdicts
from benchmarks.students.report import report
from benchmarks.students.runs import GOLD, STUDENT, TEACHER, Lesson, Scores, shown
from lore_core.artifacts import ArtifactRef
from lore_core.benchmark.world import SUBSETS, Scale, World
from lore_core.records import LABELS, Pair

GATE = [pair for subset in SUBSETS for pair in World(11, Scale(1, 0, 0, 6)).pairs("gate", subset)]
STRATA = {query: ("head", "torso", "tail")[place % 3] for place, query in enumerate(sorted({p.query for p in GATE}))}
LESSON = Lesson(Scale(1, 1, 1, 0), steps=8, batch=4, rate="0.001", margin="0.5")
ARTIFACT = ArtifactRef(uri="file:///model")


def scores(wrong: Callable[[Pair], bool] = lambda pair: False) -> Scores:
    """Sure of gold, but of the label at the other end of the scale where it is `wrong`."""
    found = {}
    for pair in GATE:
        code = LABELS.index(pair.groundtruth)
        found[pair.id] = (np.eye(4)[3 - code if wrong(pair) else code] * 0.9 + 0.025).tolist()
    return found


def seed(student: Scores, gold: Scores, teacher: Scores) -> Seed:
    return Seed(GATE, STRATA, {TEACHER: teacher, STUDENT: student, GOLD: gold})


def test_a_student_that_answers_as_its_teacher_follows_it_everywhere() -> None:
    found = figures({17: seed(scores(), scores(), scores())})
    assert list(found) == [TORSO, HEAD, TEXT, VISUAL, ALL]
    for row in found.values():
        assert (row.to_teacher, row.agreement, row.ranking) == (Difference(0.0, 0.0, 0.0), 1.0, 1.0)


def test_an_error_is_told_in_its_own_stratum_alone_and_visual_stands_apart() -> None:
    torso = scores(lambda pair: STRATA[pair.query] == "torso" and pair.subset != "visual")
    found = figures({17: seed(torso, scores(), scores())})
    assert (found[TORSO].to_teacher.value, found[TORSO].agreement, found[TORSO].ranking) == (-1.0, 0.0, -1.0)
    assert {found[name].to_teacher.value for name in (HEAD, VISUAL)} == {0.0}
    drawn = figures({17: seed(scores(lambda pair: pair.subset == "visual"), scores(), scores())})
    assert drawn[VISUAL].to_gold.value == -1.0
    assert {drawn[name].to_gold.value for name in (TORSO, HEAD, TEXT)} == {0.0}


def test_items_are_ranked_within_one_query_of_one_market() -> None:
    # In one market everything is turned upside down: half of the lists are ranked as the teacher does, half against it.
    found = figures({17: seed(scores(lambda pair: pair.market == "north"), scores(), scores())})
    ruled = len({(pair.query, pair.market) for pair in GATE if pair.market == "north"})
    lists = len({(pair.query, pair.market) for pair in GATE})
    assert found[ALL].ranking == pytest.approx(1 - 2 * ruled / lists)


def test_seeds_are_pooled_with_queries_of_their_own() -> None:
    good, bad = seed(scores(), scores(), scores()), seed(scores(lambda pair: True), scores(), scores())
    one, two = figures({17: good}), figures({17: good, 18: bad})
    assert (two[ALL].pairs, two[ALL].queries) == (2 * one[ALL].pairs, 2 * one[ALL].queries)
    assert two[ALL].accuracy == {TEACHER: 1.0, STUDENT: 0.5, GOLD: 1.0}


ROW = Figures(
    100, 25, {TEACHER: 0.90, STUDENT: 0.9, GOLD: 0.8}, Difference(0, -0.02, 0.02), Difference(0.1, 0.001, 0.2), 0.9, 0.9
)
REACHED = {name: ROW for name in (TORSO, HEAD, TEXT, VISUAL, ALL)}


def reached(**changes: Figures) -> list[bool]:
    return [one.reached for one in verdicts(REACHED | changes)]


def test_targets_are_reached_at_their_bounds() -> None:
    assert reached() == [True] * 6


@pytest.mark.parametrize(
    ("place", "part", "change"),
    [
        (0, TORSO, {"to_teacher": Difference(0.0, -0.0201, 0.1)}),
        (1, HEAD, {"to_teacher": Difference(0.0, float("nan"), float("nan"))}),
        (2, TEXT, {"agreement": 0.899}),
        (3, TEXT, {"ranking": 0.899}),
        (4, TEXT, {"to_gold": Difference(0.1, 0.0, 0.2)}),
        (5, ALL, {"accuracy": {TEACHER: 0.899}}),
    ],
)
def test_each_target_is_missed_by_its_own_figure(place: int, part: str, change: dict[str, object]) -> None:
    assert reached(**{part: replace(ROW, **change)}) == [number != place for number in range(6)]  # type: ignore[arg-type]


def test_a_stratum_without_pairs_is_missed() -> None:
    without = {name: row for name, row in REACHED.items() if name != HEAD}
    assert [(one.figure, one.reached) for one in verdicts(without)][1] == ("no pairs", False)


def test_what_is_missed_is_printed_with_its_figure_for_each_seed_and_for_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = seed(scores(lambda pair: True), scores(), scores())
    found = report({17: bad, 18: bad}, LESSON)
    said = capsys.readouterr().out
    assert list(found["verdicts"]) == ["seed 17", "seed 18", "2 seeds together"]
    assert said.count("MISSED   4-way agreement at least 0.90: 0.000") == 3
    assert said.count("reached  teacher's Accuracy@2 at least 0.90: 1.000") == 3


def test_both_students_differ_in_the_teacher_alone() -> None:
    taught, alone = LESSON.stage(17, ARTIFACT, ARTIFACT), LESSON.stage(17, ARTIFACT, None)
    assert (taught.optimizer, taught.base, taught.student) == (alone.optimizer, alone.base, alone.student)
    assert (taught.weigh_teacher, taught.calibrate_teacher, taught.margin_weight) == (True, True, "0.5")
    assert not alone.needs_teacher


def test_students_are_shown_words_of_the_picture_and_nothing_else_of_it() -> None:
    pictured = [pair for pair in GATE if pair.needs.image]
    assert pictured
    for pair in map(shown, pictured):
        assert pair.vqa_result
        assert not pair.image_base64
        assert not pair.trace
