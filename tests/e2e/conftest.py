"""Tests on a real node: the cluster that KUBECONFIG names, else the one-node cluster of hack/, brought up if need be."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.fixtures import namespace
from e2e.platform import Platform

from hack.cluster import external, tools
from hack.cluster.images import BUSYBOX
from hack.cluster.kubectl import Kubectl
from hack.cluster.node import Node
from hack.cluster.paths import cluster_directory
from hack.demo import data, install
from hack.demo.target import Target

__all__ = ["namespace"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start and stop the node themselves run before it is started for the others."""
    items.sort(key=lambda item: "stopped_node" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The one-node cluster, running; taken down at the end unless it was up before."""
    ours = _own_node()
    was_up = ours.is_running()
    ours.start()
    yield ours
    if not was_up:
        ours.delete()


@pytest.fixture
def stopped_node() -> Iterator[Node]:
    """The one-node cluster, not running, for tests of its coming and going."""
    ours = _own_node()
    if ours.is_running():
        _unavailable("the node is up, and these tests would stop it: python -m hack.cluster down --profile node")
    yield ours
    ours.delete()


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Path:
    """The kubeconfig of the cluster to test on."""
    named = _named_by_the_user()
    if named is not None:
        return Path(named)
    running: Node = request.getfixturevalue("node")
    return running.kubeconfig


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """kubectl as the user of that kubeconfig."""
    return Kubectl(tools.require("kubectl"), kubeconfig)


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest, kubectl: Kubectl) -> Platform:
    """The operator installed by its chart, the images where the cluster finds them, and the generated data."""
    node = None if _named_by_the_user() else request.getfixturevalue("node")
    target = Target(kubectl, node)
    references, made = target.provide_images(), data.prepare()
    started = time.monotonic()
    install.install(kubectl, references)
    return Platform(target, references, made, time.monotonic() - started)


@pytest.fixture(scope="session")
def busybox() -> str:
    """An image with a shell; on a cluster of the user's own, `LORE_TEST_IMAGE` names it."""
    return os.environ.get("LORE_TEST_IMAGE", "busybox:stable") if _named_by_the_user() else BUSYBOX


def _own_node() -> Node:
    named = _named_by_the_user()
    if named is not None:
        _unavailable(f"KUBECONFIG names {named}; this tests the node of hack/")
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail("one machine has one node: run tests/e2e without -n")
    tools.require_profile("node")
    return Node(cluster_directory("node"))


def _named_by_the_user() -> str | None:
    return external.kubeconfig(Node(cluster_directory("node")).kubeconfig)


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
