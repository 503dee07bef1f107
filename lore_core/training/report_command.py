"""`lore train report MODEL`: how the stage that made a model went, as one HTML file."""

import argparse
import sys
import tempfile
from pathlib import Path

from lore_core.artifacts import ArtifactError, ArtifactRef, verify
from lore_core.jobs.errors import JobError
from lore_core.training.curves import CURVES_NAME, TrainingCurves
from lore_core.training.lineage import lineage_of
from lore_core.training.page import training_page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `lore train report`."""
    add = parser.add_argument
    add("model", help="folder or uri of the model artifact")
    add("--digest", help="digest that the model must have")
    add("--credentials", help="folder with the keys of the store's Secret")
    add("--html", type=Path, required=True, help="write the page into this file")


def run(args: argparse.Namespace) -> int:
    """Write the page; 1 with the reason where the model tells nothing."""
    uri = args.model if "://" in args.model else Path(args.model).resolve().as_uri()
    try:
        with tempfile.TemporaryDirectory(prefix="lore-train-report-") as name:
            ref = ArtifactRef(uri=uri, digest=args.digest, credentials=args.credentials)
            verify(ref, Path(name), only=(CURVES_NAME,))
            curves, stages = TrainingCurves.read(Path(name) / CURVES_NAME).curves, lineage_of(Path(name), "model")
            if not stages:
                raise JobError("BadData", f"{uri}: its manifest names no stage; the model was imported")
    except (ArtifactError, JobError, ValueError) as error:
        print(f"lore train report: {error}", file=sys.stderr)
        return 1
    partial = args.html.with_name(args.html.name + ".partial")
    partial.write_text(training_page(stages, curves), encoding="utf-8")
    partial.replace(args.html)
    print(args.html)
    return 0
