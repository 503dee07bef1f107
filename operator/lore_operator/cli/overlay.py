"""The files of an overlay: reads the component of earlier promotions, writes the next one, and undoes what does not build."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from lore_operator.cli.kubectl import CannotTell, Object
from lore_operator.cli.promotion import COMPONENT, Place, Refused, component, tier_patch

_NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_HEADER: Final = "# Written by `lore promote`; do not edit.\n"


class Overlay:
    """One overlay folder. CannotTell where it has no kustomization, or where that does not use the component."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.component = folder, folder / COMPONENT
        found = [folder / name for name in _NAMES if (folder / name).is_file()]
        if not found:
            raise CannotTell(f"{folder} has no kustomization.yaml")
        self._main = found[0]

    def write(self, model: Object, chosen: list[Place], build: Callable[[str], str]) -> list[Path]:
        """Write the component, see that the overlay builds with it, and name what changed. Otherwise all is as it was."""
        before = self._main.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as scratch:
            kept = Path(scratch) / COMPONENT
            if self.component.exists():
                shutil.copytree(self.component, kept)
            try:
                self._write(model, chosen)
                self._use(before)
                build(str(self.folder))
            except BaseException:
                self._restore(before, kept)
                raise
            return self._changed(before, kept)

    def _write(self, model: Object, chosen: list[Place]) -> None:
        self.component.mkdir(exist_ok=True)
        spec, name = model["spec"], model["metadata"]["name"]
        target = self.component / _model_file(name)
        if target.exists() and (old := _read(target)["spec"]["digest"]) != spec["digest"]:
            raise Refused(
                f"{target} holds {name} with digest {old}; a RelevanceModel is immutable: publish under another name"
            )
        _dump(target, model)
        for place in chosen:
            _dump(self.component / place.file, tier_patch(place, name, spec["digest"]))
        self._kustomize()

    def _kustomize(self) -> None:
        """Name the patches and the models they need; files of models that no tier names any more go."""
        patches = {path.name: _read(path) for path in self.component.glob("*.yaml") if isinstance(_read(path), list)}
        needed = {_model_file(patch[-1]["value"]["name"]) for patch in patches.values()}
        for path in self.component.glob("model-*.yaml"):
            if path.name not in needed:
                path.unlink()
        deployments = {file: file.removesuffix(".yaml").rpartition("-")[0] for file in patches}
        _dump(self.component / "kustomization.yaml", component(needed, deployments))

    def _use(self, before: str) -> None:
        """Name the component in the overlay's kustomization, at its end, so that nothing else of the file changes."""
        components = (yaml.safe_load(before) or {}).get("components")
        if components is None:
            self._main.write_text(f"{before.rstrip()}\ncomponents:\n- {COMPONENT}\n", encoding="utf-8")
        elif COMPONENT not in components:
            raise CannotTell(f"{self._main} lists components: add `- {COMPONENT}` to them, then promote again")

    def _restore(self, before: str, kept: Path) -> None:
        self._main.write_text(before, encoding="utf-8")
        shutil.rmtree(self.component, ignore_errors=True)
        if kept.exists():
            shutil.copytree(kept, self.component)

    def _changed(self, before: str, kept: Path) -> list[Path]:
        old = {path.name: path.read_bytes() for path in kept.glob("*")} if kept.exists() else {}
        new = {path.name: path.read_bytes() for path in self.component.glob("*")}
        changed = [self.component / name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        return changed + ([self._main] if self._main.read_text(encoding="utf-8") != before else [])


def _model_file(name: str) -> str:
    return f"model-{name}.yaml"


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _dump(path: Path, value: Any) -> None:
    path.write_text(_HEADER + yaml.safe_dump(value, sort_keys=False, width=120), encoding="utf-8")
