"""Four compositions of stub predictors as Kubernetes objects, and the artifacts that they name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.load import Question
from benchmarks.faults.node.api_server import STUB
from benchmarks.faults.world import SCORES, head_files, judge, strata_files
from benchmarks.router.world import kit_files, published
from lore_core.router.config import PinnedRef

NAME: Final = "faults"
CLAIM: Final = "workspace"
COMPOSITIONS: Final = ("r1", "r2", "r3", "r4")
KEPT: Final = {("r4", "tail"): "r2"}
"""Predictors that a composition has from another one."""
_TIERS: Final = {"torso": "tail", "tail": "torso"}
"""Each predictor's tier, and the one it falls back to."""
_API: Final = "lore-platform.io/v1alpha1"
_ROOT: Final = Path(__file__).resolve().parents[3]
_STUB_CODE: Final = {
    "api_server.py": ("benchmarks/faults/node/api_server.py", "vllm/entrypoints/openai/api_server.py"),
    "predictor.py": ("benchmarks/faults/predictor.py", "benchmarks/faults/predictor.py"),
    "wire.py": ("benchmarks/router/wire.py", "benchmarks/router/wire.py"),
}
"""Key in the ConfigMap → file here, and its path in the pod."""
_WORKING_FOLDER: Final = "/tmp"
"""Of the image: `python3 -m` looks for modules there first. KServe refuses PYTHONPATH in a predictor."""


class NodeWorld:
    """The artifacts below a folder, and manifests that name them on the workspace's claim."""

    def __init__(self, root: Path, namespace: str, image: str) -> None:
        self._namespace, self._image = namespace, image
        self.folders: dict[str, Path] = {}
        self._strata = self._published(root, "strata", "strata", strata_files())
        self._heads = {
            one: self._published(root, f"head-{one}", "head", head_files(one)) for one in COMPOSITIONS
        }  # fmt: skip
        self._models = {
            (one, tier): self._published(root, f"{tier}-{one}", "model", _model_files(one, tier))
            for one in COMPOSITIONS
            for tier in _TIERS
            if (one, tier) not in KEPT
        }

    def objects(self) -> list[dict[str, Any]]:
        """The stub's code and the models of all compositions."""
        code = {key: (_ROOT / source).read_text(encoding="utf-8") for key, (source, _) in _STUB_CODE.items()}
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._metadata("stub"), "data": code}
        models = [
            {
                "apiVersion": _API,
                "kind": "RelevanceModel",
                "metadata": self._metadata(f"{tier}-{one}"),
                "spec": {**ref, "role": "Classifier"},
            }
            for (one, tier), ref in self._models.items()
        ]
        return [config_map, *models]

    def deployment(self, composition: str, rollout: dict[str, Any]) -> dict[str, Any]:
        """The RelevanceDeployment with one of the compositions: two routers, no gate."""
        spec = {
            "strata": self._strata,
            "tiers": [
                {"stratum": "head", "cache": {"generation": self._heads[composition], "onMiss": "torso"}},
                *(self._tier(composition, tier, other) for tier, other in _TIERS.items()),
            ],
            "gate": {"mode": "Disabled"},
            "router": {"replicas": 2},
            "rollout": rollout,
        }
        return {"apiVersion": _API, "kind": "RelevanceDeployment", "metadata": self._metadata(NAME), "spec": spec}

    def _tier(self, composition: str, tier: str, other: str) -> dict[str, Any]:
        small = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
        items = [{"key": key, "path": path} for key, (_, path) in _STUB_CODE.items()]
        mounts = [
            {"name": "stub", "mountPath": f"{_WORKING_FOLDER}/{package}", "subPath": package, "readOnly": True}
            for package in sorted({path.split("/")[0] for _, path in _STUB_CODE.values()})
        ]
        stub = {
            "volumes": [{"name": "stub", "configMap": {"name": "stub", "items": items}}],
            "containers": [{"name": "lore", "volumeMounts": mounts}],
        }
        runner = {
            "resources": small,
            "podTemplate": {"spec": stub},
        }
        predictor = {
            "modelRef": {"name": model(composition, tier)},
            "servingProfile": {"image": self._image},
            "runner": runner,
        }
        guard = {"breakerPause": "300ms"}
        return {"stratum": tier, "predictor": predictor, "budget": "1s", "fallback": [other], "guard": guard}

    def _published(self, root: Path, place: str, kind: str, files: dict[str, bytes]) -> dict[str, str]:
        folder = root / place
        folder.mkdir()
        ref: PinnedRef = published(folder, kind, files)
        self.folders[f"{NAME}/{place}"] = folder / kind
        return {"uri": f"pvc://{CLAIM}/{NAME}/{place}", "digest": ref.digest}

    def _metadata(self, name: str) -> dict[str, str]:
        return {"name": name, "namespace": self._namespace}


def model(composition: str, tier: str) -> str:
    """The name of the RelevanceModel that a tier serves."""
    return f"{tier}-{KEPT.get((composition, tier), composition)}"


def _model_files(composition: str, tier: str) -> dict[str, bytes]:
    return {**kit_files(), STUB: json.dumps({"scores": SCORES[composition, tier]}).encode()}


@dataclass
class Bound:
    """A Judge where revisions have names that the operator gave: the first scores of each say which composition it is."""

    compositions: dict[str, str]

    def __call__(self, question: Question, answer: dict[str, Any]) -> str | None:
        """As `judge`, which knows every score. What two compositions have alike binds nothing."""
        bound = self.compositions.get(answer["revision"])
        found = [bound] if bound else _compositions_of(answer)
        if len(found) == 1:
            self.compositions[answer["revision"]] = found[0]
        problems = [judge(question, {**answer, "revision": one}) for one in found or ["unknown"]]
        return None if None in problems else problems[0]


def _compositions_of(answer: dict[str, Any]) -> list[str]:
    """Whose scores the first item has that any has."""
    for item in answer["items"]:
        scores = item["tier"], tuple(item["probabilities"])
        if found := [one for (one, tier), known in SCORES.items() if (tier, known) == scores]:
            return found
    return []
