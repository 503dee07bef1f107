"""`lore route replay`: two routers, or two compositions of one router.json, asked the same."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from integration.router.world import QUERIES, TAIL_SCORES, Backend, RunningRouter, World, running_backend

from lore_core.cli import main
from lore_core.router.config import RouterConfig

HOSTILE = "</td><script>alert(1)</script>\u202egnp"
BETTER = (0.0, 0.0, 0.0, 1.0)


def written(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


async def replay(*arguments: str | Path) -> int:
    """The command, as a user runs it, while the routers of this test answer."""
    return await asyncio.to_thread(main, ["route", "replay", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return written(
        tmp_path / "log.jsonl",
        {"query": QUERIES["head"], "items": [{"id": "i1"}, {"id": "i2"}]},
        {"query": QUERIES["torso"], "items": [{"id": "i1"}]},
        {"query": QUERIES["tail"], "items": [{"id": "i3"}, {"id": "x", "title": HOSTILE}]},
    )


async def test_two_compositions_of_a_router_json_are_compared_by_stratum(
    world: World, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_backend(Backend(BETTER)) as better:
        changed = world.composition("r2", 0)
        changed["tiers"]["tail"]["predictor"]["url"] = better.url
        config = world.config(world.composition("r1", 100), changed)
        file = tmp_path / "router.json"
        file.write_text(config.model_dump_json(by_alias=True))
        page, figures = tmp_path / "page.html", tmp_path / "figures.json"
        status = await replay(log, "--before", file, "--after", f"{file}#r2", "--page", page, "--json", figures)
    assert status == 0, capsys.readouterr().err
    found = json.loads(figures.read_text())
    assert found["revisions"] == {"before": {"r1": 3}, "after": {"r2": 3}}
    strata = found["strata"]
    assert {name: strata[name]["changedLabels"] for name in strata} == {"head": 0, "torso": 0, "tail": 2}
    assert strata["tail"]["meanGradeDifference"] == pytest.approx(
        4 - sum((n + 1) * p for n, p in enumerate(TAIL_SCORES))
    )
    assert found["labels"][0] == {"before": "L1", "after": "L4", "items": 2}
    assert found["tiers"] == [{"before": s, "after": s, "requests": 1} for s in ("head", "tail", "torso")]
    shown = page.read_text()
    assert "L1 → L4" in shown
    assert "<script" not in shown
    assert "<bdi>&lt;/td&gt;&lt;script&gt;" in shown, "hostile text is shown, and its direction stays its own"


async def test_a_router_is_asked_by_its_address(ready: RunningRouter, world: World, log: Path, tmp_path: Path) -> None:
    file = tmp_path / "router.json"
    file.write_text(world.config().model_dump_json(by_alias=True))
    figures = tmp_path / "figures.json"
    assert await replay(log, "--before", f"http://127.0.0.1:{ready.port}", "--after", file, "--json", figures) == 0
    found = json.loads(figures.read_text())
    assert (found["requests"], found["failed"]) == (3, {"before": 0, "after": 0})
    assert all(entry["before"] == entry["after"] for entry in found["labels"])


async def test_what_a_side_does_not_answer_is_counted_and_named(
    ready: RunningRouter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path / "log.jsonl", {"query": "red", "items": [{"id": "i1"}]})
    address = f"http://127.0.0.1:{ready.port}"
    assert await replay(log, "--before", address, "--after", "http://127.0.0.1:1") == 1
    assert "no request was answered by both sides; after: ConnectError" in capsys.readouterr().err


async def test_a_candidates_file_is_a_log_too(ready: RunningRouter, tmp_path: Path) -> None:
    log = written(tmp_path / "candidates.jsonl", {"query": QUERIES["head"], "market": "", "item_ids": ["i1", "i2"]})
    figures, address = tmp_path / "figures.json", f"http://127.0.0.1:{ready.port}"
    assert await replay(log, "--before", address, "--after", address, "--json", figures) == 0
    assert json.loads(figures.read_text())["strata"]["head"]["comparedItems"] == 2


def broken_config(world: World, tmp_path: Path, **changes: Any) -> Path:
    config = RouterConfig.model_validate(world.config().model_dump() | changes)
    file = tmp_path / "router.json"
    file.write_text(config.model_dump_json(by_alias=True))
    return file


async def test_a_side_that_cannot_be_served_is_refused_by_name(
    world: World, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = broken_config(world, tmp_path)
    lost = json.loads(whole.read_text())
    lost["compositions"][0]["items"]["uri"] = f"file://{tmp_path}/nowhere"
    torn = written(tmp_path / "torn.json", "{")
    away = written(tmp_path / "away.json", lost)
    for after, words in (
        (f"{whole}#r9", "#r9: no composition of this name; there are r1"),
        (str(torn), "torn.json: router.json: document: Invalid JSON"),
        (str(away), "away.json: sha256:"),
        (str(tmp_path / "none.json"), "none.json: [Errno 2]"),
    ):
        assert await replay(log, "--before", whole, "--after", after) == 1
        assert words in capsys.readouterr().err
