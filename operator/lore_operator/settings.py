"""What whoever installs the operator decides: images of the workload pods, namespaces, ports. Read from the environment once."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lore_core
from lore_core.attestation import TrustedKeys
from lore_operator.children.settings import Images
from lore_operator.children.settings import Settings as ChildSettings

_IMAGES: Final = ("LORE_TRAINER_IMAGE", "LORE_SERVER_IMAGE", "LORE_ROUTER_IMAGE")
_LEVELS: Final = ("INFO", "DEBUG", "WARNING", "ERROR")
_PASSED_ON: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Lease:
    """The Lease that the one working operator of several holds; `seconds` after its last sign of life another takes over."""

    namespace: str
    name: str
    seconds: int


class SettingsError(Exception):
    """A variable is missing or wrong; the message names it and what it should hold."""


@dataclass(frozen=True)
class Settings:
    """The operator's settings; `children` is the part that plans and builders see.

    `namespaces` empty means all of them.
    `http_port` serves `/metrics`, `/healthz` and `/readyz`; 0 takes a free port.
    Without a `lease` this operator takes itself for the only one.
    `monitors_left_out` are kinds of the Prometheus operator that the chart did not install, since the cluster lacked them.
    `prometheus_url` is the base address that a rollout's checks ask; empty: they are inconclusive.
    """

    children: ChildSettings
    namespaces: tuple[str, ...] = ()
    workers: int = 24
    http_port: int = 8080
    log_level: str = "INFO"
    lease: Lease | None = None
    prometheus_url: str = ""
    monitors_left_out: tuple[str, ...] = ()

    @staticmethod
    def from_environment(environ: Mapping[str, str] = os.environ) -> "Settings":
        """Settings from `LORE_*` variables; SettingsError names the first that is missing or wrong."""
        trainer, server, router = (_required(environ, name) for name in _IMAGES)
        return Settings(
            children=ChildSettings(
                images=Images(trainer, server, router),
                version=lore_core.__version__,
                environment={name: environ[name] for name in _PASSED_ON if environ.get(name)},
                image_pull_secrets=_list(environ, "LORE_IMAGE_PULL_SECRETS"),
                image_pull_policy=_one_of(environ, "LORE_IMAGE_PULL_POLICY", ("IfNotPresent", "Always", "Never")),
                shared_account=_one_of(environ, "LORE_SHARED_ACCOUNT", ("false", "true")) == "true",
                trusted_keys=_trusted_keys(environ.get("LORE_TRUSTED_KEYS", "")),
            ),
            namespaces=_list(environ, "LORE_NAMESPACES"),
            workers=_number(environ, "LORE_WORKERS", 24, least=1),
            http_port=_number(environ, "LORE_HTTP_PORT", 8080),
            log_level=_one_of(environ, "LORE_LOG_LEVEL", _LEVELS),
            lease=_lease(environ),
            prometheus_url=_address(environ, "LORE_PROMETHEUS_URL"),
            monitors_left_out=_list(environ, "LORE_MONITORS_LEFT_OUT"),
        )


@dataclass(frozen=True)
class ConsoleSettings:
    """The console's settings; `http_port` 0 takes a free port."""

    http_port: int = 8080
    log_level: str = "INFO"

    @staticmethod
    def from_environment(environ: Mapping[str, str] = os.environ) -> "ConsoleSettings":
        """Settings from `LORE_*` variables; SettingsError names the first that is wrong."""
        return ConsoleSettings(
            http_port=_number(environ, "LORE_HTTP_PORT", 8080),
            log_level=_one_of(environ, "LORE_LOG_LEVEL", _LEVELS),
        )


def _trusted_keys(folder: str) -> TrustedKeys:
    """The public keys of a folder, one PEM file each; entries of a mounted volume that begin with a dot are not files of ours."""
    if not folder:
        return TrustedKeys()
    try:
        files = [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")]
        return TrustedKeys(path.read_bytes() for path in files)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"LORE_TRUSTED_KEYS is {folder!r}: {error}; give a folder of Ed25519 public keys in PEM"
        ) from error


def _list(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in environ.get(name, "").split(","))))


def _lease(environ: Mapping[str, str]) -> Lease | None:
    if not (value := environ.get("LORE_LEASE", "")):
        return None
    namespace, _, name = value.partition("/")
    if not namespace or not name or "/" in name:
        raise SettingsError(f"LORE_LEASE is {value!r}; give NAMESPACE/NAME of the Lease")
    return Lease(namespace, name, _number(environ, "LORE_LEASE_SECONDS", 15, least=3))


def _address(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise SettingsError(f"{name} is {value!r}; give http(s)://HOST[:PORT][/PATH], without credentials, or nothing")
    return value.rstrip("/")


def _one_of(environ: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = environ.get(name) or choices[0]
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}; give one of {', '.join(choices)}")
    return value


def _required(environ: Mapping[str, str], name: str) -> str:
    if not (value := environ.get(name, "").strip()):
        raise SettingsError(f"{name} is not set; give the image that the operator starts pods from")
    return value


def _number(environ: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    value = environ.get(name, str(default))
    if not value.isdecimal() or not least <= int(value) <= 65_535:
        raise SettingsError(f"{name} is {value!r}; give a whole number from {least} to 65535")
    return int(value)
