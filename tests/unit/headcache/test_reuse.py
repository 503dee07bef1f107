"""Only pairs whose item, content or scorer changed are scored again, and a wrong hint is never believed."""

import json
from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactRef, publish
from lore_core.headcache import Features, HeadEntry, HeadGeneration
from lore_core.headcache.candidates import Candidate, Wanted, wanted_pairs
from lore_core.headcache.generation import generation_bytes
from lore_core.headcache.job import _split
from lore_core.headcache.reuse import Scorer, newest_generation, remember

ITEMS = {"i1": Features("red shirt"), "i2": Features("blue shirt"), "i3": Features("lamp")}
SCORER = Scorer(model="sha256:m", prompt="p1", rules="", profile="sha256:q")
SCORES = (0.125, 0.25, 0.5, 0.125)


@pytest.fixture
def workspace(tmp_path: Path) -> ArtifactRef:
    return ArtifactRef(uri=f"file://{tmp_path}/workspace")


def wanted(items: dict[str, Features] = ITEMS, *ids: str) -> Wanted:
    return wanted_pairs(iter([Candidate(query="shirt", item_ids=ids or tuple(items))]), items)


def made(workspace: ArtifactRef, folder: Path, scorer: Scorer = SCORER) -> ArtifactRef:
    """A generation with every pair of ITEMS but i3."""
    folder.mkdir()
    entries = [HeadEntry(p.query, p.item, p.content, SCORES) for p in wanted(ITEMS, "i1", "i2").pairs]
    (folder / "head.bin").write_bytes(generation_bytes(entries))
    (folder / "head.json").write_text(json.dumps({"scorer": scorer.description()}))
    return publish(folder, workspace.child("heads/one"), "head")


def found(workspace: ArtifactRef, folder: Path, scorer: Scorer = SCORER) -> HeadGeneration | None:
    return newest_generation(workspace, scorer, folder)


def test_only_new_and_changed_items_are_left_to_score(workspace: ArtifactRef, tmp_path: Path) -> None:
    remember(workspace, SCORER, made(workspace, tmp_path / "made"))
    now = ITEMS | {"i2": Features("blue shirt, large")}
    known, changed = _split(wanted(now), found(workspace, tmp_path / "fetched"))
    assert [pair.record.title for pair in changed.pairs] == ["blue shirt, large", "lamp"]
    assert [(entry.item, entry.probabilities) for entry in known] == [(wanted(ITEMS, "i1").pairs[0].item, SCORES)]


def test_an_equal_workspace_leaves_nothing_to_score(workspace: ArtifactRef, tmp_path: Path) -> None:
    remember(workspace, SCORER, made(workspace, tmp_path / "made"))
    known, changed = _split(wanted(ITEMS, "i1", "i2"), found(workspace, tmp_path / "fetched"))
    assert (len(known), changed.pairs) == (2, ())


@pytest.mark.parametrize(
    "other",
    [
        Scorer("sha256:other", "p1", "", "sha256:q"),
        Scorer("sha256:m", "p2", "", "sha256:q"),
        Scorer("sha256:m", "p1", "sha256:rules", "sha256:q"),
        Scorer("sha256:m", "p1", "", "sha256:other"),
    ],
)
def test_another_model_prompt_rule_set_or_profile_reuses_nothing(
    workspace: ArtifactRef, tmp_path: Path, other: Scorer
) -> None:
    remember(workspace, SCORER, made(workspace, tmp_path / "made"))
    assert found(workspace, tmp_path / "fetched", other) is None


def test_a_hint_at_a_generation_of_another_scorer_is_not_believed(workspace: ArtifactRef, tmp_path: Path) -> None:
    other = Scorer("sha256:other", "p1", "", "sha256:q")
    remember(workspace, SCORER, made(workspace, tmp_path / "made", other))
    assert found(workspace, tmp_path / "fetched") is None


@pytest.mark.parametrize("damage", ["head.bin", "lore-manifest.json", "hint", "gone"])
def test_a_damaged_generation_or_hint_is_not_used_and_said(
    workspace: ArtifactRef, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    remember(workspace, SCORER, made(workspace, tmp_path / "made"))
    folder, name = SCORER.pointer(workspace)
    one = Path(workspace.uri.removeprefix("file://")) / "heads/one"
    if damage == "hint":
        Path(folder.uri.removeprefix("file://"), name).write_text('{"uri": "file')
    elif damage == "gone":
        (one / "head.bin").unlink()
    else:
        (one / damage).write_bytes((one / damage).read_bytes()[:-3])
    assert found(workspace, tmp_path / "fetched") is None
    assert damage == "gone" or "the earlier generation is not used" in capsys.readouterr().err


def test_a_first_job_finds_nothing(workspace: ArtifactRef, tmp_path: Path) -> None:
    assert found(workspace, tmp_path / "fetched") is None
