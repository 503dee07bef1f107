"""A small world for `lore evaluate`: artifacts on local disk, and a server that speaks vLLM's /v1/completions.

The served "model" answers the label that the title names, so a test decides each answer by writing the title.
"""

import contextlib
import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lore_core.artifacts import ArtifactRef, publish
from lore_core.evaluation.shard import Endpoint
from lore_core.jobs import BenchmarkInput, EvaluateConfig, Gate, RuleMode, ServingProfile, gate_set_digest
from lore_core.prompts import CONTRACT_NAME, PromptLayout, TextEncoder, build_contract
from lore_core.records import Pair, write_pairs
from lore_core.training.tokenizer import build_tokenizer, vocabulary

WORDS = " ".join(["shirt", "l1", "l2", "l3", "l4", "none", "red", "match", "kind", ";", *map(str, range(100))])
TOKENIZER = build_tokenizer(vocabulary([WORDS]))
ENCODER = TextEncoder(TOKENIZER)
KEY = "sha256:" + "1" * 64


def ref(folder: Path, digest: str | None = None) -> ArtifactRef:
    return ArtifactRef(uri=f"file://{folder}", digest=digest)


def model(
    root: Path, max_prompt_tokens: int = 24, layout: PromptLayout = PromptLayout.LABEL_FIRST, **contract: Any
) -> ArtifactRef:
    folder = root / "model-files"
    folder.mkdir(parents=True)
    made = build_contract(ENCODER, layout, RuleMode.NONE, max_prompt_tokens)
    (folder / CONTRACT_NAME).write_bytes(made.model_copy(update=contract).to_bytes())
    (folder / "tokenizer.json").write_bytes(TOKENIZER)
    return publish(folder, ref(root / "model"), "model")


def pair(row: int, gold: str | None = None, answer: str | None = None, **fields: Any) -> Pair:
    """Pair `row` with a query of its own; its title names `answer` (the gold label where not given).

    Gold is L4, and L1 in every tenth pair: on a single class nothing passes.
    """
    gold = gold or ("L1" if row % 10 == 9 else "L4")
    title = f"shirt {(answer or gold).lower()}"
    values = {"id": f"p{row:03d}", "query": f"shirt {row}", "title": title, "item_id": f"i{row}", "groundtruth": gold}
    return Pair(**(values | {"subset": "general"} | fields))


def benchmark(root: Path, pairs: list[Pair], name: str = "benchmark") -> ArtifactRef:
    folder = root / f"{name}-files"
    folder.mkdir(parents=True)
    for subset in sorted({one.subset for one in pairs}):
        write_pairs(folder / f"{subset}.jsonl", [one for one in pairs if one.subset == subset])
    return publish(folder, ref(root / name), "benchmark")


def config(root: Path, model_ref: ArtifactRef, data: ArtifactRef, **options: Any) -> EvaluateConfig:
    gates = options.pop("gates", (Gate(name="floor", metric="Accuracy2", min="0.5"),))
    subsets, rule_mode = options.pop("subsets", ("general",)), options.pop("rule_mode", RuleMode.NONE)
    values = {
        "evaluation": "nightly",
        "model": model_ref,
        "model_name": "lore-q4",
        "profile": ServingProfile(image="server@sha256:" + "a" * 64),
        "benchmark": BenchmarkInput(uri=data.uri, digest=data.digest, subsets=subsets, rule_mode=rule_mode),
        "gates": gates,
        "gate_set_digest": gate_set_digest(gates),
        "workspace": ref(root / "workspace"),
        "input_key": KEY,
        "resamples": 100,
    }
    return EvaluateConfig(**(values | options))


class Completions(BaseHTTPRequestHandler):
    labels = [ENCODER.encode(f"l{number}")[0] for number in (1, 2, 3, 4)]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, answer = self._answer(body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.path != "/v1/completions" or body["model"] != "model":
            return 404, {"error": f"no model {body['model']}"}
        if "logprob_token_ids" not in body:
            return 200, {"choices": [{"token_ids": self.say(body)}]}
        prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        ids = [f"token_id:{id_}" for id_ in body["logprob_token_ids"]]
        found = [self.logprobs(prompt) for prompt in prompts]
        if None in found:
            return 500, {"error": "broken"}
        tables = [{"top_logprobs": [dict(zip(ids, row or (), strict=True))]} for row in found]
        return 200, {"choices": [{"index": row, "logprobs": one} for row, one in enumerate(tables)]}

    def logprobs(self, prompt: list[int]) -> list[float | None] | None:
        """Of the four labels; None where this prompt breaks the server."""
        named = next((self.labels.index(id_) for id_ in prompt if id_ in self.labels), None)
        return None if named is None else [math.log(0.7 if label == named else 0.1) for label in range(4)]

    def say(self, body: dict[str, Any]) -> list[int]:
        """What it writes where a whole answer is asked for."""
        raise NotImplementedError

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@contextlib.contextmanager
def endpoint(handler: type[BaseHTTPRequestHandler] = Completions) -> Iterator[Endpoint]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.server_port}", "model")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
