"""The stand-in teacher behind the OpenAI wire, with seeded transport faults: 429, time-outs, broken replies."""

import json
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from lore_core.benchmark.rule_teacher import RuleTeacher, ledger_key


@dataclass(frozen=True, slots=True)
class WireFaults:
    """Shares of tries that end badly. `hang_seconds` is how long a time-out holds the connection."""

    too_many: float = 0.0
    hang: float = 0.0
    broken: float = 0.0
    hang_seconds: float = 5.0
    seed: int = 17


class TeacherServer(ThreadingHTTPServer):
    """Serves `POST /v1/chat/completions` on loopback or any address; `answered` counts completions by request."""

    daemon_threads = True

    def __init__(
        self,
        teacher: RuleTeacher,
        address: tuple[str, int] = ("127.0.0.1", 0),
        faults: WireFaults | None = None,
        token: str = "",
    ) -> None:
        """Port 0 takes a free one. With a token, requests without it get 401."""
        super().__init__(address, _Handler)
        self.teacher, self.faults, self.token = teacher, faults or WireFaults(), token
        self.tries: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Base address for an OpenAI client."""
        return f"http://{self.server_address[0]!s}:{self.server_port}/v1"

    def stop(self) -> None:
        """Let go of held connections and end."""
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def draw(self, key: str) -> float:
        """A number in [0, 1) for this try of the request, the same in every run."""
        with self._lock:
            self.tries[key] += 1
            return Random(f"{self.faults.seed}/{key}/{self.tries[key]}").random()

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """An OpenAI chat completion. Usage counts words, since this teacher has no tokenizer."""
        with self._lock:
            text = self.teacher.answer(body)
            self.answered[ledger_key(body)] += 1
        asked = sum(len(str(message["content"]).split()) for message in body["messages"])
        usage = {"prompt_tokens": asked, "completion_tokens": len(text.split())}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    server: TeacherServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; else the second waits for the client's delayed ACK

    def do_POST(self) -> None:
        """Answer one chat completion, or fail as drawn."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path != "/v1/chat/completions":
            return self._send(404, {"error": {"message": "no such route"}})
        if self.server.token and self.headers.get("authorization") != f"Bearer {self.server.token}":
            return self._send(401, {"error": {"message": "no or wrong token"}})
        try:
            body = json.loads(raw)
            key = ledger_key(body)
        except (ValueError, LookupError, TypeError):
            return self._send(400, {"error": {"message": "not a chat request"}})
        self._drawn(self.server.draw(key), body)

    def _drawn(self, place: float, body: dict[str, Any]) -> None:
        faults = self.server.faults
        if place < faults.too_many:
            return self._send(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
        if place < faults.too_many + faults.hang:
            self.server.stopping.wait(faults.hang_seconds)
            self.close_connection = True
            return None
        if place < faults.too_many + faults.hang + faults.broken:
            return self._send(200, {"choices": []})
        try:
            return self._send(200, self.server.complete(body))
        except (ValueError, LookupError, TypeError) as error:
            return self._send(400, {"error": {"message": f"cannot be answered: {type(error).__name__}"}})

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: a teacher answers thousands."""
