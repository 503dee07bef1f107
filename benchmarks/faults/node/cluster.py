"""What a fault run does to a deployment on the node, and what it sees of it."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.faults.fleet import summed
from hack.cluster.kubectl import Kubectl
from hack.cluster.node import Node
from lore_operator.children.composition import Recipe

_POLL_SECONDS: Final = 0.3
_LONGEST_SECONDS: Final = 300.0
_IN_FLIGHT: Final = "lore_router_in_flight"
_SERVED_BY: Final = "serving.kserve.io/inferenceservice"
_PORT: Final = 8080

Status = dict[str, Any]


class Cluster:
    """One deployment in one namespace of the node. `ready` follows the router Service's endpoints, as kube-proxy does."""

    def __init__(self, node: Node, kubectl: Kubectl, namespace: str, deployment: str) -> None:
        self._node, self._kubectl, self._where = node, kubectl, f"--namespace={namespace}"
        self._name = deployment
        self._slices: dict[str, dict[str, str]] = {}
        """By EndpointSlice, the url of each endpoint that may get new requests → its pod."""

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator["Cluster"]:
        """With endpoints followed and a session for requests to pods."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as self._session:
            watch = asyncio.create_task(self._follow())
            try:
                yield self
            finally:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)

    def ready(self) -> list[str]:
        """Addresses of the routers that are endpoints of the Service now."""
        return [url for endpoints in self._slices.values() for url in endpoints]

    def router_at(self, url: str) -> str:
        """The pod that has a router's address."""
        return next(endpoints[url] for endpoints in self._slices.values() if url in endpoints)

    async def metric(self, name: str) -> int:
        """One counter, all labels and routers together."""
        total = 0
        for url in self.ready():
            total += await self._of_router(url, name)
        return total

    async def _of_router(self, url: str, name: str) -> int:
        async with self._session.get(f"{url}/metrics") as answer:
            return summed(await answer.text(), name)

    async def apply(self, *objects: dict[str, Any]) -> None:
        """Server-side apply."""
        await asyncio.to_thread(self._kubectl.apply, *objects)

    async def until(self, what: str, holds: Callable[[Status], bool]) -> Status:
        """The deployment's status once it is of the present spec and `holds`."""
        return await self._until(what, lambda: self.status(), lambda found: bool(found) and holds(found))

    async def status(self) -> Status:
        """Its status; empty until the operator has seen the present spec."""
        found = await self._get(f"rdep/{self._name}")
        status: Status = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    async def routers(self, count: int) -> None:
        """Wait until so many routers are endpoints."""
        await self._until(f"{count} routers", self._endpoints, lambda found: len(found) == count)

    async def compositions(self) -> dict[str, Recipe]:
        """Every revision that the operator recorded, by name."""
        found = await self._get("controllerrevisions")
        return {one["metadata"]["name"]: Recipe.model_validate(one["data"], extra="ignore") for one in found["items"]}

    async def backend(self, model: str) -> str:
        """The InferenceService that serves a model, once there is one."""

        async def named() -> str:
            parts = [part for recipe in (await self.compositions()).values() for part in recipe.predictors.values()]
            return next((part.backend.name for part in parts if part.backend.model_name == model), "")

        return str(await self._until(f"a backend of {model}", named, bool))

    async def predictor(self, model: str) -> dict[str, Any]:
        """The pod that serves a model, once it is Ready."""
        selector = f"--selector={_SERVED_BY}={await self.backend(model)}"

        async def pods() -> list[dict[str, Any]]:
            return [pod for pod in (await self._get("pods", selector))["items"] if _is_ready(pod)]

        return (await self._until(f"a pod of {model}", pods, bool))[0]

    async def behave(self, model: str, mode: str) -> None:
        """Tell a stub predictor how to behave."""
        address = (await self.predictor(model))["status"]["podIP"]
        async with self._session.post(f"http://{address}:{_PORT}/behave", data=mode.encode()) as answer:
            answer.raise_for_status()

    async def kill_predictor(self, model: str) -> None:
        """SIGKILL for the server's process; the kubelet starts it again."""
        await self._kill(await self._process(await self.predictor(model), "kserve-container"))

    async def kill_router(self, url: str) -> float:
        """SIGKILL for a router's process with a question in flight on it.

        The moment (`time.monotonic`) from which nothing could be sent to it.
        """
        process = await self._process(await self._get(f"pod/{self.router_at(url)}"), "lore")
        await self._until("a question in flight", lambda: self._of_router(url, _IN_FLIGHT), bool, 0.005)
        await self._kill(process)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # what its sockets said at their end has been read
        return time.monotonic()

    async def restarts(self, pod: str) -> int:
        """How often the kubelet has started a pod's router again, once the router is Ready."""

        async def look() -> dict[str, Any]:
            found = (await self._get(f"pod/{pod}"))["status"].get("containerStatuses") or ()
            return next((one for one in found if one["name"] == "lore"), {})

        found = await self._until(f"the router of {pod} is Ready", look, lambda one: bool(one.get("ready")))
        return int(found["restartCount"])

    async def restarted(self, pod: str, restarts: int) -> None:
        """Wait until the kubelet has started a pod's router once more than before."""
        await self._until(f"another router in {pod}", lambda: self.restarts(pod), lambda found: found > restarts)

    async def restart_routers(self) -> None:
        """One after another, as `kubectl rollout restart` does; returns when the last former one has left."""
        before = {pod["metadata"]["name"] for pod in await self._router_pods()}
        await self._run("rollout", "restart", f"deployment/{self._name}-router")

        async def former() -> set[str]:
            return before & {pod["metadata"]["name"] for pod in await self._router_pods()}

        await self._until("the former routers have left", former, lambda left: not left)

    async def _router_pods(self) -> list[dict[str, Any]]:
        selector = f"--selector=lore-platform.io/name={self._name},lore-platform.io/role=router"
        return list((await self._get("pods", selector))["items"])

    async def _process(self, pod: dict[str, Any], container: str) -> int:
        statuses = pod["status"]["containerStatuses"]
        name = next(one["containerID"] for one in statuses if one["name"] == container).removeprefix("containerd://")
        return await asyncio.to_thread(self._node.containerd.process, name)

    async def _kill(self, process: int) -> None:
        os.kill(process, signal.SIGKILL)
        await self._until("its end", lambda: asyncio.to_thread(_ended, process), bool, 0.005)

    async def _endpoints(self) -> list[str]:
        return self.ready()

    async def _get(self, *words: str) -> dict[str, Any]:
        return await asyncio.to_thread(self._kubectl.get, *words, self._where)

    async def _run(self, *words: str) -> str:
        return await asyncio.to_thread(self._kubectl, *words, self._where)

    async def _until(
        self, what: str, look: Callable[[], Any], holds: Callable[[Any], bool], pause: float = _POLL_SECONDS
    ) -> Any:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not holds(found := await look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {_LONGEST_SECONDS:.0f} s: {what}; last seen: {str(found)[:1000]}")
            await asyncio.sleep(pause)
        return found

    async def _follow(self) -> None:
        """Endpoints as the API server tells of them."""
        routers = f"--selector=kubernetes.io/service-name={self._name}-router"
        words = ["get", "endpointslices", routers, self._where, "--watch", "--output=json"]
        command = [str(self._kubectl.binary), f"--kubeconfig={self._kubectl.kubeconfig}", *words]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        try:
            text, decoder = "", json.JSONDecoder()
            while piece := await process.stdout.read(1 << 16):
                text += piece.decode()
                with contextlib.suppress(json.JSONDecodeError):
                    while text := text.lstrip():
                        found, end = decoder.raw_decode(text)
                        text = text[end:]
                        self._slices[found["metadata"]["name"]] = _ready_endpoints(found)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _ready_endpoints(found: dict[str, Any]) -> dict[str, str]:
    port = next((port["port"] for port in found.get("ports") or () if port.get("name") == "http"), _PORT)
    return {
        f"http://{address}:{port}": endpoint["targetRef"]["name"]
        for endpoint in found.get("endpoints") or ()
        if endpoint["conditions"].get("ready")
        for address in endpoint["addresses"]
    }


def _is_ready(pod: dict[str, Any]) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _ended(process: int) -> bool:
    """Whether a process is gone, or waits only for its parent to hear of its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
