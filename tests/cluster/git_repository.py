"""A Git repository of a base and two overlays, as a person edits it: commits, and promotions by `lore promote`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from cluster.lore_command import Run

from lore_core.cli import EXIT_OK

STAGING = "overlays/staging"
PRODUCTION = "overlays/production"
SEARCH: dict[str, Any] = {
    "apiVersion": "lore-platform.io/v1alpha1",
    "kind": "RelevanceDeployment",
    "metadata": {"name": "search"},
    "spec": {
        "strata": {"uri": "pvc://lore/strata", "digest": "sha256:" + "1" * 64},
        "tiers": [{"stratum": "tail", "predictor": {"modelRef": {"name": "none-yet"}}}],
        "gate": {"requirements": [{"name": "quality"}]},
        "revisionHistoryLimit": 1,
    },
}
"""What production serves before anything was promoted: its tier names a model that nobody has."""


class GitRepository:
    """A person's clone; `staging` is the namespace that models are promoted from."""

    def __init__(self, root: Path, run: Run, staging: str) -> None:
        root.mkdir()
        self.root, self._run, self._staging = root, run, staging
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "t")
        self.git("config", "user.email", "t@example.com")

    def write(self, path: str, document: Any) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.safe_dump(document, sort_keys=False))

    def read(self, path: str) -> Any:
        return yaml.safe_load((self.root / path).read_text())

    def git(self, *words: str) -> str:
        done = self._run("git", *words, cwd=self.root)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def promote(self, model: str, judge: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """`lore promote`, from staging into production, and the commit of what it wrote; `judge` is an evaluation for there."""
        done = self._run(
            "lore", "promote", model, "--to", PRODUCTION, "--tier", "tail", "-n", self._staging, cwd=self.root
        )
        if done.returncode == EXIT_OK:
            if judge:
                self.add(PRODUCTION, f"judge-{model}.yaml", dict(judge))
            self.commit(f"promote {model}")
        return done.returncode, done.stderr

    def add(self, overlay: str, name: str, document: Any) -> None:
        """Write a file of an overlay and list it there."""
        self.write(f"{overlay}/{name}", document)
        self._list(overlay, lambda names: [*names, name])

    def drop(self, overlay: str, name: str) -> None:
        """List a file no longer."""
        self._list(overlay, lambda names: [one for one in names if one != name])

    def _list(self, overlay: str, change: Callable[[list[str]], list[str]]) -> None:
        path = f"{overlay}/kustomization.yaml"
        document = self.read(path)
        self.write(path, document | {"resources": change(document["resources"])})

    def drift(self, overlay: str, namespace: str) -> str:
        """What a server-side diff finds between the overlay as it lies here and a namespace."""
        target = (f"--namespace={namespace}", "-k", overlay)
        done = self._run("kubectl", "diff", "--server-side", "--field-manager=drift", *target, cwd=self.root)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout
