"""Writes one drawing of the world as artifacts: a folder each, published whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from lore_core.artifacts import ArtifactRef, publish
from lore_core.benchmark.corpus import catalogue, facts, reasoning, rule_facts
from lore_core.benchmark.lexicon import vocabulary
from lore_core.benchmark.rulebook import rulebook
from lore_core.benchmark.traffic import candidates, daily_counts, ranked_queries
from lore_core.benchmark.wording import attributes, caption, title
from lore_core.benchmark.world import SPLITS, SUBSETS, World
from lore_core.records import Item, Pair, label_schema_digest, write_items, write_pairs
from lore_core.records.jsonl import write_jsonl
from lore_core.rules import RULES_NAME

FITTED: Final = ("train", "tune", "calibration")
HEAD_QUERIES: Final = 40
FACT_REPEATS: Final = 12
CATALOGUE_ITEMS: Final = 4_000
REASONED_QUERIES_PER_BLOCK: Final = 25
_EVENTS_PER_QUERY: Final = 200

Metadata = dict[str, JsonValue]


@dataclass(frozen=True)
class Part:
    """One artifact of a drawing: its folder, its kind, and what writes its files and returns its metadata."""

    folder: str
    kind: str
    write: Callable[[World, Path], Metadata]


def generate(world: World, to: ArtifactRef, scratch: Path) -> Iterator[tuple[str, ArtifactRef]]:
    """Write and publish every part below `to`; yields folder and ref as they are done."""
    inputs: dict[str, str] = {}
    for part in PARTS:
        folder = scratch / part.folder
        folder.mkdir(parents=True)
        metadata = part.write(world, folder) | {"seed": world.seed}
        ref = publish(folder, to.child(part.folder), part.kind, inputs=dict(inputs), metadata=metadata)
        if part.kind == "rule-set" and ref.digest:
            inputs["ruleSet"] = ref.digest
        yield part.folder, ref


def _rules(world: World, folder: Path) -> Metadata:
    (folder / RULES_NAME).write_bytes(rulebook().to_bytes())
    return {"rules": len(rulebook().rules), "ruleSetDigest": rulebook().digest}


def _pairs(world: World, folder: Path) -> Metadata:
    counts: Metadata = {split: write_pairs(folder / f"{split}.jsonl", _mixed(world, split)) for split in FITTED}
    return {"counts": counts, "labelSchema": label_schema_digest()}


def _mixed(world: World, split: str) -> Iterator[Pair]:
    """All subsets of a split, a subset at a time: whoever trains shuffles."""
    for subset in SUBSETS:
        yield from world.pairs(split, subset)


def _benchmark(world: World, folder: Path) -> Metadata:
    counts: Metadata = {
        subset: write_pairs(folder / f"{subset}.jsonl", world.pairs("gate", subset)) for subset in SUBSETS
    }
    return {"counts": counts, "labelSchema": label_schema_digest()}


def _items(world: World, folder: Path) -> Metadata:
    items = (
        Item(
            item_id=offer.item_id,
            title=title(offer),
            shop_name=offer.shop,
            cpv_sku=attributes(offer),
            vqa_result=caption(offer),
        )
        for split in SPLITS
        for offer in world.offers(split)
    )
    return {"items": write_items(folder / "items.jsonl", items)}


def _candidates(world: World, folder: Path) -> Metadata:
    pairs = [pair for split in ("gate", "tune") for pair in _mixed(world, split)]
    head = ranked_queries(world)[:HEAD_QUERIES]
    return {"queries": write_jsonl(folder / "candidates.jsonl", candidates(pairs, head))}


def _corpus(world: World, folder: Path) -> Metadata:
    """`corpus.txt`, a sentence a line, and `vocabulary.txt`. Facts recur, so that catalogue text does not drown them."""
    items = islice(world.offers("train"), CATALOGUE_ITEMS)
    texts: dict[str, list[str]] = {
        "facts": list(facts()) * FACT_REPEATS,
        "rules": list(rule_facts()) * FACT_REPEATS,
        "catalogue": list(catalogue(items)),
        "reasoning": list(reasoning(world, REASONED_QUERIES_PER_BLOCK * world.scale.train)),
    }
    (folder / "corpus.txt").write_text("".join(f"{line}\n" for lines in texts.values() for line in lines), "utf-8")
    words = vocabulary()
    (folder / "vocabulary.txt").write_text("".join(f"{word}\n" for word in words), "utf-8")
    counts: Metadata = {name: len(lines) for name, lines in texts.items()}
    return {"lines": counts, "words": len(words)}


def _log(world: World, folder: Path) -> Metadata:
    queries = ranked_queries(world)
    rows = daily_counts(world, queries, _EVENTS_PER_QUERY * len(queries))
    return {"queries": len(queries), "rows": write_jsonl(folder / "log.jsonl", rows)}


PARTS: Final = (
    Part("rules", "rule-set", _rules),
    Part("pairs", "pairs", _pairs),
    Part("benchmark", "benchmark", _benchmark),
    Part("items", "items", _items),
    Part("candidates", "candidates", _candidates),
    Part("corpus", "corpus", _corpus),
    Part("log", "query-log", _log),
)
