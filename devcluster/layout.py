"""Where the files of one cluster are, and which addresses it uses. Nothing here touches the disk or the network."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevClusterError

STATE_ROOT = Path("/var/lib/toe-devcluster")
RUN_ROOT = Path("/run/toe-devcluster")

# The path of a unix socket has at most 107 characters, and containerd names the sockets of its shims with 64:
# /run/toe-devcluster/NAME/s/<64 characters> leaves 20 for NAME.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?")

# A slot is one byte of each address below.
SLOTS = range(255)

# Of the nodes, the pods and the Services of all clusters.
NETWORKS = tuple(ipaddress.ip_network(f"10.{number}.0.0/16") for number in (213, 214, 215))

NODE_NAME = "node1"
API_PORT = 6443


@dataclass(frozen=True)
class Layout:
    """Every path of the cluster with this name."""

    name: str
    state_root: Path = STATE_ROOT
    run_root: Path = RUN_ROOT

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise DevClusterError(
                f"{self.name!r} cannot name a cluster",
                hint="A name has at most 20 characters: lower-case letters, digits and dashes, no dash at the ends.",
            )

    @property
    def state(self) -> Path:
        return self.state_root / self.name

    @property
    def run(self) -> Path:
        """Sockets and mounts; gone after a reboot."""
        return self.run_root / self.name

    @property
    def lock(self) -> Path:
        return self.run_root / f"{self.name}.lock"

    @property
    def slots_lock(self) -> Path:
        """One for all clusters of the machine; no cluster can have a name with a dot."""
        return self.run_root / "all.slots.lock"

    @property
    def record(self) -> Path:
        return self.state / "record.json"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; every component has one of its own in `config`."""
        return self.state / "kubeconfig"

    @property
    def kubectl_cache(self) -> Path:
        """What kubectl remembers of the API server's kinds."""
        return self.state / "kubectl-cache"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def namespace(self) -> str:
        """The name of the network namespace."""
        return f"toe-{self.name}"

    @property
    def namespace_file(self) -> Path:
        return Path("/run/netns") / self.namespace

    @property
    def mount_namespace_file(self) -> Path:
        return self.run / "namespaces" / "mount"

    @property
    def cgroup(self) -> str:
        """The name of the cgroup, below the root of each hierarchy."""
        return f"toe-{self.name}"

    @property
    def pod_network(self) -> str:
        """The name of the pod network, as the CNI plugins know it."""
        return f"toe-{self.name}"


@dataclass(frozen=True)
class Addresses:
    """The addresses of the cluster in this slot: three networks in 10.213.0.0 to 10.215.255.255.

    The host reaches all three, through the pair of virtual interfaces that joins it to the cluster's network namespace.
    """

    slot: int

    def __post_init__(self) -> None:
        if self.slot not in SLOTS:
            raise DevClusterError(f"slot {self.slot} is not one of {SLOTS.start} to {SLOTS.stop - 1}")

    @property
    def interface(self) -> str:
        """The host's end of the pair; the kernel allows 15 characters."""
        return f"toe-slot{self.slot}"

    @property
    def host(self) -> str:
        """Where the cluster finds servers of the host, such as a webhook in a test."""
        return f"10.213.{self.slot}.1"

    @property
    def node(self) -> str:
        """The node and its API server, for the host and for pods."""
        return f"10.213.{self.slot}.2"

    @property
    def pods(self) -> str:
        return f"10.214.{self.slot}.0/24"

    @property
    def services(self) -> str:
        return f"10.215.{self.slot}.0/24"

    @property
    def api_service(self) -> str:
        """The cluster IP of the Service `kubernetes`: always the first of the range."""
        return f"10.215.{self.slot}.1"

    @property
    def dns_service(self) -> str:
        """The cluster IP of the Service `kube-dns`: by custom the tenth of the range."""
        return f"10.215.{self.slot}.10"

    @property
    def server(self) -> str:
        return f"https://{self.node}:{API_PORT}"
