"""A small Qwen3-VL, its tail served by a verified predictor, its torso by a runtime of KServe's that loads other weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import numpy.typing as npt
from e2e.platform import API, CLAIM, Platform
from integration.router.world import Warehouse
from integration.scoring import seeing

from hack.demo import data
from lore_core.cli import main
from lore_core.headcache import Features
from lore_core.headcache.items import QueryItem
from lore_core.prompts import ModelKit

NAME: Final = "pictured"
RUNTIME: Final = "own-vllm"
SERVED, ELSEWHERE = "models/seeing", "models/elsewhere"
"""What `modelRef` names, and what lies where the runtime's `storageUri` points."""
KNOWN: Final = {"known": Features("a shirt", vqa_result="a green shirt")}
"""The items snapshot."""
QUERIES: Final = {"torso": "blue shirt", "tail": "red shirt"}
_SERVER: Final = {"requests": {"cpu": "200m", "memory": "3Gi"}, "limits": {"memory": "6Gi"}}
_RESTRICTED: Final = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


class World:
    """Artifacts below a folder and objects that name them on a namespace's claim. `weights` are transformers' models."""

    def __init__(self, root: Path) -> None:
        self.weights = {place: _imported(root / place, seed) for place, seed in ((SERVED, 3), (ELSEWHERE, 4))}
        made = Warehouse(root)
        published = {"strata": made.strata({QUERIES["torso"]: "torso"}), "items": made.items(KNOWN)}
        self.folders = {place: root / place / "model" for place in self.weights}
        self.folders |= {place: Path(ref.uri.removeprefix("file://")) for place, ref in published.items()}
        self.kit = ModelKit.load(self.folders[SERVED])

    def objects(self, namespace: str, image: str) -> list[dict[str, Any]]:
        """The runtime, whose container runs `image`, the model and the deployment."""
        model = {**self._pinned(SERVED), "role": "Generative"}
        kinds = {"RelevanceModel": ("seeing", model), "RelevanceDeployment": (NAME, self._deployment())}
        ours = [
            {"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
            for kind, (name, spec) in kinds.items()
        ]
        return [_runtime(namespace, image), *ours]

    def _deployment(self) -> dict[str, Any]:
        runtime = {"name": RUNTIME, "storageUri": f"pvc://{CLAIM}/{ELSEWHERE}"}
        return {
            "strata": self._pinned("strata"),
            "items": self._pinned("items"),
            "tiers": [_tier("torso", "tail", kserveRuntime=runtime), _tier("tail", "torso")],
            # A verdict would be one more start of vLLM: what is enforced here concerns no tier there is.
            "gate": {"allowUnverified": True, "requirements": [{"name": "quality", "strata": ["head"]}]},
            "router": {"cacheSize": "64Mi"},
        }

    def _pinned(self, place: str) -> dict[str, str]:
        return {"uri": f"pvc://{CLAIM}/{place}", "digest": data.digest(self.folders[place])}


@dataclass(frozen=True)
class Pictured:
    """The deployment, Ready, and a client of its router."""

    platform: Platform
    namespace: str
    world: World
    client: httpx.Client

    def ask(self, stratum: str, *items: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query of the stratum."""
        answer = self.post(stratum, *items)
        assert answer.status_code == httpx.codes.OK, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def post(self, stratum: str, *items: dict[str, Any]) -> httpx.Response:
        """The response to it, whatever its status."""
        return self.client.post("/v1/relevance", json={"query": QUERIES[stratum], "items": items})

    def own(self, place: str, stratum: str, *shown: Features) -> npt.NDArray[np.float64]:
        """The probabilities that transformers computes of the weights at a place, a row an item."""
        prompts = [self.world.kit.render(QueryItem.of(QUERIES[stratum], "", item)) for item in shown]
        return np.array([seeing.probabilities(self.world.weights[place], prompt) for prompt in prompts])

    def get(self, plural: str, *names: str) -> Any:
        """An object of the namespace, or all of a kind."""
        return self.platform.kubectl.get(plural, *names, f"--namespace={self.namespace}")


def _imported(folder: Path, seed: int) -> Any:
    folder.mkdir(parents=True)
    weights = seeing.write_model(folder / "made", seed)
    words = ["--max-prompt-tokens", "400", "--image-tokens", str(seeing.IMAGE_TOKENS)]
    out = (folder / "model").absolute().as_uri()
    assert main(["model", "import", "--model", str(folder / "made"), "--out", out, *words]) == 0
    return weights


def _tier(stratum: str, other: str, **more: Any) -> dict[str, Any]:
    predictor = {
        "modelRef": {"name": "seeing"},
        "servingProfile": {"dtype": "float32", "maxModelLen": 512},
        "runner": {"resources": _SERVER},
        **more,
    }
    # One failure would rest the tier, so that what counts as one shows.
    guard = {"breakerFailures": 1, "breakerPause": "1h"}
    return {"stratum": stratum, "predictor": predictor, "budget": "1m", "fallback": [other], "guard": guard}


def _runtime(namespace: str, image: str) -> dict[str, Any]:
    """As KServe's `kserve-vllmserver`, with the security context that a restricted namespace asks of a container."""
    health = {"httpGet": {"path": "/v1/models", "port": 8080}, "timeoutSeconds": 5}
    container = {
        "name": "kserve-container",
        "image": image,
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": ["--port=8080", "--served-model-name={{.Name}}", "--model=/mnt/models"],
        "startupProbe": {**health, "periodSeconds": 5, "failureThreshold": 100},
        "readinessProbe": {**health, "periodSeconds": 10, "failureThreshold": 3},
        "securityContext": _RESTRICTED,
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    spec = {
        "supportedModelFormats": [{"name": "vLLM", "version": "1"}],
        "containers": [container],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }
    metadata = {"name": RUNTIME, "namespace": namespace}
    return {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "metadata": metadata, "spec": spec}
