"""`python -m benchmarks.evaluation.reduce [--pairs N]`: the reduce step on a benchmark of a million pairs, in bounded memory.

Pairs and answers are drawn and put down in parts, as shards leave them; then the reduce step itself runs, from fetching the
parts to the evidence. Printed are seconds and the peak memory of the whole process; 1 above 2 GiB.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from lore_core.artifacts import ArtifactRef, publish
from lore_core.evaluation.answers import AnswerRow
from lore_core.evaluation.inputs import Benchmark, resolve
from lore_core.evaluation.parts import Parts, in_parts, part_size
from lore_core.evaluation.run import reduce
from lore_core.jobs import BenchmarkInput, EvaluateConfig, Gate, RuleMode, ServingProfile, gate_set_digest
from lore_core.jobs.reporter import Reporter
from lore_core.prompts import CONTRACT_NAME, PromptLayout, TextEncoder, build_contract
from lore_core.records import Label, Pair, write_pairs
from lore_core.training.tokenizer import build_tokenizer

PAIRS: Final = 1_000_000
PAIRS_A_QUERY: Final = 20
GIBIBYTES: Final = 2.0
SHARDS: Final = 16
GATES: Final = (Gate(name="floor", metric="Accuracy2", min="0.5"),)
LABELS: Final = tuple(Label)


def place(folder: Path) -> ArtifactRef:
    return ArtifactRef(uri=folder.as_uri())


def drawn(pairs: int) -> Iterator[Pair]:
    """Pairs in the order of a file; their ids are not in that order."""
    gold = np.random.default_rng(17).integers(0, 4, pairs)
    for row in range(pairs):
        yield Pair(
            id=f"p{row * 7919 % pairs:09d}",
            query=f"query {row // PAIRS_A_QUERY}",
            title="a red shirt",
            item_id=f"i{row}",
            groundtruth=LABELS[gold[row]],
            subset="general",
            market=f"m{row % 5}",
            industry=f"i{row % 14}",
        )


def model(root: Path) -> ArtifactRef:
    tokenizer = build_tokenizer(["query", "red", "shirt"])
    (root / "model-files").mkdir()
    contract = build_contract(TextEncoder(tokenizer), PromptLayout.LABEL_FIRST, RuleMode.NONE, 32)
    (root / "model-files" / CONTRACT_NAME).write_bytes(contract.to_bytes())
    (root / "model-files" / "tokenizer.json").write_bytes(tokenizer)
    return publish(root / "model-files", place(root / "model"), "model")


def benchmark(root: Path, pairs: int) -> ArtifactRef:
    (root / "benchmark-files").mkdir()
    write_pairs(root / "benchmark-files/general.jsonl", drawn(pairs))
    return publish(root / "benchmark-files", place(root / "benchmark"), "benchmark")


def config(root: Path, pairs: int) -> EvaluateConfig:
    data = benchmark(root, pairs)
    return EvaluateConfig(
        evaluation="million",
        model=model(root),
        model_name="drawn",
        profile=ServingProfile(image="none"),
        benchmark=BenchmarkInput(uri=data.uri, digest=data.digest, rule_mode=RuleMode.NONE),
        gates=GATES,
        gate_set_digest=gate_set_digest(GATES),
        workspace=place(root / "workspace"),
        input_key="sha256:" + "1" * 64,
        shards=SHARDS,
    )


def answer(asked: EvaluateConfig, root: Path, pairs: int) -> None:
    """What the shards leave: seven of ten labels right."""
    parts, generator = Parts(asked, resolve(asked)), np.random.default_rng(3)
    files = Benchmark("drawn", root / "benchmark-files", asked.benchmark.subsets)
    for number, part in in_parts(files.pairs(), part_size(pairs)):
        right = generator.random(len(part)) < 0.7
        parts.put(number, (_row(pair, hit) for pair, hit in zip(part, right, strict=True)), {"protocol": "LabelScore"})


def _row(pair: Pair, right: bool) -> AnswerRow:
    label = pair.groundtruth if right else LABELS[(pair.groundtruth.grade + 1) % 4]
    probabilities = tuple(0.7 if one is label else 0.1 for one in LABELS)
    return AnswerRow.of(pair, answer=label.value, probabilities=probabilities, prompt_tokens=30, output_tokens=0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation.reduce")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory(prefix="lore-million-") as scratch:
        root = Path(scratch)
        asked = config(root, pairs)
        answer(asked, root, pairs)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        began, used = time.perf_counter(), time.process_time()
        reduce(asked, Reporter(None))
        seconds, busy = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{pairs} pairs in {SHARDS} shards: reduced in {seconds:.0f} s ({busy:.0f} s of one core), "
        f"peak {peak:.2f} GiB ({before:.2f} before)"
    )
    return 0 if peak < GIBIBYTES else 1


if __name__ == "__main__":
    sys.exit(main())
