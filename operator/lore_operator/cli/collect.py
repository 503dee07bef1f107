"""`lore gc`: what a workspace holds that nothing names any more. It shows; with `--delete` it deletes what it has shown."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from lore_core.artifacts import ArtifactError, ArtifactRef
from lore_core.artifacts.inventory import inventory, remove
from lore_core.artifacts.retention import Judgement, Named, judge
from lore_core.cli import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from lore_operator.api.v1alpha1.common import seconds
from lore_operator.children.labels import WATCH_SELECTOR
from lore_operator.cli import kubectl, output
from lore_operator.cli.kubectl import PLURALS, CannotTell, Object

_HEAD: Final = ("", "KIND", "SIZE", "PATH", "WHY")
_LEAST_AGE: Final = timedelta(hours=1)
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_DURATION: Final = re.compile(r"([0-9]+(\.[0-9]+)?(s|m|h))+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "workspace", help="uri of spec.workspace: s3://BUCKET/PATH, or pvc://CLAIM/PATH where it is mounted"
    )
    parser.add_argument("--credentials", help="folder with the keys of the store's Secret")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: the current one)")
    parser.add_argument(
        "--resources",
        action="append",
        type=Path,
        metavar="FILE",
        help="kubectl's JSON of a cluster that uses the workspace, in place of asking one; once for each cluster",
    )
    parser.add_argument("--min-age", default="168h", help="what was written later stays (default: 168h, at least 1h)")
    parser.add_argument("--delete", action="store_true", help="delete what would go; without it nothing is changed")
    output.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what goes and what stays, each with its reason; delete where asked to."""
    try:
        workspace = ArtifactRef(uri=args.workspace.rstrip("/"), credentials=args.credentials)
        found, unknown = _judged(args, workspace)
        _print(args, found, unknown)
        for judgement in (item for item in found if args.delete and item.goes):
            remove(workspace, judgement.item)
    except CannotTell as problem:
        print(f"lore gc: {problem}", file=sys.stderr)
        return problem.status
    except (ArtifactError, ValueError) as error:
        print(f"lore gc: {error}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def _judged(args: argparse.Namespace, workspace: ArtifactRef) -> tuple[list[Judgement], dict[str, int]]:
    min_age = _age(args.min_age)
    # What lies there first, then what is named: what was named meanwhile stays.
    there = inventory(workspace)
    named = Named.by(_resources(args))
    return judge(there.items, named, workspace.uri, datetime.now(UTC), min_age), there.unknown


def _age(words: str) -> timedelta:
    if not _DURATION.fullmatch(words) or (age := seconds(words)) < _LEAST_AGE:
        raise CannotTell(f"--min-age {words}: give a duration of at least 1h, such as 24h or 90m", EXIT_USAGE)
    return age


def _resources(args: argparse.Namespace) -> list[Object]:
    """What names artifacts. CannotTell where there is none of it: then everything would go."""
    saved = [item for file in args.resources or () for item in _read(file)]
    found = saved if args.resources else kubectl.Kubectl(args.context).everything(WATCH_SELECTOR)
    if not any(item.get("kind") in PLURALS for item in found):
        raise CannotTell("no resource of the platform was found, so everything would go; is this the right cluster?")
    return found


def _read(file: Path) -> list[Object]:
    try:
        items = json.loads(file.read_text(encoding="utf-8"))["items"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotTell(
            f"{file}: not what kubectl get --output=json prints ({type(error).__name__}: {error})"
        ) from error
    return [item for item in items if isinstance(item, dict)]


def _print(args: argparse.Namespace, found: Sequence[Judgement], unknown: dict[str, int]) -> None:
    if args.output != "table":
        plain = {"items": [_plain(item) for item in found], "leftAlone": unknown, "delete": args.delete}
        print(output.document(plain, args.output))
        return
    order = sorted(found, key=lambda one: (not one.goes, -one.item.size, one.item.path))
    rows = [
        _row("goes" if one.goes else "stays", one.item.kind, one.item.size, one.item.path, one.why) for one in order
    ]
    rows += [_row("stays", "", size, path, "not a place of the platform's") for path, size in sorted(unknown.items())]
    if rows:
        print(output.table(_HEAD, rows))
    going = [one.item.size for one in found if one.goes]
    done = "deleting them" if args.delete else "nothing was deleted; --delete deletes them"
    print(f"{len(going)} of {len(found)} go, {_words(sum(going))}; {done}")


def _row(action: str, kind: str, size: int, path: str, why: str) -> tuple[str, ...]:
    return action, kind, _words(size), output.printable(path), why


def _plain(found: Judgement) -> dict[str, Any]:
    item = found.item
    written = item.written.isoformat() if item.written else None
    about = {"path": item.path, "kind": item.kind.value, "size": item.size, "written": written, "digest": item.digest}
    return {**about, "goes": found.goes, "why": found.why}


def _words(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"
