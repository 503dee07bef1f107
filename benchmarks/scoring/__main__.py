"""`python -m benchmarks.scoring`: pairs a second of label-token scoring through one real vLLM, beside three rivals.

(a) The same weights writing their reasoning first, as they were trained. (b1) Plain requests with a cache salt each: no
prefix is shared. (b2) Plain requests in shuffled order with the prefix cache on, which holds less than what is asked. All arms
have one server, one client and as many requests at once, and take turns. The exit status is 1 where an aim is missed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from benchmarks.scoring import models, world
from benchmarks.scoring.arms import CONCURRENCY, Arm, Clients, SaltedClient, cache_tokens, metrics, take_turns
from lore_core.jobs import ServingProfile
from lore_core.prompts import ModelKit
from lore_core.records import Pair
from lore_core.scoring.client import VllmClient
from lore_core.scoring.engine import gpu_present
from lore_core.scoring.server import LocalServer, ServedModel

_ROOM: Final = CONCURRENCY + 4
"""Longest sequences that the KV cache has room for: every request that is under way, whatever it shares."""
_BLOCK: Final = {True: 16, False: 128}
"""Tokens of a KV block, on a GPU and on a CPU, as vLLM chooses them."""
REASONING, SALTED, SHUFFLED = "a", "b1", "b2"
AIMS: Final = {REASONING: 5.0, SALTED: 3.0, SHUFFLED: 1.0}
GPU_AIM: Final = 15.0
"""Of comparison (a), with a model of the 8B class."""
SIBLING: Final = "trained to answer at once"


@dataclass(frozen=True)
class Sizes:
    """How often and how much is asked: turns, beginnings of the long prompts as a share of the KV cache, gate pairs a subset.

    `lengths` are the tokens of reasoning that are forced, to see what a length costs.
    """

    repeats: int
    fill: float
    each: int
    lengths: tuple[int, ...]


FULL: Final = Sizes(5, 2.0, 120, (16, 32, 64, 128, 256))
SHORT: Final = Sizes(1, 0.2, 12, (16,))
_FORCED: Final = 96
"""Pairs a turn of which reasoning of a set length is asked."""


@dataclass(frozen=True)
class Found:
    """Arms of each comparison, ours first; Macro-F1 on the gate pairs by who answered, none for untrained weights.

    `lengths` has the arms of (a) again, by tokens of reasoning that are forced.
    """

    arms: dict[str, list[Arm]]
    quality: dict[str, float]
    cache_tokens: int
    lengths: dict[int, list[Arm]] = field(default_factory=dict)


def main() -> int:
    """Print and write what was measured; 1 where a full run misses an aim."""
    args = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        made, sizes = prepared(args, Path(scratch)), SHORT if args.short else FULL
        before = machine()
        print(before, flush=True)
        found = served(made, args.dtype, sizes, Path(scratch))
    show(found)
    if args.out:
        about = {"machine": before, "dtype": args.dtype, "sizes": asdict(sizes)}
        args.out.write_text(json.dumps(about | document(found), indent=1) + "\n", encoding="utf-8")
    return verdict(found, judged=not args.short)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--short", action="store_true", help="for CI: untrained weights, one turn, few pairs, no aims")
    parser.add_argument(
        "--model", type=Path, help="folder of a think-first model; else one is trained as the demo's is"
    )
    parser.add_argument("--label-first", type=Path, help="with --model: its sibling trained to answer at once")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--work", type=Path, help="folder to keep trained models in")
    parser.add_argument("--out", type=Path, help="file for everything as JSON")
    return parser.parse_args()


def prepared(args: argparse.Namespace, scratch: Path) -> models.Models:
    """The model that is asked."""
    if args.short:
        return models.untrained(scratch)
    if args.model:
        return models.Models(args.model, args.label_first)
    work = (args.work or scratch).absolute()
    work.mkdir(parents=True, exist_ok=True)
    return models.taught(work)


def served(made: models.Models, dtype: str, sizes: Sizes, scratch: Path) -> Found:
    """Start the server and measure on it."""
    folder = world.lengthened(made.think_first, scratch / "served")
    kit = ModelKit.load(folder)
    profile = ServingProfile.model_validate({"image": "local", "dtype": dtype, "maxModelLen": longest(kit)})
    with LocalServer(folder, profile, flags=cache_flags(kit)) as server:
        return asyncio.run(measure(kit, server, made, sizes))


def longest(kit: ModelKit) -> int:
    """Tokens of the longest sequence that is asked."""
    return max(world.LONGEST, kit.max_sequence)


def cache_flags(kit: ModelKit) -> list[str]:
    """The engine's arguments for a KV cache with just the room that is meant."""
    return ["--num-gpu-blocks-override", str(_ROOM * longest(kit) // _BLOCK[gpu_present()])]


async def measure(kit: ModelKit, server: ServedModel, made: models.Models, sizes: Sizes) -> Found:
    """All comparisons on a server that runs."""
    pairs = models.gate_pairs(sizes.each)
    cache = cache_tokens(await metrics(server.base_url))
    queries = round(sizes.fill * cache / world.SHARED)
    async with AsyncExitStack() as stack:
        clients = Clients(kit, server, stack)

        def draw(seed: int) -> world.Asked:
            return world.long_prompts(kit.encoder, queries, seed)

        arms = {
            REASONING: await clients.reasoning_first(world.rendered(kit, pairs)),
            SALTED: await clients.beside_plain("plain requests, a salt each", SaltedClient, draw),
            SHUFFLED: await clients.beside_plain("plain requests, shuffled", VllmClient, draw),
        }
        thought = world.rendered(kit, pairs).first(_FORCED)
        lengths = {tokens: await clients.of_length(thought, tokens) for tokens in sizes.lengths}
        for one in (*arms.values(), *lengths.values()):
            await take_turns(one, sizes.repeats, server)
    return Found(arms, quality(made, arms[REASONING], pairs), cache, lengths)


def quality(made: models.Models, arms: Sequence[Arm], pairs: Sequence[Pair]) -> dict[str, float]:
    """Macro-F1 on the gate pairs of every arm, and of the sibling that was trained to answer at once."""
    if not made.learned:
        return {}
    found = {arm.name: models.quality_of(pairs, arm.answers) for arm in arms}
    return found | ({SIBLING: models.own_quality(made.label_first, pairs)} if made.label_first else {})


def ratio(arms: Sequence[Arm]) -> float:
    """How many times as many pairs a second the first arm does as the fastest of its rivals, by medians."""
    return arms[0].rate / max(arm.rate for arm in arms[1:] if arm.rival)


def reached(lengths: Mapping[int, Sequence[Arm]], aim: float) -> str:
    """From which length of reasoning on the ratio is `aim`, between two measured ones by a straight line."""
    found = [(tokens, ratio(arms)) for tokens, arms in sorted(lengths.items())]
    for (shorter, less), (longer, more) in pairwise(found):
        if less < aim <= more:
            return f"from about {shorter + (aim - less) / (more - less) * (longer - shorter):.0f} tokens on"
    return f"at {found[0][0]} tokens already" if found[0][1] >= aim else f"not with {found[-1][0]} tokens"


def busy(arm: Arm) -> str:
    """Milliseconds of a core a pair, by whose they are."""
    return "ms of a core a pair: " + ", ".join(f"{name} {value:.2f}" for name, value in arm.cpu.items())


def aims() -> dict[str, float]:
    """The least ratio of each comparison on this kind of machine."""
    return AIMS | ({REASONING: GPU_AIM} if gpu_present() else {})


def machine() -> str:
    """What this runs on, and how busy that is before anything is asked."""
    import torch

    load = f"load average {os.getloadavg()[0]:.1f} before the run"
    if gpu_present():
        return f"{torch.cuda.get_device_name()}, {load}"
    return f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, {load}"


def show(found: Found) -> None:
    """Pairs a second as median and range, prompt tokens found in the prefix cache, tokens generated, Macro-F1."""
    print(f"{CONCURRENCY} requests at once, a KV cache of {found.cache_tokens} tokens")
    for name, arms in found.arms.items():
        print(f"\n({name}) {arms[0].pairs} pairs a turn, {arms[0].prompt_tokens:.0f} tokens a prompt")
        for arm in arms:
            score = f"  Macro-F1 {found.quality[arm.name]:.3f}" if arm.name in found.quality else ""
            print(
                f"{arm.name:34}{arm.rate:8.1f} pairs/s  [{min(arm.rates):.1f}, {max(arm.rates):.1f}]"
                f"  cached {arm.hit_rate:4.0%}  generated {arm.generated:5.1f}  {busy(arm)}{score}"
            )
        print(f"{ratio(arms):.2f} times the fastest rival (aim {aims()[name]:g})")
    if found.lengths:
        forced = ", ".join(f"{tokens} tokens {ratio(arms):.1f}" for tokens, arms in found.lengths.items())
        print(f"\n(a) by the length of the reasoning, forced, times as many pairs/s: {forced}")
        print(f"{AIMS[REASONING]:g} times: {reached(found.lengths, AIMS[REASONING])}")
    if SIBLING in found.quality:
        print(
            f"\n{SIBLING}: Macro-F1 {found.quality[SIBLING]:.3f}, at the speed of the first arm of (a): its shapes are equal"
        )


def document(found: Found) -> dict[str, Any]:
    """Everything that was measured."""
    comparisons = {
        name: {"aim": aims()[name], "ratio": ratio(arms), "arms": [arm.document() for arm in arms]}
        for name, arms in found.arms.items()
    }
    lengths = {
        tokens: {"ratio": ratio(arms), "arms": [arm.document() for arm in arms]}
        for tokens, arms in found.lengths.items()
    }
    about = {
        "concurrency": CONCURRENCY,
        "cacheTokens": found.cache_tokens,
        "macroF1": found.quality,
        "lengths": lengths,
    }
    return about | {"comparisons": comparisons}


def verdict(found: Found, *, judged: bool) -> int:
    """Print which aims are missed; 1 where one is, and a run is `judged`."""
    missed = [name for name, aim in aims().items() if ratio(found.arms[name]) < aim]
    if not judged:
        print("\na short run: no aim is judged")
        return 0
    print("\n" + ("\n".join(f"missed: ({name})" for name in missed) or "every aim is reached"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
