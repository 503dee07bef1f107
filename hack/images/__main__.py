"""`python -m hack.images build|tags|prune`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.cluster.paths import cluster_directory
from hack.cluster.runtime import Containerd
from hack.images import build
from hack.images.errors import ImageError
from hack.images.recipe import COMPONENTS


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 with the reason on stderr."""
    args = _parser().parse_args(argv)
    try:
        _run(args)
    except ImageError as error:
        print(f"hack.images: {error}", file=sys.stderr)
        return 1
    return 0


def _run(args: argparse.Namespace) -> None:
    if args.command == "prune":
        for name in build.prune(_node_socket()):
            print(f"removed {name}")
        return
    components = args.components or COMPONENTS
    if args.command == "tags":
        print(json.dumps(build.tags(components), indent=2))
        return
    references = build.build(components, args.lock)
    if args.load:
        build.load_into(_node_socket(), list(references.values()))
    if args.push:
        references = {name: build.push(reference, args.push) for name, reference in references.items()}
    print(json.dumps(references, indent=2))


def _node_socket() -> Path:
    return Containerd(cluster_directory("node"), ()).socket


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="build the images that are missing")
    builder.add_argument(
        "--push", metavar="REGISTRY", help="copy them to this registry, e.g. registry.example.com/team"
    )
    builder.add_argument(
        "--load", action="store_true", help="import them into the containerd of the node that hack.cluster runs"
    )
    builder.add_argument("--lock", metavar="NAME", help="requirements file of the server image, e.g. serving-gpu")
    tags = commands.add_parser("tags", help="print the image references as JSON, built or not")
    commands.add_parser("prune", help="remove images of earlier states of the tree").set_defaults(components=[])
    for command in (builder, tags):
        command.add_argument(
            "components", nargs="*", metavar="IMAGE", help=f"some of: {', '.join(COMPONENTS)} (default: all)"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
