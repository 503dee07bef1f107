"""What stands in the way of a node is said at once, with the remedy."""

import os
from pathlib import Path

import pytest

from hack.cluster import host
from hack.cluster.errors import ClusterError


def complaint(directory: Path) -> str:
    with pytest.raises(ClusterError) as caught:
        host.check(directory, directory / "run" / "containerd.sock", own_kubelet=None)
    return str(caught.value)


def test_missing_packages_come_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "SEARCH", "/nowhere")
    monkeypatch.setattr(host, "CNI_PLUGINS", Path("/nowhere"))

    packages = (
        "buildah busybox-static conntrack containerd containernetworking-plugins iproute2 iptables runc util-linux"
    )
    assert f"apt-get install {packages}" in complaint(Path("/short"))


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert "run the same command with sudo" in complaint(Path("/short"))


def test_a_folder_too_deep_for_a_socket_names_the_variable_to_set() -> None:
    assert "LORE_CLUSTER_DIR" in complaint(Path("/deep" * 25))


def test_a_full_disk_is_said_before_the_kubelet_refuses_every_pod(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "_LEAST_FREE", 2**70)

    assert "GiB are free on the disk of" in complaint(tmp_path / "not" / "there yet")


def test_everything_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(host, "SEARCH", "/nowhere")

    said = complaint(Path("/deep" * 25))

    assert all(word in said for word in ("sudo", "apt-get install", "LORE_CLUSTER_DIR"))
