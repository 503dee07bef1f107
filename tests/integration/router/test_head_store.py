"""Head scores in a real Redis server: the same hits and misses as a generation, and never an error or a foreign score."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from integration.router.world import HEAD_SCORES, ITEMS, QUERIES, RunningRouter, World

from lore_core.cli import main
from lore_core.headcache import HeadEntry, content_hash, item_hash
from lore_core.headcache.generation import generation_bytes, head_query_hash
from lore_core.headcache.redis_store import query_key_of
from lore_core.headcache.reuse import Scorer
from lore_core.prompts import ModelKit

PROFILE = "sha256:" + "7" * 64
QUERY = QUERIES["head"]


class Server:
    """A redis-server on a port of its own, with nothing on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._command = [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options,
        ]  # fmt: skip
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
        raise RuntimeError("redis-server did not start; hack/debian-packages.txt names its package")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("redis"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def store(server: Server) -> Server:
    """The server, empty."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server


def with_store(world: World, url: str, **more: Any) -> dict[str, Any]:
    given = {"url": url, "profile": PROFILE, "timeoutMs": 500, **more}
    return world.composition(head=None, headStore=given)


def scorer(world: World) -> Scorer:
    kit = ModelKit.load(world.warehouse.root / "made-5")
    return Scorer(world.llm.digest, kit.contract.prompt_digest, "", PROFILE)


def generation(world: World, scored_by: Scorer, scores: tuple[float, ...] = HEAD_SCORES) -> str:
    """The world's head as a published generation; its uri."""
    entries = [
        HeadEntry(head_query_hash(QUERY, ""), item_hash(name), content_hash(ITEMS[name]), scores)
        for name in ("i1", "i2")
    ]
    described = {"scorer": scored_by.description(), "calibration": {"temperature": "1", "grades": ["1", "2", "3", "4"]}}
    files = {"head.bin": generation_bytes(entries), "head.json": json.dumps(described).encode()}
    return world.warehouse.publish("head", files).uri


async def pushed(world: World, store: Server, *more: str, **kinds: Any) -> None:
    uri = generation(world, kinds.pop("scored_by", scorer(world)), **kinds)
    words = ["head", "push", "--generation", uri, "--store", store.url, *more]
    assert await asyncio.to_thread(main, words) == 0


QUESTIONS: list[tuple[str, list[Any]]] = [
    (QUERY, ["i1", "i2"]),
    (QUERY, ["i1", "i3"]),
    (QUERY, [{"id": "i1", "title": "another title"}, "i2"]),
    (QUERIES["torso"], ["i1"]),
    (QUERY, ["i1"]),
]


@pytest.mark.parametrize("policy", ["PerQuery", "PerItem"])
async def test_it_answers_as_the_same_entries_in_a_generation_do(
    router: RunningRouter, world: World, store: Server, policy: str
) -> None:
    async def answers(composition: dict[str, Any]) -> tuple[list[Any], list[float]]:
        await router.serve(world.config(composition, tierPolicy=policy))
        before = [await router.metric("lore_router_head_pairs_total", result=r) for r in ("hit", "stale", "miss")]
        found = [await router.ask(query, *items) for query, items in QUESTIONS]
        texts = {"query": QUERY, "documents": ["blue shirt", "kettle"]}
        found.append((await router.client.post("/v1/rerank", json=texts)).json())
        after = [await router.metric("lore_router_head_pairs_total", result=r) for r in ("hit", "stale", "miss")]
        kept = [{k: v for k, v in one.items() if k not in ("latency_ms", "id")} for one in found]
        return kept, [b - a for a, b in zip(before, after, strict=True)]

    await pushed(world, store)
    of_generation = await answers(world.composition())
    of_store = await answers(with_store(world, store.url))

    assert of_store == of_generation
    assert of_store[1] == [6, 1, 2]


async def test_scores_of_another_model_prompt_rule_set_or_profile_are_never_seen(
    router: RunningRouter, world: World, store: Server
) -> None:
    ours = scorer(world)
    for change in ({"model": "x"}, {"prompt": "x"}, {"rules": "x"}, {"profile": "x"}, {"normaliser": 99}):
        await pushed(world, store, scored_by=Scorer(**(ours.description() | change)))
    await router.serve(world.config(with_store(world, store.url)))

    assert (await router.ask(QUERY, "i1"))["tier"] == "torso"


async def test_a_pushed_score_is_served_at_once_and_forgotten_when_it_expires(
    router: RunningRouter, world: World, store: Server
) -> None:
    await router.serve(world.config(with_store(world, store.url)))
    assert (await router.ask(QUERY, "i1"))["tier"] == "torso"
    await pushed(world, store, "--expire", "3600")
    assert (await router.ask(QUERY, "i1"))["items"][0]["probabilities"] == list(HEAD_SCORES)
    other = (1.0, 0.0, 0.0, 0.0)
    await pushed(world, store, "--expire", "3600", scores=other)
    assert (await router.ask(QUERY, "i1"))["items"][0]["probabilities"] == list(other)
    with redis.Redis.from_url(store.url) as client:
        key = query_key_of(scorer(world), head_query_hash(QUERY, ""))
        assert 0 < client.ttl(key) <= 3600
        client.pexpire(key, 1)
        while client.exists(key):
            pass
    assert (await router.ask(QUERY, "i1"))["tier"] == "torso"


@pytest.mark.parametrize("value", [b"", b"x" * 24, b"\x00" * 24, b"\x00" * 25, b"\xff" * 24])
async def test_what_is_no_entry_is_a_miss(router: RunningRouter, world: World, store: Server, value: bytes) -> None:
    await pushed(world, store)
    with redis.Redis.from_url(store.url) as client:
        key = query_key_of(scorer(world), head_query_hash(QUERY, ""))
        client.hset(key, f"i{item_hash('i1'):016x}", value)
    await router.serve(world.config(with_store(world, store.url)))

    assert (await router.ask(QUERY, "i1"))["tier"] == "torso"
    assert (await router.ask(QUERY, "i2"))["tier"] == "head"


async def test_a_store_that_hangs_or_is_gone_costs_a_counted_miss_and_no_answer(
    router: RunningRouter, world: World, tmp_path: Path
) -> None:
    own = Server(tmp_path)
    own.start()
    try:
        await pushed(world, own)
        await router.serve(world.config(with_store(world, own.url, timeoutMs=50)))
        assert (await router.ask(QUERY, "i1"))["tier"] == "head"
        assert own.process is not None
        own.process.send_signal(signal.SIGSTOP)
        assert (await router.ask(QUERY, "i1"))["tier"] == "torso"
        assert (
            await router.metric("lore_router_fallbacks_total", stratum="head", tier="head", reason="TimeoutError") == 1
        )
        own.stop()
        assert (await router.ask(QUERY, "i1"))["tier"] == "torso"
        assert (
            await router.metric("lore_router_fallbacks_total", stratum="head", tier="head", reason="ConnectionError")
            == 1
        )
        own.start()
        await pushed(world, own)
        assert (await router.ask(QUERY, "i1"))["tier"] == "head"
    finally:
        own.stop()


async def test_a_password_is_read_from_the_mounted_secret(
    router: RunningRouter, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "password").write_text("open sesame\n")
    own = Server(tmp_path, "--requirepass", "open sesame")
    own.start()
    try:
        uri = generation(world, scorer(world))
        words = ["head", "push", "--generation", uri, "--store", own.url]
        assert await asyncio.to_thread(main, words) == 1
        assert "AuthenticationError" in capsys.readouterr().err
        await pushed(world, own, "--store-credentials", str(tmp_path))
        await router.serve(world.config(with_store(world, own.url, credentials=str(tmp_path))))
        assert (await router.ask(QUERY, "i1"))["tier"] == "head"
    finally:
        own.stop()


async def test_a_generation_without_a_scorer_is_not_pushed(
    world: World, store: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["head", "push", "--generation", world.head.uri, "--store", store.url]
    assert await asyncio.to_thread(main, words) == 1
    assert "names no scorer" in capsys.readouterr().err
