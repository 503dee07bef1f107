"""Sends a pod's report: into its ConfigMap inside a cluster, into a file outside one."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

import httpx

from lore_core.jobs.errors import JobError
from lore_core.jobs.report import (
    MIN_INTERVAL_SECONDS,
    REASON,
    REPORT_KEY,
    Failure,
    Phase,
    Progress,
    Report,
    Result,
    shard_key,
)

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ATTEMPTS: Final = 5
_PASSING: Final = (404, 409, 429)
_SHARED_WORDS: Final = 1024
"""Characters of a failure where 256 shards share one ConfigMap."""


class Sink(Protocol):
    """Where reports go."""

    def send(self, text: str) -> None:
        """Replace the report. Raises OSError or httpx.HTTPError when it could not."""


class FileSink:
    """A local file, replaced by rename."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, text: str) -> None:
        """Replace the file."""
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self._path)


class ConfigMapSink:
    """One key of one ConfigMap, by a merge patch with the pod's own token (Role limited to that name)."""

    def __init__(
        self,
        namespace: str,
        name: str,
        account: Path = _ACCOUNT,
        server: str | None = None,
        key: str = REPORT_KEY,
    ) -> None:
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        base = server or f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._url = f"{base}/api/v1/namespaces/{namespace}/configmaps/{name}"
        self._token, ca, self._key = account / "token", account / "ca.crt", key
        self._client = httpx.Client(verify=_ssl_context(ca) if ca.is_file() else True, timeout=10.0, trust_env=False)

    def send(self, text: str) -> None:
        """Patch the ConfigMap, again after a connection or server error, another pod's patch in between, or where it is missing.

        Where hundreds of jobs begin at once, the operator makes a report some seconds after its Job.
        """
        for attempt in range(_ATTEMPTS):
            try:
                response = self._client.patch(
                    self._url, content=json.dumps({"data": {self._key: text}}), headers=self._headers()
                )
                if response.status_code < 500 and response.status_code not in _PASSING:
                    response.raise_for_status()
                    return
                failure: httpx.HTTPError = httpx.HTTPError(f"{response.status_code} from the apiserver")
            except httpx.TransportError as error:
                failure = error
            if attempt + 1 < _ATTEMPTS:
                time.sleep(min(2.0**attempt, 8.0))
        raise failure

    def _headers(self) -> dict[str, str]:
        token = self._token.read_text(encoding="utf-8").strip()  # read each time: the kubelet rotates it
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}


def _ssl_context(ca: Path) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(ca))


class TerminalSink:
    """A person's terminal: one line, written over itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def send(self, text: str) -> None:
        """Show how far the work is; the end has a line of its own."""
        report = Report.model_validate_json(text)
        done = report.progress
        words = f"{done.step}/{done.total_steps} {done.unit}" if done and done.total_steps else ""
        left = (
            f", about {max(1, round(done.seconds_remaining / 60))} min left" if done and done.seconds_remaining else ""
        )
        end = "\n" if report.phase in (Phase.SUCCEEDED, Phase.FAILED) else ""
        self._stream.write(f"\r\x1b[K{report.phase}{f': {words}{left}' if words else ''}{end}")
        self._stream.flush()


class Reporter:
    """Keeps the current report and sends it, progress at most every ten seconds, the end at once.

    A report that cannot be sent never stops the work while it runs; the final one raises.
    """

    def __init__(self, sink: Sink | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink, self._clock = sink, clock
        self._interval, self._words = MIN_INTERVAL_SECONDS, 4096
        self._report, self._sent_at = Report(), float("-inf")

    def shared_by(self, shards: int) -> None:
        """So many write into one ConfigMap: together they send about one report a second, and all failures fit."""
        self._interval, self._words = max(MIN_INTERVAL_SECONDS, float(shards)), _SHARED_WORDS

    def started(self, resolved: dict[str, str] | None = None, total_steps: int = 0) -> None:
        """The work begins; `resolved` are the digests found for inputs named without one."""
        self._replace(phase=Phase.RUNNING, resolved=resolved or {}, progress=Progress(step=0, total_steps=total_steps))
        self._send_quietly()

    def progress(self, progress: Progress, measured: Mapping[str, str] | None = None) -> None:
        """Remember how far the work is and what it measured; sent no oftener than the interval."""
        self._replace(progress=progress, **({"measured": dict(measured)} if measured else {}))
        if self._clock() - self._sent_at >= self._interval:
            self._send_quietly()

    def succeeded(self, result: Result, summary: dict[str, Any]) -> None:
        """The end; raises if the report could not be sent, since the operator would wait for it for ever."""
        self._replace(phase=Phase.SUCCEEDED, result=result, summary=summary)
        self._send()

    def failed(self, failure: Failure) -> None:
        """The end, badly; what a success would have said is dropped, so that the failure always fits."""
        told = failure.model_copy(update={"message": failure.message[: self._words]})
        self._replace(phase=Phase.FAILED, failure=told, result=None, summary={})
        self._send()

    def _replace(self, **changes: Any) -> None:
        values = {name: getattr(self._report, name) for name in Report.model_fields} | changes
        self._report = Report.model_validate(values | {"last_updated": datetime.now(UTC)})

    def _send(self) -> None:
        self._sent_at = self._clock()
        if self._sink is not None:
            self._sink.send(self._report.to_json())

    def _send_quietly(self) -> None:
        try:
            self._send()
        except (httpx.HTTPError, OSError) as error:
            print(f"report not sent, the work goes on: {error}", file=sys.stderr)


class Counted:
    """Things of a known number that are done, and how long the rest takes at the pace so far."""

    def __init__(self, reporter: Reporter, total: int, done: int = 0, unit: str = "pairs") -> None:
        self._reporter, self._total, self._done, self._before, self._unit = reporter, total, done, done, unit
        self._started = time.monotonic()
        reporter.progress(Progress(step=done, total_steps=total, unit=unit))

    def __call__(self, more: int) -> None:
        """So many more are done."""
        self._done += more
        here, seconds = self._done - self._before, time.monotonic() - self._started
        left = round(seconds / here * (self._total - self._done)) if here else None
        self._reporter.progress(
            Progress(step=self._done, total_steps=self._total, unit=self._unit, seconds_remaining=left)
        )


def shard_reporter(number: int) -> Reporter:
    """One shard's own report, in the ConfigMap that all of them share; without `LORE_REPORT` the first one is shown."""
    if not (name := os.environ.get("LORE_REPORT")):
        return reporter_from_environment() if number == 0 else Reporter(None)
    namespace, _, config_map = name.partition("/")
    return Reporter(ConfigMapSink(namespace, config_map, key=shard_key(number)))


def reporter_from_environment(file: Path | None = None) -> Reporter:
    """`LORE_REPORT=NAMESPACE/NAME` names the ConfigMap; `file` wins; with neither a person at a terminal sees it."""
    if file is not None:
        return Reporter(FileSink(file))
    if (name := os.environ.get("LORE_REPORT")) and os.environ.get("RANK", "0") == "0":
        namespace, _, config_map = name.partition("/")
        return Reporter(ConfigMapSink(namespace, config_map))
    if name is None and sys.stderr.isatty() and os.environ.get("RANK", "0") == "0":
        return Reporter(TerminalSink(sys.stderr))
    return Reporter(None)


@contextlib.contextmanager
def reported(reporter: Reporter) -> Iterator[None]:
    """Turns an exception of the work into a failed report, then lets it through, whether or not the report was sent."""
    try:
        yield
    except Exception as error:
        try:
            reporter.failed(_failure(error))
        except (httpx.HTTPError, OSError) as unsent:
            print(f"failure not reported: {unsent}", file=sys.stderr)
        raise


def _failure(error: Exception) -> Failure:
    if isinstance(error, JobError):
        return error.failure
    # Exceptions of libraries may have a `reason` too, which is then no reason of ours.
    reason = getattr(error, "reason", None)
    ours = isinstance(reason, str) and REASON.fullmatch(reason) is not None
    return Failure(reason=reason if ours else "InternalError", message=f"{type(error).__name__}: {error}"[:4096])
