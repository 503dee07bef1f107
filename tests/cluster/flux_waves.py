"""`deploy/flux` as a person applies and follows it: pushes, `flux reconcile`, and what each wave says then."""

import secrets
from pathlib import Path
from typing import Any

from cluster.fixtures import REPOSITORY
from cluster.git_repository import GitRepository
from cluster.operator_process import Api, condition, until

from lore_operator.engine.resources import Resource

STAGING_WAVE = "relevance-staging"
PRODUCTION_WAVE = "relevance-production"
_WAVES = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
_SOURCES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")


def flux_files(folder: Path, changes: dict[str, str]) -> Path:
    """A copy of `deploy/flux` with an address and namespaces of one's own."""
    folder.mkdir()
    unused = set(changes)
    for file in (REPOSITORY / "deploy/flux").glob("*.yaml"):
        text = file.read_text()
        for old, new in changes.items():
            unused -= {old} if old in text else set()
            text = text.replace(old, new)
        (folder / file.name).write_text(text)
    assert not unused, "what a person is to change is there"
    return folder


class Waves:
    """The waves of one repository; `api` sees the namespace in which Flux's objects are."""

    def __init__(self, api: Api, repository: GitRepository) -> None:
        self._api, self._repository = api, repository

    @property
    def revision(self) -> str:
        """HEAD as Flux writes it."""
        return f"main@sha1:{self._repository.git('rev-parse', 'HEAD').strip()}"

    async def push(self) -> None:
        """`git push`, and Flux has fetched it."""
        assert self._repository.git("status", "--porcelain") == "", "only what is committed is synced"
        self._repository.git("push", "--quiet", "origin", "HEAD:main")
        await self._ask(_SOURCES, "relevance")
        await until(
            lambda: self._api.get(_SOURCES, "relevance"),
            lambda seen: seen.get("status", {}).get("artifact", {}).get("revision") == self.revision,
        )

    async def look(self, wave: str) -> dict[str, Any]:
        """The wave's Kustomization."""
        return await self._api.get(_WAVES, wave)

    async def healthy(self, wave: str) -> None:
        """HEAD is applied there, and Ready. A wave that failed before is asked to look again: it would by itself a minute later."""
        asked = await self._ask(_WAVES, wave)
        await until(
            lambda: self.look(wave),
            lambda seen: (
                condition(seen, "Ready").get("status") == "True"
                and seen["status"].get("lastAppliedRevision") == self.revision
                and seen["status"].get("lastHandledReconcileAt") == asked
            ),
        )

    async def failed(self, wave: str) -> str:
        """HEAD was tried there and its health check failed; Flux's words."""
        seen = await until(
            lambda: self.look(wave),
            lambda seen: (
                condition(seen, "Ready").get("reason") == "HealthCheckFailed"
                and seen["status"].get("lastAttemptedRevision") == self.revision
            ),
        )
        assert condition(seen, "Ready")["status"] == "False"
        return str(condition(seen, "Ready")["message"])

    async def held(self, wave: str) -> dict[str, Any]:
        """Asked again, the wave still waits for the one before."""
        asked = await self._ask(_WAVES, wave)
        seen = await until(lambda: self.look(wave), lambda seen: seen["status"].get("lastHandledReconcileAt") == asked)
        assert condition(seen, "Ready")["reason"] == "DependencyNotReady", condition(seen, "Ready")
        return dict(seen["status"])

    async def _ask(self, resource: Resource, name: str) -> str:
        token = secrets.token_hex(8)
        annotation = {"reconcile.fluxcd.io/requestedAt": token}
        await self._api.patch(resource, name, {"metadata": {"annotations": annotation}})
        return token
