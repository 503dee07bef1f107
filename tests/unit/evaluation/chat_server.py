"""An OpenAI-compatible chat endpoint whose model answers the label that the title names."""

import contextlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]


def says(text: str | None, finish: str = "stop", model: str = "judge-1") -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return 200, {"model": model, "choices": [choice], "usage": {"prompt_tokens": 90, "completion_tokens": 7}}


def by_title(item: dict[str, str]) -> Reply:
    named = re.search(r"l[1-4]", item["title"])
    return says(f"<think>weighing</think>The label is [{named[0].upper()}].") if named else says("no idea")


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[dict[str, str]], Reply], token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.token = answer, token
        self.bodies: list[dict[str, Any]] = []
        self.paid: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        status, body = self._answer(json.loads(raw))
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, asked: dict[str, Any]) -> Reply:
        if self.server.token and self.headers.get("authorization") != f"Bearer {self.server.token}":
            return 401, {"error": "no or wrong token"}
        with self.server.lock:
            self.server.bodies.append(asked)
            status, body = self.server.answer(json.loads(asked["messages"][1]["content"]))
            if status == 200:
                self.server.paid[json.dumps(asked, sort_keys=True)] += 1
        return status, body

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def chat_server(answer: Callable[[dict[str, str]], Reply] = by_title, token: str = "") -> Iterator[ChatServer]:
    server = ChatServer(answer, token)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
