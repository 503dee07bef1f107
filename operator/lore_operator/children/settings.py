"""What the installation decides for every pod: default images and the environment that reaches all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lore_core.attestation import TrustedKeys


@dataclass(frozen=True)
class Images:
    """Images used where a spec names none. Digests are recommended: an image is part of what a verdict is bound to."""

    trainer: str
    server: str
    router: str


@dataclass(frozen=True)
class Settings:
    """Settings of the operator that reach its children.

    `environment` is put into every container, for a proxy for example; `image_pull_secrets` are names of Secrets of the
    resource's namespace; `version` is written into what is rendered, so that it can be seen what rendered it.
    `shared_account`: an admission policy guards the reports, so that the workload pods of a namespace may share one ServiceAccount.
    `trusted_keys` are those whose signed verdicts count, wherever they were reached.
    """

    images: Images
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)
    image_pull_secrets: tuple[str, ...] = ()
    image_pull_policy: str = "IfNotPresent"
    shared_account: bool = False
    trusted_keys: TrustedKeys = field(default_factory=TrustedKeys)
