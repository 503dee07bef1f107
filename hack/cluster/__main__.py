"""The command line: `python -m hack.cluster COMMAND`."""

import argparse
import sys
from pathlib import Path

from hack.cluster import external, tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.errors import ClusterError
from hack.cluster.paths import cluster_directory


def main() -> int:
    """Run one command; the exit status is 1 with the reason on stderr when it cannot be done."""
    arguments = _parser().parse_args()
    try:
        status: int = arguments.run(arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str, *, cluster: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        if cluster:
            added.add_argument("--profile", choices=sorted(tools.PROFILE_TOOLS), default="node")
            added.add_argument("--name", help="tells clusters apart (default: the profile's name)")
        return added

    command("up", _up, "start what does not run; the last line printed is the KUBECONFIG path")
    command("down", _down, "stop what `up` started and delete its state")
    command("status", _status, "say what runs")
    command("kubeconfig", _kubeconfig, "print the KUBECONFIG path")
    command("build", _build, "build the profile's binaries that are not cached")
    binary = command("bin", _bin, "print the path of a binary, built if need be", cluster=False)
    binary.add_argument("tool")
    return parser


def _cluster(arguments: argparse.Namespace) -> ControlPlane:
    return ControlPlane(cluster_directory(arguments.name or arguments.profile))


def _up(arguments: argparse.Namespace) -> int:
    cluster = _cluster(arguments)
    if (other := external.kubeconfig(cluster.kubeconfig)) is not None:
        print(f"KUBECONFIG names a cluster of yours; nothing is started and nothing done to it\n{other}")
        return 0
    tools.ensure_profile(arguments.profile)
    cluster.start()
    print(cluster.kubeconfig)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    cluster = _cluster(arguments)
    if (other := external.kubeconfig(cluster.kubeconfig)) is not None:
        print(f"KUBECONFIG names a cluster of yours ({other}); nothing is done to it")
        return 0
    cluster.delete()
    return 0


def _status(arguments: argparse.Namespace) -> int:
    running = 0
    for daemon in _cluster(arguments).daemons():
        pid = daemon.pid()
        running += pid is not None
        print(f"{daemon.name:<26}{f'running, pid {pid}' if pid else 'not running'}")
    return 0 if running else 1


def _kubeconfig(arguments: argparse.Namespace) -> int:
    cluster = _cluster(arguments)
    if not cluster.kubeconfig.exists():
        raise ClusterError(f"not up; run: python -m hack.cluster up --profile {arguments.profile}")
    print(cluster.kubeconfig)
    return 0


def _build(arguments: argparse.Namespace) -> int:
    tools.ensure_profile(arguments.profile)
    return 0


def _bin(arguments: argparse.Namespace) -> int:
    path: Path = tools.ensure(arguments.tool)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
