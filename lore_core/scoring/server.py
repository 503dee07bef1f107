"""A vLLM server of our own for the length of a `with` block: evaluation, the head job and the tests score against it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx

from lore_core.jobs.config import ServingProfile
from lore_core.prompts import ModelKit, PromptLayout
from lore_core.scoring.engine import engine_args, engine_environment, gpu_present
from lore_core.scoring.towers import EMBEDDINGS
from lore_core.scoring.wire import CHAT_TEMPLATE, CHAT_TEMPLATE_NAME, COMPLETIONS

SERVING_PYTHON: Final = "LORE_SERVING_PYTHON"
_DEFAULT_PYTHON: Final = ".venv-serving/bin/python"
_READY_SECONDS: Final = 600.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.25
_LOG_LINES: Final = 25
_SOCKET_PATH: Final = 107
_SOCKET_NAME: Final = 36
"""Characters of a socket's path (unix(7)), and of the UUID that vLLM names it by."""


class ServerError(Exception):
    """The server did not come up; the message ends with what it wrote last."""

    reason = "ServingEngineFailed"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Where a running server answers."""

    base_url: str
    model: str
    pid: int


class LocalServer:
    """Context manager: starts vLLM on a model folder, waits until it answers a warm-up score, always stops it.

    `python` is the serving environment's interpreter: env LORE_SERVING_PYTHON, else `.venv-serving/bin/python` where that
    exists, else this interpreter (the server image has one environment only).
    """

    def __init__(
        self,
        folder: Path,
        profile: ServingProfile,
        *,
        name: str = "model",
        python: str | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """`flags` are further arguments of the engine, such as the size of its KV cache; none of them may change a score."""
        self._folder, self._profile, self._name, self._flags = folder, profile, name, flags
        self._kit = ModelKit.load(folder)
        self._python = python or serving_python()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ServedModel:
        """Raises ServerError where the model does not fit the profile or the server does not become ready."""
        _check_length(self._kit, self._profile)
        _check_template(self._kit, self._folder)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(tempfile.TemporaryFile("w+b"))
            port = _free_port()
            process = stack.enter_context(_running(self._command(port), _environment(), log))
            served = ServedModel(f"http://127.0.0.1:{port}", self._name, process.pid)
            _await_ready(served, process, log)
            _warm_up(served, self._kit, log)
            self._stack = stack.pop_all()
        return served

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _command(self, port: int) -> list[str]:
        layout = self._kit.contract.layout
        return [
            *(self._python, "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(self._folder), "--served-model-name", self._name),
            *("--host", "127.0.0.1", "--port", str(port)),
            *engine_args(self._profile, layout, cpu=not gpu_present()),
            *self._flags,
        ]


def serving_python() -> str:
    """The interpreter that has vLLM."""
    if found := os.environ.get(SERVING_PYTHON):
        return found
    return str(Path(_DEFAULT_PYTHON).absolute()) if Path(_DEFAULT_PYTHON).exists() else sys.executable


def _check_length(kit: ModelKit, profile: ServingProfile) -> None:
    if kit.max_sequence > profile.max_model_len:
        raise ServerError(
            f"profile.maxModelLen is {profile.max_model_len}, the model's prompts and traces need {kit.max_sequence}; raise it"
        )


def _check_template(kit: ModelKit, folder: Path) -> None:
    """The words of a picture's prompt pass through the model's chat template: another one would change them."""
    path = folder / CHAT_TEMPLATE_NAME
    if kit.contract.image_tokens is None or (path.is_file() and path.read_text(encoding="utf-8") == CHAT_TEMPLATE):
        return
    raise ServerError(
        f"{path}: must be the template that `lore model import --image-tokens` writes; import the model anew"
    )


def _environment() -> dict[str, str]:
    return {**_sockets(), **os.environ, **engine_environment(cpu=not gpu_present())}


def _sockets() -> dict[str, str]:
    """Where vLLM's processes keep the sockets they talk over, if the folder for temporary files has too long a name."""
    fits = len(tempfile.gettempdir()) + len("/") + _SOCKET_NAME <= _SOCKET_PATH
    return {} if fits else {"VLLM_RPC_BASE_PATH": "/tmp"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], environment: Mapping[str, str], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    # A session of its own: the engine's worker processes are stopped with it, whatever state they are in.
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _await_ready(served: ServedModel, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    with httpx.Client(base_url=served.base_url, timeout=5.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerError(f"vLLM ended with status {process.returncode}:\n{_tail(log)}")
            with contextlib.suppress(httpx.TransportError):
                if client.get("/health").status_code == httpx.codes.OK:
                    return
            time.sleep(_POLL_SECONDS)
    raise ServerError(f"vLLM was not ready after {_READY_SECONDS:.0f} s:\n{_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-_LOG_LINES:])


def _warm_up(served: ServedModel, kit: ModelKit, log: IO[bytes]) -> None:
    """The first request with log-probabilities may build kernels for seconds; no caller should wait for that.

    It is also the first that the model computes: where a kernel cannot, vLLM's own words say why.
    """
    path, request = _first_request(kit)
    try:
        with httpx.Client(base_url=served.base_url, timeout=120.0, trust_env=False) as client:
            response = client.post(path, json={"model": served.model, **request})
    except httpx.TransportError as error:
        raise ServerError(f"the first request was not answered: {error}\n{_tail(log)}") from error
    if response.status_code != httpx.codes.OK:
        raise ServerError(
            f"the first request failed with status {response.status_code}: {response.text[:300]}\n{_tail(log)}"
        )


def _first_request(kit: ModelKit) -> tuple[str, dict[str, object]]:
    ids = [*kit.encoder.encode("a"), *kit.encoder.encode("a")]
    match kit.contract.layout:
        case PromptLayout.CLASSIFIER:
            return "/classify", {"input": ids}
        case PromptLayout.TWO_TOWER:
            return EMBEDDINGS, {"input": ids}
    labels = list(kit.contract.verbaliser.token_ids)
    return COMPLETIONS, {"prompt": ids, "max_tokens": 1, "logprobs": 0, "logprob_token_ids": labels}
