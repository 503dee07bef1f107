"""The pinned binaries: found in the cache, or built from their Go module into it."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import files
from hack.cluster.errors import ClusterError
from hack.cluster.paths import cache_root, tool_modules

# A user who has these already (kubebuilder's envtest) need not build them.
_ENVTEST = frozenset({"etcd", "kube-apiserver", "kubectl"})


@dataclass(frozen=True)
class Module:
    """One Go module of `hack/tools`: what it builds and what else of it is kept."""

    name: str
    path: str
    commands: dict[str, str]
    stamp: str = ""
    manifests: str = ""
    tags: str = ""

    def requirement(self) -> str:
        """The pinned version, e.g. `v1.36.3`."""
        text = (tool_modules() / self.name / "go.mod").read_text()
        match = re.search(rf"^(?:require)?\s*{re.escape(self.path)} (v\S+)", text, re.MULTILINE)
        if match is None:
            raise ClusterError(f"hack/tools/{self.name}/go.mod requires no {self.path}")
        return match[1]

    def linker_flags(self) -> str:
        """Strip the symbols and stamp the version where the program prints one."""
        version = self.requirement()
        major, minor = version.removeprefix("v").split(".")[:2]
        stamped = self.stamp.format(version=version, major=major, minor=minor)
        return f"-s -w {stamped}".strip()

    def digest(self) -> str:
        """Names the cache folder: the same digest means the same binaries."""
        folder = tool_modules() / self.name
        parts = [
            (folder / "go.mod").read_bytes(),
            (folder / "go.sum").read_bytes(),
            *(source.read_bytes() for source in sorted(folder.glob("*.go"))),
            self.linker_flags().encode(),
            f"{platform.system()}/{platform.machine()}/{self.manifests}{self.tags}".encode(),
        ]
        return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:20]


_STAMP = "k8s.io/component-base/version"
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "kube-proxy")

MODULES = (
    Module(
        "kubernetes",
        "k8s.io/kubernetes",
        {command: f"k8s.io/kubernetes/cmd/{command}" for command in _KUBERNETES},
        # Without the stamp the server has no version and Helm's `.Capabilities.KubeVersion` breaks.
        stamp=f"-X {_STAMP}.gitVersion={{version}} -X {_STAMP}.gitMajor={{major}} -X {_STAMP}.gitMinor={{minor}} "
        f"-X {_STAMP}.gitTreeState=clean",
    ),
    Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Module(
        "kserve",
        "github.com/kserve/kserve",
        {
            "kserve-manager": "github.com/kserve/kserve/cmd/manager",
            "kserve-router": "github.com/kserve/kserve/cmd/router",
        },
        manifests="config",
    ),
    Module(
        "helm",
        "helm.sh/helm/v4",
        {"helm": "helm.sh/helm/v4/cmd/helm"},
        stamp="-X helm.sh/helm/v4/internal/version.version={version}",
    ),
    Module("coredns", "github.com/coredns/coredns", {"coredns": "github.com/coredns/coredns"}),
    Module(
        "kubeconform", "github.com/yannh/kubeconform", {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}
    ),
    Module(
        "versitygw",
        "github.com/versity/versitygw",
        {"versitygw": "github.com/versity/versitygw/cmd/versitygw"},
        stamp="-X main.Version={version}",
    ),
    # Without the clouds' discovery, which no test wants and whose libraries are most of what there is to build.
    Module(
        "prometheus",
        "github.com/prometheus/prometheus",
        {command: f"github.com/prometheus/prometheus/cmd/{command}" for command in ("prometheus", "promtool")},
        tags="remove_all_sd",
    ),
    # Its definitions only: monitors and rules of the chart are checked against them.
    Module(
        "prometheus-operator",
        "github.com/prometheus-operator/prometheus-operator",
        {},
        manifests="example/prometheus-operator-crd",
    ),
    # Its definitions only: the template that waits for a verdict is checked against them.
    Module("argo-rollouts", "github.com/argoproj/argo-rollouts", {}, manifests="manifests/crds"),
    # What benchmarks/operator sets the operator beside, with JobSet's controller, which makes the Jobs.
    Module(
        "trainer",
        "github.com/kubeflow/trainer/v2",
        {"trainer-manager": "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager"},
        manifests="manifests",
    ),
    # What tests/controllers runs beside the operator.
    Module("jobset", "sigs.k8s.io/jobset", {"jobset-manager": "sigs.k8s.io/jobset"}, manifests="config/components"),
    Module(
        "kueue", "sigs.k8s.io/kueue", {"kueue-manager": "sigs.k8s.io/kueue/cmd/kueue"}, manifests="config/components"
    ),
    # Its definitions only: routes before a router are checked against them.
    Module("gateway-api", "sigs.k8s.io/gateway-api", {}, manifests="config/crd/standard"),
    # Its definitions only: the pipeline whose stages wait for a verdict is checked against them.
    Module("kargo", "github.com/akuity/kargo", {}, manifests="charts/kargo/resources/crds"),
    # What tests/gitops runs beside the operator; deploy/flux is checked against their definitions alone.
    Module(
        "flux-source",
        "github.com/fluxcd/source-controller",
        {"source-controller": "github.com/fluxcd/source-controller"},
        manifests="config/crd/bases",
    ),
    Module(
        "flux-kustomize",
        "github.com/fluxcd/kustomize-controller",
        {"kustomize-controller": "github.com/fluxcd/kustomize-controller"},
        manifests="config/crd/bases",
    ),
    # A program of our own around Flux's and Argo CD's evaluators.
    Module("health", "github.com/fluxcd/pkg/runtime", {"health": "."}),
)

# What manifests, alerts and conditions are judged by; no cluster runs them.
_CHECKS = ("kubeconform", "promtool", "prometheus", "health")
_PEERS = ("trainer-manager", "jobset-manager")
_CONTROLLERS = ("kueue-manager", "jobset-manager")
_GITOPS = ("source-controller", "kustomize-controller")
_APART = (*_CHECKS, *_PEERS, *_CONTROLLERS, *_GITOPS)
# kubectl and helm belong to both: every test that talks to a control plane wants them.
PROFILE_TOOLS = {
    "control-plane": ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "helm"),
    "node": tuple(command for module in MODULES for command in module.commands if command not in _APART),
}
TOOL_SETS = {**PROFILE_TOOLS, "checks": _CHECKS, "peers": _PEERS, "controllers": _CONTROLLERS, "gitops": _GITOPS}


def module_of(tool: str) -> Module:
    """The module that builds `tool`."""
    for module in MODULES:
        if tool in module.commands:
            return module
    known = ", ".join(sorted(command for module in MODULES for command in module.commands))
    raise ClusterError(f"{tool}: no such tool; known: {known}")


def find(tool: str) -> Path | None:
    """The binary if it is there already; never builds."""
    built = cached_path(tool)
    if built.exists():
        return built
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and tool in _ENVTEST and os.access(Path(assets) / tool, os.X_OK):
        return Path(assets) / tool
    return None


def require(tool: str) -> Path:
    """The binary, or an error that names the command which builds it."""
    found = find(tool)
    if found is None:
        raise ClusterError(f"{tool} is not built yet; run: python -m hack.cluster bin {tool}")
    return found


def require_profile(profile: str) -> None:
    """All binaries of a set, or one error that names what is missing and the command which builds it."""
    missing = [tool for tool in TOOL_SETS[profile] if find(tool) is None]
    if missing:
        raise ClusterError(
            f"not built yet: {', '.join(missing)}; run: python -m hack.cluster build --profile {profile}"
        )


def ensure(tool: str) -> Path:
    """The binary, built first if it is nowhere."""
    found = find(tool)
    if found is None:
        with _go_caches():
            build(module_of(tool), [tool])
    return found or require(tool)


def ensure_profile(*profiles: str) -> None:
    """Build what the sets lack, one module after the other; packages that several of them use are compiled once."""
    wanted = {tool for profile in profiles for tool in TOOL_SETS[profile]}
    modules = [module for module in MODULES if wanted & module.commands.keys()]
    if not all(_whole(wanted, module) for module in modules):
        with _go_caches():
            for module in modules:
                build(module, [tool for tool in module.commands if tool in wanted and find(tool) is None])
                if module.manifests:
                    _keep_manifests(module)


def _whole(wanted: set[str], module: Module) -> bool:
    there = all(find(tool) is not None for tool in wanted & module.commands.keys())
    return there and (not module.manifests or _manifests_of(module).exists())


def cached_path(tool: str) -> Path:
    """Where the binary of this pin lies once built."""
    return _folder(module_of(tool)) / tool


def manifests(name: str) -> Path:
    """The folder of manifests that the module ships, kept beside its binaries."""
    module = next(module for module in MODULES if module.name == name)
    if not _manifests_of(module).exists():
        with _go_caches():
            _keep_manifests(module)
    return _manifests_of(module)


def _manifests_of(module: Module) -> Path:
    return _folder(module) / Path(module.manifests).name


def _keep_manifests(module: Module) -> None:
    kept = _manifests_of(module)
    with files.exclusive(_folder(module)):
        if not kept.exists():
            _copy_manifests(module, kept)


def build(module: Module, commands: Iterable[str]) -> None:
    """Build the commands into the cache; each appears there whole or not at all."""
    folder = _folder(module)
    with files.exclusive(folder):
        for command in commands:
            if not (folder / command).exists():
                _build_one(module, command, folder)


@contextmanager
def _go_caches() -> Iterator[None]:
    """Modules and compiled packages are shared by what is built in the block, then deleted: gigabytes, needed once."""
    folder = _go_folder()
    with files.exclusive(folder):
        try:
            yield
        finally:
            for kept in ("mod", "build"):
                shutil.rmtree(folder / kept, ignore_errors=True)


def _go_folder() -> Path:
    return cache_root() / "go"


def _build_one(module: Module, command: str, folder: Path) -> None:
    print(f"building {command} {module.requirement()}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        output = Path(scratch) / command
        flags = ["-trimpath", "-tags", module.tags, "-ldflags", module.linker_flags()]
        _go(module, "build", *flags, "-o", str(output), module.commands[command])
        output.rename(folder / command)


def _copy_manifests(module: Module, target: Path) -> None:
    _go(module, "mod", "download", module.path)
    source = Path(_go(module, "list", "-m", "-f", "{{.Dir}}", module.path).strip()) / module.manifests
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".manifests-") as scratch:
        # The module cache is read-only; copyfile leaves its modes behind.
        copied = shutil.copytree(source, Path(scratch) / "copy", copy_function=shutil.copyfile)
        for folder in (copied, *copied.rglob("*/")):
            folder.chmod(0o755)
        copied.rename(target)


def _go(module: Module, *arguments: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise ClusterError(f"{module.name}: there is no `go` on PATH to build it with; install Go 1.26 or newer")
    done = subprocess.run(
        ["nice", "-n", "5", go, *arguments],
        cwd=tool_modules() / module.name,
        env={
            **os.environ,
            "CGO_ENABLED": "0",
            "GOMODCACHE": str(_go_folder() / "mod"),
            "GOCACHE": str(_go_folder() / "build"),
            "GOFLAGS": "-modcacherw",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"hack/tools/{module.name}: go {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    return done.stdout


def _folder(module: Module) -> Path:
    return cache_root() / "bin" / f"{module.name}-{module.digest()}"
