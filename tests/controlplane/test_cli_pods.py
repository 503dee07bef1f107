"""`lore logs`, `lore cost` and a namespace of 500 objects. No node runs here: the test is the kubelet that has the logs."""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cluster.lore_command import Run
from cluster.manifests import container, pod, pod_spec
from cluster.operator_process import Api
from unit.cli.objects import evaluation, model, stands, train_job
from unit.cli.test_logs_and_cost import GANG, attempt, labels

from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import Kubectl
from hack.cluster.pki import Authority
from lore_core.cli import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from lore_operator.plan.conditions import State

OWN = labels("RelevanceTrainJob", "train", stage="sft", attempt="1")
HOSTILE = "loss 0.5 \x1b]0;title\x07"


class Logs(BaseHTTPRequestHandler):
    """A kubelet that knows one thing: what a container said."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{HOSTILE}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def kubelet(control_plane: ControlPlane, kubectl: Kubectl) -> Iterator[str]:
    """Name of a node whose kubelet answers."""
    pair = Authority(control_plane.directory / "pki").server("logs", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Logs) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubectl.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "told"}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_address[1]}},
        }
        patch = json.dumps({"status": status})
        kubectl("patch", "node", "told", "--subresource=status", "--type=merge", f"--patch={patch}")
        yield "told"
        kubectl("delete", "node", "told")
        server.shutdown()


def test_logs_are_those_of_the_newest_attempt_without_what_a_terminal_would_act_on(
    kubelet: str, put: Callable[..., None], run: Run, kubectl: Kubectl, namespace: str
) -> None:
    put(stands(train_job(sft="lore-q"), State.WORKING, "StageRunning"))
    made = pod(namespace, "train-sft-a1-0-x", pod_spec([container("none", "true")], nodeName=kubelet))
    made["metadata"]["labels"] = OWN
    kubectl.apply(made)

    for options in ((), ("--follow",)):
        said = run("lore", "logs", "rtj/train", "-n", namespace, *options)
        assert said.returncode == EXIT_OK, said.stderr
        assert said.stdout == "[pod/train-sft-a1-0-x/main] loss 0.5  ]0;title \n"
    plain = json.loads(run("lore", "logs", "rtj/train", "-n", namespace, "-o", "json").stdout)
    assert [line["pod"] for line in plain] == ["train-sft-a1-0-x"]
    assert run("lore", "logs", "rtj/train", "-n", namespace, "-f", "-o", "json").returncode == EXIT_USAGE


def test_without_pods_the_kept_failure_is_told(put: Callable[..., None], run: Run, namespace: str) -> None:
    failure = {"reason": "OutOfMemory", "message": "pod train-sft-a1-0-x on node-1: more memory than its limit"}
    put(stands(train_job(sft="lore-q"), State.STALLED, "OutOfMemory", "stage sft", failure=failure))

    said = run("lore", "logs", "rtj/train", "-n", namespace)

    assert said.returncode == EXIT_FAILED
    assert "more memory than its limit" in said.stderr


def test_cost_counts_what_outlives_the_jobs(
    put: Callable[..., None], run: Run, kubectl: Kubectl, namespace: str
) -> None:
    put(stands(train_job(sft="lore-q"), State.COMPLETE, "Complete"))
    put(*({"apiVersion": "v1", **item} for item in attempt("train-sft-a1", OWN, 90, GANG)))

    said = run("lore", "cost", "-n", namespace)
    assert (said.returncode, said.stderr) == (EXIT_OK, "")
    assert [line.split() for line in said.stdout.splitlines()[1:]] == [
        ["RelevanceTrainJob/train", "sft", "1", "2", "8", "3.000", "12.000"],
        ["total", "3.000", "12.000", "0"],
    ]
    plain = json.loads(run("kubectl", "lore", "cost", "rtj/train", "-n", namespace, "-o", "json").stdout)
    assert plain["total"]["gpuHours"] == "12.000"


async def test_the_status_of_500_objects(run: Run, api: Api) -> None:
    """How long it takes is printed, not judged: that depends on the machine."""
    made = [item for i in range(250) for item in (model(f"m-{i}"), evaluation(f"e-{i}", f"m-{i}"))]
    await asyncio.gather(*(api.create({**item, "metadata": {"name": item["metadata"]["name"]}}) for item in made))
    started = time.monotonic()

    said = run("lore", "status", "-n", api.namespace)

    print(f"lore status of {len(made)} objects: {time.monotonic() - started:.2f} s")
    assert len(said.stdout.splitlines()) == 501
