"""A small world to route in: artifacts on disk, a stub of vLLM's HTTP shape, and a router on a loopback port."""

import asyncio
import base64
import contextlib
import json
import math
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from lore_core.artifacts import ArtifactRef, publish
from lore_core.artifacts.manifest import canonical_json
from lore_core.headcache import Features, HeadEntry, content_hash, item_hash
from lore_core.headcache.generation import generation_bytes, head_query_hash
from lore_core.jobs.config import RuleMode
from lore_core.prompts import PromptLayout, TextEncoder, build_contract
from lore_core.router.app import RouterApp
from lore_core.router.config import PinnedRef, RouterConfig
from lore_core.router.http import HttpServer
from lore_core.router.loaded import Library
from lore_core.router.loader import Loader
from lore_core.router.metrics import RouterMetrics
from lore_core.router.shelf import Shelf
from lore_core.router.swap import Swapper
from lore_core.strata import Stratum
from lore_core.strata.snapshot import snapshot_bytes
from lore_core.training.tokenizer import build_tokenizer, vocabulary

WORDS = "red blue shirt shoe lamp kettle acme size m cotton"
ITEMS = {"i1": Features("red shirt", "acme", {"size": "m"}), "i2": Features("blue shirt"), "i3": Features("kettle")}
STRATA: dict[str, Stratum] = {"red shirt": "head", "blue shoe": "torso"}
QUERIES = {"head": "red shirt", "torso": "blue shoe", "tail": "odd lamp"}
HEAD_SCORES = (0.0, 0.125, 0.125, 0.75)
TORSO_SCORES = (0.125, 0.125, 0.5, 0.25)
TAIL_SCORES = (0.5, 0.25, 0.125, 0.125)


@dataclass
class Backend:
    """A stub with the shape of vLLM's API. `behave` replaces the answer: it gets the request and gives a response.

    `requests` are those of questions, `first` those that a router sent before it acknowledged a configuration.
    """

    scores: tuple[float, ...]
    label_ids: tuple[int, ...] = ()
    behave: Callable[[web.Request], Any] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    first: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    cancelled: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        try:
            if self.behave is not None:
                return await self.behave(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        asked = self.requests[-1]
        rows = range(prompts(asked))
        if request.path == "/classify":
            return web.json_response({"data": [{"index": row, "probs": list(self.scores)} for row in rows]})
        return web.json_response({"choices": [self._choice(asked) for _ in rows]})

    def _choice(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "logprob_token_ids" not in asked:
            return {"token_ids": [1, 2, asked["stop_token_ids"][0]]}
        logs = {f"token_id:{i}": _log(p) for i, p in zip(asked["logprob_token_ids"], self.scores, strict=True)}
        if "messages" in asked:
            return {"logprobs": {"content": [{"top_logprobs": [{"token": t, "logprob": p} for t, p in logs.items()]}]}}
        return {"logprobs": {"top_logprobs": [logs]}}


def prompts(asked: dict[str, Any]) -> int:
    """How many prompts a request holds."""
    said = asked.get("input", asked.get("prompt", [0]))
    return len(said) if isinstance(said[0], list) else 1


async def by_length(request: web.Request) -> web.Response:
    """Behaviour of a student to whom longer prompts are more relevant, and who answers a list from its end."""
    asked = await request.json()
    listed = asked["input"] if prompts(asked) > 1 else [asked["input"]]
    shares = [len(ids) / 100 for ids in listed]
    found = [{"index": row, "probs": [1 - share, 0.0, 0.0, share]} for row, share in enumerate(shares)]
    return web.json_response({"data": found[::-1]})


async def embedded(request: web.Request) -> web.Response:
    """Behaviour of a two-tower: the longer a sequence the further its vector is turned; it answers a list from its end."""
    listed = (await request.json())["input"]
    angles = [len(ids) / 30 for ids in listed]
    vectors = [struct.pack("<2f", math.cos(angle), math.sin(angle)) for angle in angles]
    found = [{"index": row, "embedding": base64.b64encode(one).decode()} for row, one in enumerate(vectors)]
    return web.json_response({"data": found[::-1]})


def _log(probability: float) -> float:
    return math.log(probability) if probability else -1e9


@contextlib.asynccontextmanager
async def running_backend(backend: Backend) -> AsyncIterator[Backend]:
    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/{path:.*}", backend.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    backend.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield backend
    finally:
        await runner.cleanup()


class Warehouse:
    """Publishes artifacts below a folder, as other stages of the platform would."""

    def __init__(self, root: Path) -> None:
        self.root, self._count = root, 0

    def publish(self, kind: str, files: dict[str, bytes]) -> PinnedRef:
        self._count += 1
        folder = self.root / f"made-{self._count}"
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        to = ArtifactRef(uri=f"file://{self.root}/store/{self._count}")
        ref = publish(folder, to, kind)
        return PinnedRef(uri=ref.uri, digest=ref.digest or "")

    def strata(self, strata: dict[str, Stratum] = STRATA) -> PinnedRef:
        return self.publish("strata", {"strata.bin": snapshot_bytes(strata.items(), b"k" * 16), "strata.json": b"{}"})

    def items(self, items: dict[str, Features] = ITEMS) -> PinnedRef:
        lines = [
            {
                "item_id": name,
                "title": i.title,
                "shop_name": i.shop_name,
                "cpv_sku": i.cpv_sku,
                "vqa_result": i.vqa_result,
            }
            for name, i in items.items()
        ]
        return self.publish("items", {"items.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode()})

    def head(
        self, scores: tuple[float, ...] = HEAD_SCORES, query: str = QUERIES["head"], market: str = ""
    ) -> PinnedRef:
        entries = [
            HeadEntry(head_query_hash(query, market), item_hash(name), content_hash(ITEMS[name]), scores)
            for name in ("i1", "i2")
        ]
        description = {"calibration": {"temperature": "1", "grades": ["1", "2", "3", "4"]}}
        return self.publish("head", {"head.bin": generation_bytes(entries), "head.json": canonical_json(description)})

    def kit(self, layout: PromptLayout, words: str = WORDS, image_tokens: int | None = None) -> PinnedRef:
        """A model artifact without weights; a student's prompts need [CLS] and [SEP]."""
        controls = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        tokenizer = build_tokenizer(vocabulary([words]))
        if layout in (PromptLayout.CLASSIFIER, PromptLayout.TWO_TOWER):
            document = json.loads(tokenizer)
            first = max(document["model"]["vocab"].values()) + 1
            document["added_tokens"] += [
                {"id": first + n, "content": c, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False}
                for n, c in enumerate(controls) if c not in document["model"]["vocab"]
            ]  # fmt: skip
            tokenizer = json.dumps(document).encode()
        contract = build_contract(TextEncoder(tokenizer), layout, RuleMode.NONE, 32, image_tokens=image_tokens)
        files = {
            "tokenizer.json": tokenizer,
            "lore-contract.json": contract.to_bytes(),
            "model.safetensors": b"weights",
        }
        return self.publish("model", files)


@dataclass
class World:
    """Two backends, published artifacts, and configurations over them."""

    warehouse: Warehouse
    torso: Backend
    tail: Backend

    def __post_init__(self) -> None:
        w = self.warehouse
        self.strata, self.items, self.head = w.strata(), w.items(), w.head()
        self.student, self.llm = w.kit(PromptLayout.CLASSIFIER), w.kit(PromptLayout.THINK_FIRST)

    def composition(self, revision: str = "r1", weight: int = 100, **changes: Any) -> dict[str, Any]:
        torso = {
            "url": self.torso.url, "modelName": "student", "kit": self.student.model_dump(), "route": "Classify",
            "deadlineMs": 2000, "fallback": ["tail"],
        }  # fmt: skip
        tail = {
            "url": self.tail.url, "modelName": "llm", "kit": self.llm.model_dump(), "route": "Completions",
            "deadlineMs": 2000, "fallback": ["torso"],
        }  # fmt: skip
        base = {
            "revision": revision,
            "weights": dict.fromkeys(("head", "torso", "tail"), weight),
            "strata": self.strata.model_dump(),
            "items": self.items.model_dump(),
            "head": self.head.model_dump(),
            "tiers": {
                "head": {"cache": {"onMiss": "torso"}}, "torso": {"predictor": torso}, "tail": {"predictor": tail},
            },
        }  # fmt: skip
        return base | changes

    def config(self, *compositions: dict[str, Any], **changes: Any) -> RouterConfig:
        values = {"deployment": "search", "stable": "r1", "compositions": list(compositions) or [self.composition()]}
        return RouterConfig.model_validate(values | changes)


class Texts:
    """A source of configurations that a test feeds."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def put(self, config: RouterConfig) -> None:
        self._queue.put_nowait(config.model_dump_json(by_alias=True))

    def put_text(self, text: str) -> None:
        self._queue.put_nowait(text)

    async def all(self) -> AsyncIterator[str]:
        while True:
            yield await self._queue.get()


class RunningRouter:
    """A router on a loopback port, its shelf and its source of configurations."""

    def __init__(self, root: Path, *backends: Backend) -> None:
        self.shelf, self.backends = Shelf(root), backends
        self.app = RouterApp(RouterMetrics())
        self.server = HttpServer(self.app, self.app.refuse, self.app.max_body)
        self.texts = Texts()
        self.port = 0
        self.client = httpx.AsyncClient()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["RunningRouter"]:
        self.port = await self.server.start("127.0.0.1", 0)
        library = Library(self.shelf)
        swapper = Swapper(self.app, library, retry_seconds=0.02)
        task = asyncio.create_task(swapper.follow(self.texts.all()))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False) as client:
            self.client = client
            yield self
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.server.close(1.0)
        await library.close()

    async def serve(self, config: RouterConfig) -> None:
        """Load everything and wait until the router acknowledges."""
        assert await asyncio.to_thread(Loader(self.shelf).reconcile, config) == {}
        self.texts.put(config)
        await self.until(lambda state: state["configHash"] == config.content_digest())
        for backend in self.backends:
            backend.first, backend.requests = [*backend.first, *backend.requests], []

    async def until(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                state = (await self.client.get("/state")).json()
                if reached(state):
                    return state

    async def ask(self, query: str, *items: Any, **changes: Any) -> dict[str, Any]:
        body = {"query": query, "items": [{"id": i} if isinstance(i, str) else i for i in items], **changes}
        response = await self.client.post("/v1/relevance", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def metric(self, name: str, **labels: str) -> float:
        value = self.app.metrics.registry.get_sample_value(name, labels)
        return 0.0 if value is None else value
