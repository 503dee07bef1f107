"""What whoever installs the operator sets, and what wrong settings get."""

from pathlib import Path

import pytest
from unit.plan import signed

from lore_operator.settings import Lease, Settings, SettingsError

GIVEN = {"LORE_TRAINER_IMAGE": "t:1", "LORE_SERVER_IMAGE": "s:1", "LORE_ROUTER_IMAGE": "r:1"}


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_an_image_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({key: value for key, value in GIVEN.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LORE_IMAGE_PULL_POLICY", "Sometimes"),
        ("LORE_WORKERS", "0"),
        ("LORE_WORKERS", "many"),
        ("LORE_HTTP_PORT", "70000"),
        ("LORE_LOG_LEVEL", "loud"),
        ("LORE_LEASE", "no-namespace"),
        ("LORE_LEASE_SECONDS", "1"),
        ("LORE_PROMETHEUS_URL", "prometheus:9090"),
        ("LORE_PROMETHEUS_URL", "http://user:secret@prometheus"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        Settings.from_environment(GIVEN | {"LORE_LEASE": "system/operator"} | {name: value})


def test_without_a_lease_the_operator_is_the_only_one() -> None:
    assert Settings.from_environment(GIVEN).lease is None
    leased = Settings.from_environment(GIVEN | {"LORE_LEASE": "system/operator"})
    assert leased.lease == Lease("system", "operator", 15)


def test_an_address_may_have_a_path_and_no_slash_at_its_end() -> None:
    found = Settings.from_environment(GIVEN | {"LORE_PROMETHEUS_URL": "https://metrics/prometheus/"})
    assert found.prometheus_url == "https://metrics/prometheus"
    assert Settings.from_environment(GIVEN).prometheus_url == ""


def test_no_namespaces_means_all() -> None:
    assert Settings.from_environment(GIVEN).namespaces == ()


def test_namespaces_are_a_list() -> None:
    assert Settings.from_environment(GIVEN | {"LORE_NAMESPACES": "a, b,"}).namespaces == ("a", "b")


def test_a_proxy_reaches_the_pods() -> None:
    assert Settings.from_environment(GIVEN | {"HTTPS_PROXY": "http://p:1"}).children.environment == {
        "HTTPS_PROXY": "http://p:1"
    }


def test_trusted_keys_are_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "staging.pem").write_bytes(signed.PUBLIC)
    (tmp_path / "..data").mkdir()
    assert len(Settings.from_environment(GIVEN | {"LORE_TRUSTED_KEYS": str(tmp_path)}).children.trusted_keys) == 1
    assert len(Settings.from_environment(GIVEN).children.trusted_keys) == 0


@pytest.mark.parametrize("content", [None, b"no key"])
def test_a_key_that_cannot_be_read_stops_the_operator_at_its_start(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys/bad.pem").write_bytes(content)
    with pytest.raises(SettingsError, match="LORE_TRUSTED_KEYS"):
        Settings.from_environment(GIVEN | {"LORE_TRUSTED_KEYS": str(tmp_path / "keys")})
