"""What whoever installs the operator decides: images of the workload pods, namespaces, ports. Read from the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

PullPolicy = Literal["Always", "IfNotPresent", "Never"]

_IMAGES: Final = ("LORE_TRAINER_IMAGE", "LORE_SERVER_IMAGE", "LORE_ROUTER_IMAGE")


class SettingsError(Exception):
    """A variable is missing or wrong; the message names it and what it should hold."""


@dataclass(frozen=True)
class Images:
    """Images of the pods that the operator creates, where a resource's `runner` names none."""

    trainer: str
    server: str
    router: str
    pull_policy: PullPolicy = "IfNotPresent"


@dataclass(frozen=True)
class Settings:
    """The operator's settings. Plans and builders see all of it and use `images`.

    `namespaces` empty means all of them. Ports are 0 where the endpoint is not wanted.
    """

    images: Images
    namespaces: tuple[str, ...] = field(default=())
    workers: int = 8
    health_port: int = 8081
    metrics_port: int = 8080
    log_level: str = "INFO"

    @staticmethod
    def from_environment(environ: Mapping[str, str] = os.environ) -> "Settings":
        """Settings from `LORE_*` variables; SettingsError names the first that is missing or wrong."""
        trainer, server, router = (_required(environ, name) for name in _IMAGES)
        policy = environ.get("LORE_IMAGE_PULL_POLICY", "IfNotPresent")
        if policy not in get_args(PullPolicy):
            raise SettingsError(f"LORE_IMAGE_PULL_POLICY is {policy!r}; give one of {', '.join(get_args(PullPolicy))}")
        return Settings(
            images=Images(trainer, server, router, cast(PullPolicy, policy)),
            namespaces=tuple(filter(None, (part.strip() for part in environ.get("LORE_NAMESPACES", "").split(",")))),
            workers=_number(environ, "LORE_WORKERS", 8, least=1),
            health_port=_number(environ, "LORE_HEALTH_PORT", 8081),
            metrics_port=_number(environ, "LORE_METRICS_PORT", 8080),
            log_level=environ.get("LORE_LOG_LEVEL", "INFO").upper(),
        )


def _required(environ: Mapping[str, str], name: str) -> str:
    if not (value := environ.get(name, "").strip()):
        raise SettingsError(f"{name} is not set; give the image that the operator starts pods from")
    return value


def _number(environ: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    value = environ.get(name, str(default))
    if not value.isdecimal() or not least <= int(value) <= 65_535:
        raise SettingsError(f"{name} is {value!r}; give a whole number from {least} to 65535")
    return int(value)
