"""What the measured router serves: strata, 100 head queries of 100 items, one student behind the stub backend."""

import sys
from pathlib import Path

import msgspec

from benchmarks.router.contenders import item_text
from benchmarks.router.wire import post
from lore_core.artifacts import ArtifactRef, publish
from lore_core.headcache import Features, HeadEntry, content_hash, item_hash
from lore_core.headcache.generation import generation_bytes, head_query_hash
from lore_core.jobs.config import RuleMode
from lore_core.prompts import ModelKit, PromptLayout, TextEncoder, build_contract
from lore_core.router.config import PinnedRef, RouterConfig
from lore_core.router.loader import Loader
from lore_core.router.shelf import Shelf
from lore_core.strata.snapshot import snapshot_bytes

QUERIES = 100
ITEMS = 100
LIST = 32
"""Items of a question that memory does not answer, where lists are compared with requests of one item."""
TAIL_ITEM = {"id": "1", "title": item_text(1)}


def tokenizer() -> bytes:
    """A word-level tokenizer with the control tokens of a cross-encoder."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "query", "item", "odd", "x", *map(str, range(100))]
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens([AddedToken(name, special=True) for name in ("[CLS]", "[SEP]")])
    return made.to_str().encode()


def kit_files() -> dict[str, bytes]:
    data = tokenizer()
    contract = build_contract(TextEncoder(data), PromptLayout.CLASSIFIER, RuleMode.NONE, 64)
    return {"tokenizer.json": data, "lore-contract.json": contract.to_bytes()}


def published(root: Path, kind: str, files: dict[str, bytes]) -> PinnedRef:
    folder = root / f"made-{kind}"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    ref = publish(folder, ArtifactRef(uri=f"file://{root}/{kind}"), kind)
    return PinnedRef.model_validate(ref.model_dump())


def head_files() -> dict[str, bytes]:
    entries = [
        HeadEntry(
            head_query_hash(f"query {query}", ""), item_hash(str(item)), content_hash(Features(item_text(item))),
            (0.1, 0.2, 0.3, 0.4),
        )
        for query in range(QUERIES)
        for item in range(ITEMS)
    ]  # fmt: skip
    description = b'{"calibration":{"temperature":"1","grades":["1","2","3","4"]}}'
    return {"head.bin": generation_bytes(entries), "head.json": description}


def prepare(root: Path, backend: int) -> tuple[list[str], ModelKit]:
    """Artifacts, shelf and configuration below `root`; the command that serves them, without its port."""
    strata = {"strata.bin": snapshot_bytes(((f"query {n}", "head") for n in range(QUERIES)), b"k" * 16)}
    kit = published(root, "model", kit_files())
    predictor = {
        "url": f"http://127.0.0.1:{backend}", "modelName": "m", "kit": kit.model_dump(), "route": "Classify",
        "deadlineMs": 10_000,
    }  # fmt: skip
    composition = {
        "revision": "r1",
        "weights": {"head": 100, "torso": 100, "tail": 100},
        "strata": published(root, "strata", strata).model_dump(),
        "head": published(root, "head", head_files()).model_dump(),
        "tiers": {"head": {"cache": {"onMiss": "tail"}}, "tail": {"predictor": predictor}},
    }
    config = RouterConfig.model_validate({"deployment": "bench", "stable": "r1", "compositions": [composition]})
    shelf = Shelf(root / "shelf")
    if failures := Loader(shelf).reconcile(config):
        raise SystemExit(f"the benchmark's artifacts could not be loaded: {failures}")
    (root / "router.json").write_text(config.model_dump_json(by_alias=True))
    command = [sys.executable, "-m", "lore_core", "router", "serve", "--config", str(root / "router.json")]
    return [*command, "--data", str(root / "shelf"), "--host", "127.0.0.1"], ModelKit.load(shelf.folder(kit.digest))


def rendered_once(command: list[str]) -> list[str]:
    """The same router, which renders a prompt that it had before no more."""
    return _by(command, "benchmarks.router.rendered")


def one_by_one(command: list[str]) -> list[str]:
    """The same router, which asks about each item of a question by itself."""
    return _by(command, "benchmarks.router.one_by_one")


def _by(command: list[str], module: str) -> list[str]:
    return [command[0], "-m", module, *command[command.index("serve") + 1 :]]


def one_item() -> list[bytes]:
    return [post("/v1/relevance", msgspec.json.encode({"query": "odd query", "items": [TAIL_ITEM]}))]


def list_of_items() -> list[bytes]:
    """One request of `LIST` items that the predictor is asked about."""
    items = [{"id": str(number), "title": item_text(number)} for number in range(LIST)]
    return [post("/v1/relevance", msgspec.json.encode({"query": "odd query", "items": items}))]


def hundred_items() -> list[bytes]:
    """One request a head query, its items in full: id and 120 characters of text."""
    items = [{"id": str(number), "title": item_text(number)} for number in range(ITEMS)]
    return [
        post("/v1/relevance", msgspec.json.encode({"query": f"query {query}", "items": items}))
        for query in range(QUERIES)
    ]
