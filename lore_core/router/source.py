"""Where the configuration comes from: the mounted file at start, the ConfigMap itself where the pod may watch it.

The kubelet refreshes a mounted ConfigMap only about once a minute. Once the API has delivered the ConfigMap, the file is no
longer looked at: it can only be older.
"""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import httpx

from lore_core.router.config import CONFIG_KEY, CONFIG_MAP_VARIABLE

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_FILE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 60


class ConfigMapClient:
    """One ConfigMap through the API, with the pod's own token; needs get and watch on that name alone."""

    def __init__(self, namespace: str, name: str, server: str | None = None, account: Path = _ACCOUNT) -> None:
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        base = server or f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._url, self._name = f"{base}/api/v1/namespaces/{namespace}/configmaps", name
        self._token = account / "token"
        ca = account / "ca.crt"
        self._verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(ca)) if ca.is_file() else True

    async def texts(self) -> AsyncIterator[str]:
        """The key's text now and whenever it changes, for ever; errors are reported and tried again."""
        timeout = httpx.Timeout(10.0, read=_WATCH_SECONDS + 15)
        said = ""
        async with httpx.AsyncClient(verify=self._verify, timeout=timeout, trust_env=False) as client:
            while True:
                try:
                    async with aclosing(self._one_watch(client)) as watched:
                        async for text in watched:
                            yield text
                except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
                    problem = f"ConfigMap {self._name}: {type(error).__name__}: {error}"
                    if problem != said:
                        print(f"router: {problem}", file=sys.stderr)
                    said = problem
                    await asyncio.sleep(_RETRY_SECONDS)

    async def _one_watch(self, client: httpx.AsyncClient) -> AsyncGenerator[str]:
        response = await client.get(f"{self._url}/{self._name}", headers=self._headers())
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        yield found["data"][CONFIG_KEY]
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={self._name}",
            "resourceVersion": found["metadata"]["resourceVersion"],
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with client.stream("GET", self._url, params=query, headers=self._headers()) as stream:
            stream.raise_for_status()
            async for line in stream.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "DELETED":
                    yield event["object"]["data"][CONFIG_KEY]

    def _headers(self) -> dict[str, str]:
        if not self._token.is_file():
            return {}
        return {"Authorization": f"Bearer {self._token.read_text(encoding='utf-8').strip()}"}


def client_from_environment() -> ConfigMapClient | None:
    """`LORE_ROUTER_CONFIGMAP=NAMESPACE/NAME` names the ConfigMap; without it only the file is read."""
    named = os.environ.get(CONFIG_MAP_VARIABLE)
    if not named:
        return None
    namespace, _, name = named.partition("/")
    return ConfigMapClient(namespace, name)


async def config_texts(file: Path, client: ConfigMapClient | None) -> AsyncIterator[str]:
    """Every new text of the configuration, each once in a row."""
    queue: asyncio.Queue[tuple[bool, str]] = asyncio.Queue()
    tasks = [asyncio.create_task(_from_file(file, queue))]
    if client is not None:
        tasks.append(asyncio.create_task(_from_api(client, queue)))
    last, api_spoke = "", False
    try:
        while True:
            from_api, text = await queue.get()
            api_spoke = api_spoke or from_api
            if text != last and (from_api or not api_spoke):
                last = text
                yield text
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _from_file(file: Path, queue: asyncio.Queue[tuple[bool, str]]) -> None:
    last = None
    while True:
        text = await asyncio.to_thread(_read, file)
        if text is not None and text != last:
            last = text
            queue.put_nowait((False, text))
        await asyncio.sleep(_FILE_SECONDS)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


async def _from_api(client: ConfigMapClient, queue: asyncio.Queue[tuple[bool, str]]) -> None:
    async for text in client.texts():
        queue.put_nowait((True, text))
