"""Headless Chromium, driven over the DevTools protocol (chromedevtools.github.io/devtools-protocol)."""

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from cluster.operator_process import until

_SECONDS = 60.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it refuses to run as root otherwise; it opens the tests' own pages only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Browser:
    """One page. `events` are all that it told since it began, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []

    async def listen(self) -> None:
        """Take in what the browser says, until it hangs up."""
        async for message in self._socket:
            told = message.json()
            if (waiting := self._answers.pop(told.get("id"), None)) is not None:
                waiting.set_result(told)
            else:
                self.events.append(told)

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command; its whole answer, which may be an error."""
        number = next(self._numbers)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_SECONDS):
            return await waiting

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command; its result."""
        answer = await self.ask(method, **parameters)
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def go(self, url: str) -> None:
        """Open an address and wait until the page is loaded."""
        await self._leave(lambda: self.call("Page.navigate", url=url))

    async def submit(self, field: str, value: str) -> None:
        """Fill in a field, send its form, and wait for the page that answers."""
        await self._act(
            f"const f = document.querySelector('[name={field}]'); f.value = {value!r}; f.form.requestSubmit()"
        )

    async def click(self, words: str) -> None:
        """Press the link or button with these words, and wait for its page."""
        await self._act(
            f"[...document.querySelectorAll('a, button')].find(found => found.textContent === {words!r}).click()"
        )

    async def text(self) -> str:
        """What a person reads."""
        return str(await self.evaluate("document.body.innerText"))

    async def picture(self, width: int = 1000, height: int = 640) -> bytes:
        """The page as a PNG."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        found = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(found["data"])

    def of(self, method: str) -> list[dict[str, Any]]:
        """The events of a kind."""
        return [event["params"] for event in self.events if event["method"] == method]

    async def _act(self, script: str) -> None:
        """Run a script that leaves the page; later, so that its own answer does not get lost on the way."""
        await self._leave(lambda: self.evaluate(f"setTimeout(() => {{{script}}}, 0)"))

    async def _leave(self, act: Callable[[], Awaitable[Any]]) -> None:
        """Do what leaves the page, and wait until another one is complete."""
        await self.evaluate("window.left = true")
        await act()
        await until(self._arrived, bool, _SECONDS)

    async def _arrived(self) -> bool:
        told = "!window.left && location.protocol !== 'about:' && document.readyState === 'complete'"
        answer = await self.ask("Runtime.evaluate", expression=told, returnByValue=True)
        return bool(answer.get("result", {}).get("result", {}).get("value"))  # an error while pages change


@contextlib.asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """A browser with an empty profile in the folder; it and all its processes are gone afterwards."""
    with running(folder) as process:
        async with aiohttp.ClientSession() as session:
            url = await _page(session, folder / "profile" / "DevToolsActivePort", process)
            async with session.ws_connect(url, max_msg_size=0) as socket:
                browser = Browser(socket)
                listening = asyncio.create_task(browser.listen())
                for domain in ("Page", "Network", "Log", "Runtime"):
                    await browser.call(f"{domain}.enable")
                yield browser
            await listening


@contextlib.contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Its processes, in a session of their own."""
    command = ["chromium", *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    if shutil.which(command[0]) is None:
        raise RuntimeError("chromium is not installed; hack/debian-packages.txt names its package")
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def _announced(file: Path) -> str:
    """The port that the browser wrote down; empty until then."""
    return file.read_text().partition("\n")[0] if file.exists() else ""


async def _page(session: aiohttp.ClientSession, announced: Path, process: subprocess.Popen[bytes]) -> str:
    """The socket of the first page, once the browser listens."""

    async def port() -> str:
        assert process.poll() is None, "chromium ended; see chromium.log"
        return _announced(announced)

    async def pages() -> list[dict[str, Any]]:
        async with session.get(f"http://127.0.0.1:{number}/json/list") as answer:
            return [one for one in await answer.json() if one["type"] == "page"]

    number = await until(port, bool, _SECONDS)
    return str((await until(pages, bool, _SECONDS))[0]["webSocketDebuggerUrl"])
