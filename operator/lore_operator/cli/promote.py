"""`lore promote MODEL --to OVERLAY`: pin a model that passed into a kustomize overlay, with its evidence, for Git to review."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from lore_core.cli import EXIT_OK, EXIT_STALLED
from lore_operator.cli import kubectl, output
from lore_operator.cli.kubectl import CannotTell, names
from lore_operator.cli.overlay import Overlay
from lore_operator.cli.promotion import Refused, places, promoted_model, verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="RelevanceModel of the namespace")
    parser.add_argument("--to", type=Path, required=True, metavar="OVERLAY", help="folder with a kustomization.yaml")
    parser.add_argument("--deployment", default="", help="RelevanceDeployment of the overlay, where it has several")
    parser.add_argument(
        "--tier", default="", choices=("", "torso", "tail", "head"), help="tier that is to serve the model"
    )
    kubectl.add_arguments(parser)
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the overlay; exit status 3 where the model may not be promoted. Nothing is written then."""
    try:
        answer = _promote(args)
    except CannotTell as problem:
        print(f"lore promote: {problem}", file=sys.stderr)
        return problem.status
    except Refused as refusal:
        print(f"lore promote: refused: {refusal}", file=sys.stderr)
        return EXIT_STALLED
    if args.output != "table":
        print(output.document(answer, args.output))
        return EXIT_OK
    for tier, evaluation in answer["verdicts"].items():
        print(f"{tier}: {answer['model']} {answer['digest']}, passed in {evaluation}")
    print("\n".join(f"wrote {path}" for path in answer["files"]) or "the overlay has it already; nothing written")
    return EXIT_OK


def _promote(args: argparse.Namespace) -> dict[str, Any]:
    cluster, overlay = kubectl.from_arguments(args), Overlay(args.to)
    objects = cluster.chain()
    model = names(objects, "RelevanceModel").get(args.model)
    if model is None:
        raise CannotTell(f"there is no RelevanceModel {args.model} in this namespace; see: lore status")
    manifests = [item for item in yaml.safe_load_all(cluster.kustomize(str(args.to))) if item]
    chosen = places(manifests, args.model, args.deployment, args.tier)
    evaluations = [item for item in objects if item["kind"] == "RelevanceEval"]
    passed = [(place, verdict(model, evaluations, place)) for place in chosen]
    changed = overlay.write(promoted_model(model, (item for _, item in passed)), chosen, cluster.kustomize)
    return {
        "model": args.model,
        "digest": model["spec"]["digest"],
        "verdicts": {f"{place.deployment}/{place.stratum}": item["metadata"]["name"] for place, item in passed},
        "files": [str(path) for path in changed],
    }
