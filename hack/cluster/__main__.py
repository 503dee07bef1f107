"""The command line: `python -m hack.cluster COMMAND`."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from hack.cluster import external, storage, tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.node import Node
from hack.cluster.paths import cluster_directory

_Command = Callable[[argparse.Namespace], None]


def main() -> int:
    """Run one command; the exit status is 1 with the reason on stderr when it cannot be done."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description="A Kubernetes cluster on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: _Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run, profile="node", name=None)
        return added

    for name, run, text in (
        ("up", _up, "start what does not run; the last line printed is the KUBECONFIG path"),
        ("down", _down, "stop what `up` started and delete its state; images stay"),
        ("status", _status, "say what runs; fails when nothing or not all does"),
        ("kubeconfig", _kubeconfig, "print the KUBECONFIG path"),
    ):
        added = command(name, run, text)
        added.add_argument("--profile", choices=sorted(tools.PROFILE_TOOLS), default="node")
        added.add_argument("--name", help="tells clusters apart (default: the profile's name)")

    build = command("build", _build, "build the profiles' binaries that are not cached")
    build.add_argument("--profile", choices=sorted(tools.TOOL_SETS), nargs="+", default=["node"])
    command("bin", _bin, "print the path of a binary, built if need be").add_argument("tool")
    image = command("import-image", _import_image, "load the images of an OCI archive into the node")
    image.add_argument("archive", type=Path)
    volume = command("volume", _volume, "prepare a folder on the node, print its PersistentVolume and RWX claim")
    volume.add_argument("--namespace", required=True)
    volume.add_argument("--claim", required=True)
    secret = command("s3-secret", _s3_secret, "print a Secret with the S3 endpoint, its authority and credentials")
    secret.add_argument("--namespace", required=True)
    secret.add_argument("--secret", default="s3")
    return parser


def _directory(arguments: argparse.Namespace) -> Path:
    return cluster_directory(arguments.name or arguments.profile)


def _cluster(arguments: argparse.Namespace) -> ControlPlane | Node:
    directory = _directory(arguments)
    return Node(directory) if arguments.profile == "node" else ControlPlane(directory / "run")


def _up(arguments: argparse.Namespace) -> None:
    cluster = _cluster(arguments)
    if (other := external.kubeconfig(cluster.kubeconfig)) is not None:
        print(f"KUBECONFIG names a cluster of yours; nothing is started and nothing done to it\n{other}")
        return
    if isinstance(cluster, Node):
        # Before the minutes of building.
        cluster.check()
    tools.ensure_profile(arguments.profile)
    cluster.start()
    print(cluster.kubeconfig)


def _down(arguments: argparse.Namespace) -> None:
    cluster = _cluster(arguments)
    if (other := external.kubeconfig(cluster.kubeconfig)) is not None:
        print(f"KUBECONFIG names a cluster of yours ({other}); nothing is done to it")
        return
    if isinstance(cluster, Node) and cluster.kubeconfig.exists() and os.geteuid() != 0:
        raise ClusterError("the node was started by root: run the same command with sudo")
    cluster.delete()


def _status(arguments: argparse.Namespace) -> None:
    daemons = _cluster(arguments).daemons()
    missing = [daemon.name for daemon in daemons if daemon.pid() is None]
    for daemon in daemons:
        pid = daemon.pid()
        print(f"{daemon.name:<26}{f'running, pid {pid}, log {daemon.log}' if pid else 'not running'}")
    if missing:
        raise ClusterError(
            f"not running: {', '.join(missing)}; run: python -m hack.cluster up --profile {arguments.profile}"
        )


def _kubeconfig(arguments: argparse.Namespace) -> None:
    cluster = _cluster(arguments)
    if not cluster.kubeconfig.exists():
        raise ClusterError(f"not up; run: python -m hack.cluster up --profile {arguments.profile}")
    print(cluster.kubeconfig)


def _build(arguments: argparse.Namespace) -> None:
    tools.ensure_profile(*arguments.profile)


def _bin(arguments: argparse.Namespace) -> None:
    print(tools.ensure(arguments.tool))


def _import_image(arguments: argparse.Namespace) -> None:
    for name in _running_node(arguments).containerd.import_image(arguments.archive):
        print(name)


def _volume(arguments: argparse.Namespace) -> None:
    node = _running_node(arguments)
    _print_list(storage.volume(node.plane.directory, arguments.namespace, arguments.claim))


def _s3_secret(arguments: argparse.Namespace) -> None:
    _print_list([_running_node(arguments).store.secret(arguments.namespace, arguments.secret)])


def _running_node(arguments: argparse.Namespace) -> Node:
    node = Node(_directory(arguments))
    node.require_running()
    return node


def _print_list(objects: list[dict[str, object]]) -> None:
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
