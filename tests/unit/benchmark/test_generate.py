import base64
import io
import json
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from lore_core.artifacts import ArtifactRef, verify
from lore_core.benchmark.generate import generate
from lore_core.benchmark.picture import PANEL, picture
from lore_core.benchmark.things import Offer, Thing
from lore_core.benchmark.vocabulary import BY_NAME, MOTIFS
from lore_core.benchmark.world import Scale, World
from lore_core.cli import main
from lore_core.records import read_items, read_splits
from lore_core.rules import RuleSet

TINY = Scale(train=3, tune=3, calibration=3, gate=3)


def generated(tmp: Path, seed: int) -> dict[str, ArtifactRef]:
    to = ArtifactRef(uri=(tmp / "out").as_uri())
    return dict(generate(World(seed, TINY), to, tmp / "scratch"))


def test_equal_seeds_give_equal_digests_and_others_do_not(tmp_path: Path) -> None:
    one, again, other = (generated(tmp_path / name, seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert {name: ref.digest for name, ref in one.items()} == {name: ref.digest for name, ref in again.items()}
    assert one["pairs"].digest != other["pairs"].digest
    assert one["rules"].digest is not None


def test_the_bytes_of_pairs_and_pictures_do_not_depend_on_the_machine() -> None:
    lines = "".join(
        p.model_dump_json(exclude_defaults=True)
        for s in ("general", "visual", "rules")
        for p in World(5, TINY).pairs("gate", s)
    )
    assert sha256(lines.encode()).hexdigest() == "2ba4625543f4a6e97ed13f1e3f1452047eafb0d53598bacd50b4d68f8c864098"


def test_every_part_is_an_artifact_that_reads_back(tmp_path: Path) -> None:
    refs = generated(tmp_path, 5)
    folders = {name: tmp_path / "back" / name for name in refs}
    kinds = {name: verify(ref, folders[name]).kind for name, ref in refs.items()}
    assert kinds == {
        "rules": "rule-set",
        "pairs": "pairs",
        "benchmark": "benchmark",
        "items": "items",
        "candidates": "candidates",
        "corpus": "corpus",
        "log": "query-log",
    }
    splits = read_splits(folders["pairs"])
    gate = read_splits(folders["benchmark"], ("general", "hard", "visual", "rules"))
    assert all(splits.values())
    assert all(gate.values())
    assert len(RuleSet.load(folders["rules"]).rules) == 32
    items = {item.item_id for item in read_items(folders["items"] / "items.jsonl")}
    assert {pair.item_id for pairs in (*splits.values(), *gate.values()) for pair in pairs} <= items


def test_candidates_are_the_heaviest_queries_of_the_log_with_items_that_exist(tmp_path: Path) -> None:
    refs = generated(tmp_path, 5)
    folders = {name: tmp_path / "back" / name for name in refs}
    for name, ref in refs.items():
        verify(ref, folders[name])
    counts: dict[str, int] = {}
    for line in (folders["log"] / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        counts[row["query"]] = counts.get(row["query"], 0) + row["count"]
    rows = [json.loads(line) for line in (folders["candidates"] / "candidates.jsonl").read_text().splitlines()]
    items = {item.item_id for item in read_items(folders["items"] / "items.jsonl")}
    assert min(counts[row["query"]] for row in rows[:5]) > sorted(counts.values())[len(counts) // 2]
    assert all(row["item_ids"] and set(row["item_ids"]) <= items for row in rows)


def test_the_command_prints_folder_uri_and_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lore_core.benchmark.command.SCALES", {"demo": TINY})
    assert main(["data", "generate", "--out", str(tmp_path / "out"), "--seed", "5"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    for name, uri, digest in rows:
        assert verify(ArtifactRef(uri=uri, digest=digest), tmp_path / "back" / name).digest == digest


def test_another_seed_is_never_written_over_an_artifact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lore_core.benchmark.command.SCALES", {"demo": TINY})
    assert main(["data", "generate", "--out", str(tmp_path / "out"), "--seed", "5"]) == 0
    assert main(["data", "generate", "--out", str(tmp_path / "out"), "--seed", "6"]) == 1
    assert "refusing to overwrite" in capsys.readouterr().err


def thing(kind: str, colour: str, pattern: str, count: str) -> Thing:
    return Thing(kind, {"colour": colour, "pattern": pattern, "count": count})


def pixels(main_thing: Thing) -> Image.Image:
    other = thing("circle", "red", "plain", "x1")
    data = base64.b64decode(picture(Offer("i", main_thing, other, "s", pictured=True)))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.convert("RGB")


@pytest.mark.parametrize("count", ["x1", "x4", "x10"])
@pytest.mark.parametrize("dimension", ["kind", "colour", "pattern"])
def test_pictures_of_different_things_look_different(dimension: str, count: str) -> None:
    things = {
        "kind": [thing(kind, "blue", "plain", count) for kind in MOTIFS],
        "colour": [thing("star", colour, "plain", count) for colour in BY_NAME["colour"].values],
        "pattern": [thing("square", "blue", pattern, count) for pattern in BY_NAME["pattern"].values],
    }[dimension]
    assert len({pixels(entry).tobytes() for entry in things}) == len(things)


def test_a_picture_shows_as_many_motifs_as_it_says() -> None:
    for number in range(1, 11):
        left = pixels(thing("square", "black", "plain", f"x{number}")).crop((0, 0, PANEL - 1, PANEL))
        assert _islands(left) == number


def _islands(image: Image.Image) -> int:
    dark = {(x, y) for x in range(image.width) for y in range(image.height) if image.getpixel((x, y)) == (15, 15, 15)}
    count = 0
    while dark:
        count += 1
        edge = [dark.pop()]
        while edge:
            x, y = edge.pop()
            near = {(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)} & dark
            dark -= near
            edge += near
    return count
