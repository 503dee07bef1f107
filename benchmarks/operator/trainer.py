"""Kubeflow Trainer's controller under the same load: TrainJobs in, JobSets out, and JobSet's controller, which makes Jobs of them.

Trainer's webhooks are not registered; its certificate is a server certificate of the control plane's kind, which it wants to
start. JobSet's own webhooks are, as its controller needs them. JobSet's limits are those it ships (500 a second) in both runs.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.operator.accounts import EVERYTHING, account
from benchmarks.operator.load import create_all
from benchmarks.operator.measure import LOAD, Cost, calm, of_plane, until
from benchmarks.operator.ours import free_port
from benchmarks.operator.process import Controller, Meter, usage_of
from hack.cluster import controllers, tools
from hack.cluster.controlplane import ControlPlane
from hack.cluster.pki import Authority
from lore_operator.engine.client import KubeClient
from lore_operator.engine.credentials import connect
from lore_operator.engine.resources import JOBS, Resource

_RUNTIME: Final = "torch-distributed"
_TRAIN_JOBS: Final = Resource("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob")
_JOB_SETS: Final = Resource("jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet")
_SHIPPED: Final = {"clientConnection": {"qps": 50, "burst": 100}, "workers": 5}
_LIFTED: Final = {"clientConnection": {"qps": 5000, "burst": 10000}, "workers": 64}


def definitions() -> list[Path]:
    """The kinds of Trainer and of JobSet; the controllers are built where they are not there yet."""
    tools.ensure_profile("peers")
    base = tools.manifests("trainer") / "base" / "crds"
    return sorted(base.glob("trainer.*.yaml")) + sorted((tools.manifests("jobset") / "crd/bases").glob("*.yaml"))


def costs(plane: ControlPlane, folder: Path, size: int) -> Iterator[tuple[str, Cost]]:
    """Cost with the limits that Trainer ships, and with them lifted; JobSet's controller runs beside."""
    runtime = tools.manifests("trainer") / "base" / "runtimes" / f"{_RUNTIME.replace('-', '_')}.yaml"
    plane.kubectl.apply(*yaml.safe_load_all(runtime.read_text()))
    os.environ["KUBECONFIG"] = str(plane.kubeconfig)
    for name, limits in (("Trainer, shipped limits", _SHIPPED), ("Trainer, limits lifted", _LIFTED)):
        namespace = name.replace(", ", "-").replace(" ", "-").lower()
        plane.kubectl("create", "namespace", namespace)
        with _jobset(plane) as jobset, _controller(plane, folder / namespace, limits) as trainer:
            cost = asyncio.run(_cost(plane, trainer, jobset, namespace, size))
        yield name, cost


@contextlib.contextmanager
def _jobset(plane: ControlPlane) -> Iterator[int]:
    """JobSet's controller with its webhooks while the block runs: its process id."""
    controller = controllers.Controller(controllers.JOBSET, plane)
    controller.start()
    pid = controller.daemon.pid()
    assert pid is not None
    try:
        yield pid
    finally:
        plane.kubectl("delete", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "--all")
        controller.stop()


async def _cost(plane: ControlPlane, trainer: Controller, jobset: int, namespace: str, size: int) -> Cost:
    await until(lambda: trainer.answers("/readyz"), "Trainer's controller is ready")
    await calm(plane)
    meter = Meter({"trainer": trainer.pid, "jobset": jobset, **of_plane(plane), LOAD: os.getpid()})
    async with KubeClient(connect, manager="benchmark") as client:
        manifests = [_train_job(namespace, index) for index in range(size)]
        run = await create_all(client, manifests, _TRAIN_JOBS, {_JOB_SETS: _name, JOBS: _job_set_of})
    spent, load = meter.spent(), os.getloadavg()[0]
    end, beside = trainer.usage(), usage_of(jobset)
    await calm(plane)
    return Cost(
        run.seconds("Job"),
        run.seconds("JobSet"),
        spent["trainer"] + spent["jobset"],
        end.peak + beside.peak,
        load,
        spent,
    )


def _name(item: dict[str, Any]) -> str:
    return str(item["metadata"]["name"])


def _job_set_of(job: dict[str, Any]) -> str:
    return str(job["metadata"]["labels"]["jobset.sigs.k8s.io/jobset-name"])


def _controller(plane: ControlPlane, folder: Path, limits: Mapping[str, Any]) -> Controller:
    """The process with a configuration like the shipped one, and what a certificate manager would give it."""
    serving = folder / "k8s-webhook-server" / "serving-certs"
    serving.mkdir(parents=True)
    authority = Authority(folder / "authority")
    authority.prepare()
    pair = authority.server("webhook", ["localhost"])
    shutil.copy(pair.certificate, serving / "tls.crt")
    shutil.copy(pair.key, serving / "tls.key")
    health = free_port()
    configuration = {
        "apiVersion": "config.trainer.kubeflow.org/v1alpha1",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"port": free_port()},
        "leaderElection": {"leaderElect": False},
        "certManagement": {"enable": False},
        "controller": {"groupKindConcurrency": {"TrainJob.trainer.kubeflow.org": limits["workers"]}},
        "clientConnection": limits["clientConnection"],
    }
    file = folder / "configuration.yaml"
    file.write_text(yaml.safe_dump(configuration))
    kubeconfig = account(plane, folder, "trainer", EVERYTHING)
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "TMPDIR": str(folder)}
    return Controller([str(tools.require("trainer-manager")), f"--config={file}"], environment, folder / "log", health)


def _train_job(namespace: str, index: int) -> dict[str, Any]:
    """One node of the shipped PyTorch runtime."""
    return {
        "apiVersion": _TRAIN_JOBS.api_version,
        "kind": "TrainJob",
        "metadata": {"name": f"job-{index:05d}", "namespace": namespace},
        "spec": {
            "runtimeRef": {"name": _RUNTIME},
            "trainer": {"image": "trainer:bench", "command": ["torchrun", "train.py"], "numNodes": 1},
        },
    }
