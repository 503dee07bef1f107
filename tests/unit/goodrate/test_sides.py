"""Side-by-side votes: what they say of the candidate, whatever side raters prefer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lore_core.cli import main
from lore_core.goodrate.rows import Vote
from lore_core.goodrate.sides import compared

NEW, OLD = "search-8", "search-7"


def vote(query: str, better: str | None, rater: str = "ann", left: str = NEW) -> Vote:
    right = OLD if left == NEW else NEW
    said = "same" if better is None else "left" if better == left else "right"
    return Vote(query=query, left=left, right=right, vote=said, rater=rater, guideline="guide-7")


def both_ways(query: str, better: str | None, rater: str = "ann") -> list[Vote]:
    return [vote(query, better, rater, NEW), vote(query, better, rater, OLD)]


VOTES = [
    one for number in range(40) for one in both_ways(f"q{number}", NEW if number < 20 else None if number < 30 else OLD)
]


def test_shares_and_advantage_with_an_interval_over_queries() -> None:
    found = compared(VOTES, NEW, OLD)
    assert [found[name]["value"] for name in ("good", "same", "bad", "advantage")] == [0.5, 0.25, 0.25, 0.25]
    assert found["advantage"]["low"] < 0.25 < found["advantage"]["high"]
    assert (found["votes"], found["queries"], found["raters"]) == (80, 40, 1)
    assert found["swappedAlike"] == {"pairs": 40, "share": 1.0}
    assert compared(VOTES, OLD, NEW)["advantage"]["value"] == -0.25


def test_more_raters_of_the_same_queries_are_no_more_queries() -> None:
    several = [one.model_copy(update={"rater": rater}) for one in VOTES for rater in ("ann", "bob", "cay")]
    assert compared(several, NEW, OLD)["good"] == compared(VOTES, NEW, OLD)["good"]


def test_a_liking_for_the_left_side_is_told_and_gives_the_candidate_nothing() -> None:
    shown = [NEW] * 30 + [OLD] * 10  # the candidate stood on the left more often
    found = compared([vote(f"q{number}", left, left=left) for number, left in enumerate(shown)], NEW, OLD)
    assert (found["left"]["value"], found["leftPreferred"]) == (1.0, True)
    assert (found["good"]["value"], found["advantage"]["value"]) == (0.5, 0.0)
    assert compared(VOTES, NEW, OLD)["leftPreferred"] is False


def test_the_interval_covers_the_true_advantage_as_often_as_it_says() -> None:
    generator, covered, rounds = np.random.default_rng(7), 0, 400
    for _ in range(rounds):
        better = generator.random(60) < 0.6  # of queries; raters err in one of ten votes
        votes = [
            vote(
                f"q{query}",
                NEW if better[query] ^ (generator.random() < 0.1) else OLD,
                f"r{rater}",
                (NEW, OLD)[rater % 2],
            )
            for query in range(60)
            for rater in range(4)
        ]
        found = compared(votes, NEW, OLD)["advantage"]
        covered += found["low"] <= 2 * (0.6 * 0.9 + 0.4 * 0.1) - 1 <= found["high"]
    assert covered / rounds > 0.95 - 3 * 0.011  # three standard errors of 400 rounds


@pytest.mark.parametrize(
    ("votes", "words"),
    [
        ([vote("q", NEW), vote("q", NEW)], "voted twice on 'q' with the same sides"),
        ([vote("q", NEW)], "no vote has 'search-7' on the left"),
        ([], "no vote has 'search-8' on the left"),
        ([vote("q", NEW).model_copy(update={"right": "search-6"})], "is between 'search-8' and 'search-6'"),
    ],
)
def test_votes_that_cannot_be_used_are_named(votes: list[Vote], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compared(votes, NEW, OLD)


def test_one_query_has_shares_and_no_interval() -> None:
    assert compared(both_ways("q", NEW), NEW, OLD)["good"] == {"value": 1.0, "low": None, "high": None}


def gsb(path: Path, rows: list[dict[str, Any]], *options: str) -> int:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return main(["goodrate", "gsb", str(path), "--candidate", NEW, "--base", OLD, *options])


def test_the_command_prints_them_and_names_a_bad_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [one.model_dump() for one in VOTES]
    assert gsb(tmp_path / "votes.jsonl", rows) == 0
    text = capsys.readouterr().out
    assert "search-8 beside search-7: 80 votes, 40 queries, 1 raters" in text
    assert "good      0.500  [" in text
    assert gsb(tmp_path / "votes.jsonl", rows, "--output=json") == 0
    assert json.loads(capsys.readouterr().out)["advantage"]["value"] == 0.25
    assert gsb(tmp_path / "votes.jsonl", [rows[0] | {"vote": "both"}]) == 1
    assert "votes.jsonl:1: vote" in capsys.readouterr().err
