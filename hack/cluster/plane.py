"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler: their files, arguments and order."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import audit, kubeconfig, probe, tools
from hack.cluster.kubectl import Kubectl
from hack.cluster.pki import Authority, Pair
from hack.cluster.process import Daemon

SERVICE_RANGE = "10.96.0.0/16"
# The first address of the range is the `kubernetes` Service.
KUBERNETES_SERVICE = "10.96.0.1"
_READY_SECONDS = 90.0


@dataclass(frozen=True)
class Ports:
    """One port for each listener of the control plane."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controllers: int
    scheduler: int


@dataclass(frozen=True)
class Plane:
    """A control plane that listens on one address.

    Attributes:
        directory: where its certificates, logs, process records and etcd's data lie.
        address: where the API server listens and is reached.
        ports: one for each listener.
        enter: the command that enters its network namespace, empty for the machine's own.
        kubelets: whether real nodes join: pods may then be privileged, and `kubernetes` is a Service with an endpoint.
    """

    directory: Path
    address: str
    ports: Ports
    enter: tuple[str, ...] = ()
    kubelets: bool = False

    @property
    def authority(self) -> Authority:
        """The cluster's certificate authority."""
        return Authority(self.directory / "pki")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "admin.kubeconfig"

    @property
    def server(self) -> str:
        """The API server's url."""
        return f"https://{self.address}:{self.ports.apiserver}"

    @property
    def kubectl(self) -> Kubectl:
        """The pinned kubectl as the administrator."""
        return Kubectl(tools.require("kubectl"), self.kubeconfig)

    def daemons(self) -> list[Daemon]:
        """The components in the order in which they start."""
        names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
        return [Daemon(name, self.directory) for name in names]

    def start(self, definitions: Iterable[Path] = ()) -> None:
        """Start what does not run, and return when all of it answers.

        Args:
            definitions: CRD files. They are applied before the controllers start: the garbage collector looks for
                new kinds only every half minute, and knows these at once.
        """
        self._prepare()
        etcd, apiserver, controllers, scheduler = self.daemons()
        self._start(etcd, self._etcd())
        self._start(apiserver, self._apiserver())
        probe.wait([etcd, apiserver], lambda: self._healthy(self.ports.apiserver, "readyz"), _READY_SECONDS)
        self.kubectl.apply_definitions(definitions)
        self._start(controllers, self._controllers())
        self._start(scheduler, self._scheduler())
        probe.wait([controllers], lambda: self._healthy(self.ports.controllers, "healthz"), _READY_SECONDS)
        probe.wait([scheduler], lambda: self._healthy(self.ports.scheduler, "healthz"), _READY_SECONDS)
        # Without this ServiceAccount no pod can be created in the namespace.
        probe.wait([controllers], self._has_service_account, _READY_SECONDS)

    def stop(self) -> None:
        """Stop in the opposite order: an API server without its etcd would wait a minute."""
        for daemon in reversed(self.daemons()):
            daemon.stop()

    def client_kubeconfig(self, file: str, user: str, groups: Iterable[str] = ()) -> Path:
        """A kubeconfig for a component that runs beside the API server."""
        pair = self.authority.client(file, user, groups)
        return kubeconfig.write(self.directory / f"{file}.kubeconfig", self.server, self.authority.certificate, pair)

    def _start(self, daemon: Daemon, arguments: list[str]) -> None:
        daemon.start([*self.enter, str(tools.require(daemon.name)), *arguments])

    def _prepare(self) -> None:
        self.authority.prepare()
        self._service_account_key()
        self._serving()
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.client_kubeconfig(name, f"system:{name}")
        self.client_kubeconfig("admin", "admin", ("system:masters",))

    def _serving(self) -> Pair:
        service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
        hosts = (self.address, "127.0.0.1", KUBERNETES_SERVICE, "localhost", *service)
        return self.authority.server("kube-apiserver", hosts)

    def _service_account_key(self) -> Pair:
        return self.authority.signing_key("service-account")

    def _etcd(self) -> list[str]:
        clients, peers = (f"http://127.0.0.1:{port}" for port in (self.ports.etcd, self.ports.etcd_peer))
        return [
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            # The data is a test's: speed counts, a power cut does not.
            "--unsafe-no-fsync",
        ]

    def _apiserver(self) -> list[str]:
        key, serving = self._service_account_key(), self._serving()
        return [
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.ports.apiserver}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--service-account-key-file={key.certificate}",
            f"--service-account-signing-key-file={key.key}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            *audit.flags(self.directory),
            *(self._kubelet_flags() if self.kubelets else ["--endpoint-reconciler-type=none"]),
        ]

    def _kubelet_flags(self) -> list[str]:
        client = self.authority.client("kubelet-client", "kube-apiserver", ("system:masters",))
        return [
            "--allow-privileged=true",
            f"--kubelet-client-certificate={client.certificate}",
            f"--kubelet-client-key={client.key}",
            # A node's name is in no DNS here.
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _controllers(self) -> list[str]:
        return [
            *self._component_flags("kube-controller-manager", self.ports.controllers),
            f"--root-ca-file={self.authority.certificate}",
            f"--service-account-private-key-file={self._service_account_key().key}",
            "--use-service-account-credentials",
            "--allocate-node-cidrs=false",
            # One controller manager serves hundreds of test objects at once.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]

    def _scheduler(self) -> list[str]:
        return self._component_flags("kube-scheduler", self.ports.scheduler)

    def _component_flags(self, name: str, port: int) -> list[str]:
        serving, file = self._serving(), self.directory / f"{name}.kubeconfig"
        return [
            f"--kubeconfig={file}",
            f"--authentication-kubeconfig={file}",
            f"--authorization-kubeconfig={file}",
            f"--bind-address={self.address}",
            f"--secure-port={port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            "--leader-elect=false",
        ]

    def _healthy(self, port: int, path: str) -> bool:
        return probe.answers(f"https://{self.address}:{port}/{path}", self.authority.certificate)

    def _has_service_account(self) -> bool:
        return "default" in self.kubectl("get", "serviceaccounts", "--namespace=default", "--output=name")
