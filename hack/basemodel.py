"""The data and base models that demo, tests and benchmarks share, made once and cached outside the tree by content.

`python -m hack.basemodel [--scale demo|full]` prints where they are as JSON: {"data": …, "base": …, "minilm": …}.
"""

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = Path(os.environ.get("LORE_CACHE", Path.home() / ".cache" / "lore-platform"))
DATA_SOURCES = ("lore_core/benchmark", "lore_core/records", "lore_core/rules", "lore_core/artifacts")
BASE_SOURCES = (
    "lore_core/training/base.py",
    "lore_core/training/base_command.py",
    "lore_core/training/tokenizer.py",
    "requirements/training.txt",
)


def content_key(sources: tuple[str, ...], *more: str) -> str:
    """A short hash of the sources' bytes and of `more`; equal key, equal result."""
    hasher = hashlib.sha256("\0".join(more).encode())
    for source in sources:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            hasher.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return hasher.hexdigest()[:20]


def lore(*words: str) -> None:
    """Run a verb; CalledProcessError where it fails. What it prints goes to stderr, so that stdout stays JSON.

    One thread: the small model gains nothing from two, loses much when they wait for each other, and stays bit-equal.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "lore_core", *words], cwd=ROOT, check=True, stdout=sys.stderr, env=environment
    )


def prepare(scale: str, seed: int = 17) -> dict[str, str]:
    """Generate and pretrain what is missing. The verbs publish manifest last, so an interrupted run is made again."""
    data = CACHE / "data" / content_key(DATA_SOURCES, scale, str(seed))
    if not (data / "complete").exists():
        lore("data", "generate", "--out", str(data), "--scale", scale, "--seed", str(seed))
        (data / "complete").touch()
    corpus = next((data / "corpus").glob("corpus*.txt"))
    base = CACHE / "base-model" / content_key(BASE_SOURCES, hashlib.sha256(corpus.read_bytes()).hexdigest())
    lore("model", "pretrain", "--corpus", str(corpus), "--out", str(base))
    minilm = CACHE / "base-model" / content_key(BASE_SOURCES, "minilm")
    lore("model", "pretrain", "--packaged", "minilm-l6", "--out", str(minilm))
    return {"data": str(data), "base": str(base), "minilm": str(minilm)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.basemodel", description=__doc__)
    parser.add_argument("--scale", choices=("demo", "full"), default="demo")
    scale = parser.parse_args().scale
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "basemodel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(json.dumps(prepare(scale)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
