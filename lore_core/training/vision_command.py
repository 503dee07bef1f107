"""`lore model add-vision`: a small text base with a vision tower before it, which has learned the words of some pictures."""

import argparse
import sys
import tempfile
from pathlib import Path

from pydantic import JsonValue

from lore_core.artifacts import ArtifactError, ArtifactRef, open_store, publish
from lore_core.artifacts.manifest import canonical_json, sha256_digest
from lore_core.jobs.config import Optimizer
from lore_core.jobs.errors import JobError
from lore_core.prompts import TextEncoder
from lore_core.scoring.pixels import PictureReader
from lore_core.training.base import ProgressLine
from lore_core.training.base_command import KIND
from lore_core.training.captions import CAPTIONS, captions, learn_captions
from lore_core.training.vision import VisionSettings, write_seeing_base


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore model add-vision`."""
    parser.add_argument(
        "--base", type=Path, required=True, help="folder of a small text base, by `lore model pretrain`"
    )
    parser.add_argument(
        "--pictures", type=Path, required=True, help="JSONL file of pairs with pictures and their words"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the artifact; reused where its inputs are equal"
    )
    parser.add_argument("--steps", type=int, default=CAPTIONS.max_steps, help="training steps (default %(default)s)")
    parser.add_argument("--seed", type=int, default=CAPTIONS.seed, help="seed (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train or reuse; 1 with the reason on stderr."""
    try:
        digest, reused = _made(args)
    except (ArtifactError, JobError, OSError, ValueError) as error:
        print(f"lore model add-vision: {error}", file=sys.stderr)
        return 1
    print(f"{'reused' if reused else 'wrote'} {args.out} {digest}")
    return 0


def _made(args: argparse.Namespace) -> tuple[str, bool]:
    """The digest at `out`, and whether it was there. Raises ArtifactError where `out` holds something else."""
    base = open_store(ArtifactRef(uri=args.base.absolute().as_uri())).manifest().digest
    tower = VisionSettings(seed=args.seed)
    lesson = CAPTIONS.model_copy(update={"max_steps": args.steps, "seed": args.seed})
    pictures = sha256_digest(args.pictures.read_bytes())
    key = sha256_digest(canonical_json([tower.key(base), lesson.content_digest(), pictures]))
    ref = ArtifactRef(uri=args.out.absolute().as_uri())
    if open_store(ref).exists():
        found = open_store(ref).manifest()
        if found.inputs.get("key") != key:
            raise ArtifactError(f"{args.out}: holds a base model of other inputs; choose another folder or remove it")
        return found.digest, True
    with tempfile.TemporaryDirectory(prefix="lore-vision-") as name:
        about = _fill(args.base, args.pictures, tower, lesson, Path(name))
        published = publish(Path(name), ref, KIND, {"key": key, "base": base}, about)
    assert published.digest is not None  # publish returns the digest
    return published.digest, False


def _fill(base: Path, pictures: Path, tower: VisionSettings, lesson: Optimizer, folder: Path) -> dict[str, JsonValue]:
    model = write_seeing_base(base, tower, folder)
    encoder = TextEncoder.load(folder)
    reader = PictureReader(folder, encoder)
    if not (lessons := captions(pictures, encoder, reader)):
        raise ValueError(f"{pictures}: has no pair with image_base64 and vqa_result; name another file")
    loss = learn_captions(model, reader, lessons, lesson, ProgressLine(lesson.max_steps))
    model.save_pretrained(str(folder))
    (folder / "generation_config.json").unlink(missing_ok=True)
    return {"pictures": len(lessons), "finalLoss": f"{loss:.4f}"}
