"""The programs of a cluster: their flags, their configuration files and how to see that they are ready."""

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devcluster import nameserver, processes
from devcluster.layout import API_PORT, NODE_NAME, Addresses, Layout

ETCD_PORT = 2379
KUBELET_PORT = 10250

# CNI plugins: Debian's directory, and the one of everybody else.
CNI_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin")

CONTROL_PLANE = ("etcd", "kube-apiserver")
CONTROLLERS = ("kube-controller-manager",)
NODE = ("containerd", "kube-scheduler", "dns-forwarder", "coredns", "kubelet", "kube-proxy")

# Two components are one program.
PROGRAMS = {"dns-forwarder": "coredns"}


@dataclass(frozen=True)
class Settings:
    """What a cluster is made of, as asked for; two clusters with equal settings are the same."""

    kubernetes_version: str
    node: bool = True
    controller_manager: bool = True
    emulated_version: str | None = None
    """Such as `1.33`: the API server behaves as that older version."""
    extra_apiserver_args: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The components in the order in which they start."""
        controllers = CONTROLLERS if self.controller_manager or self.node else ()
        return (*CONTROL_PLANE, *controllers, *(NODE if self.node else ()))

    @property
    def programs(self) -> tuple[str, ...]:
        """What has to be built: the components, and what these start or load."""
        own = dict.fromkeys(PROGRAMS.get(name, name) for name in self.names)
        return (*own, *(("containerd-shim-runc-v2", "ctr", "pause") if self.node else ()))


@dataclass(frozen=True)
class Component:
    """One program."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[int], bool]
    """Whether the component with this process number answers. The API server is asked by its client instead."""
    mounts: bool = False
    """Whether it mounts things for pods, and so belongs into the mount namespace."""
    on_host: bool = False
    """Whether it belongs into the host's network and not into the cluster's."""


def components(
    settings: Settings, layout: Layout, addresses: Addresses, binaries: Mapping[str, Path]
) -> dict[str, Component]:
    """The components of these settings by name, in the order in which they start; `binaries` has their programs."""
    commands: dict[str, tuple[list[str], Callable[[int], bool]]] = {
        "etcd": (_etcd(layout), lambda pid: processes.listens(pid, ETCD_PORT)),
        "kube-apiserver": (_apiserver(settings, layout, addresses), lambda pid: processes.listens(pid, API_PORT)),
        "kube-controller-manager": (_controller_manager(settings, layout), lambda pid: processes.listens(pid, 10257)),
        "kube-scheduler": (_scheduler(settings, layout), lambda pid: processes.listens(pid, 10259)),
        "containerd": (
            [f"--config={layout.config}/containerd.toml"],
            lambda _: _answers(layout.containerd_socket),
        ),
        "dns-forwarder": (
            [f"-conf={layout.config}/Corefile.forwarder"],
            lambda _: accepts(addresses.host, nameserver.FORWARDER_PORT),
        ),
        "coredns": (
            [f"-conf={layout.config}/Corefile"],
            # It says so a moment before it listens.
            lambda _: _is_well(addresses.node, nameserver.READY_PORT, "/ready") and accepts(addresses.node, 53),
        ),
        "kubelet": (_kubelet(layout, addresses), lambda pid: processes.listens(pid, KUBELET_PORT)),
        "kube-proxy": ([f"--config={layout.config}/kube-proxy.yaml"], lambda pid: processes.listens(pid, 10256)),
    }
    return {
        name: Component(
            name,
            (str(binaries[PROGRAMS.get(name, name)]), *commands[name][0]),
            commands[name][1],
            mounts=name in ("containerd", "kubelet"),
            on_host=name == "dns-forwarder",
        )
        for name in settings.names
    }


def configure(
    settings: Settings,
    layout: Layout,
    addresses: Addresses,
    cgroup_root: str,
    snapshotter: str,
    resolvers: tuple[str, ...],
) -> None:
    """Write the configuration files that the commands name. `resolvers` are the machine's own, for names outside."""
    files: dict[str, str] = {"audit.yaml": _yaml(AUDIT_POLICY)}
    if settings.node:
        files["containerd.toml"] = _containerd(layout, snapshotter)
        files["kubelet.yaml"] = _yaml(_kubelet_configuration(layout, addresses, cgroup_root))
        files["kube-proxy.yaml"] = _yaml(_proxy_configuration(layout, addresses))
        files["Corefile"] = nameserver.corefile(layout, addresses)
        files["Corefile.forwarder"] = nameserver.forwarder_corefile(addresses, resolvers)
        files["cni/10-toe.conflist"] = json.dumps(_pod_network(layout, addresses), indent=2)
    for name, content in files.items():
        path = layout.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


# Who asked for what and what was answered, without the objects: enough to count requests and small enough to keep.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def _etcd(layout: Layout) -> list[str]:
    return [
        f"--data-dir={layout.state}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{ETCD_PORT}",
        f"--advertise-client-urls=http://127.0.0.1:{ETCD_PORT}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        # A killed process loses nothing by it, only a machine that loses power does.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(settings: Settings, layout: Layout, addresses: Addresses) -> list[str]:
    pki = layout.pki
    return [
        f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
        # The one address that host, node and pods all reach; it is also what the Service `kubernetes` points to.
        f"--bind-address={addresses.node}",
        f"--advertise-address={addresses.node}",
        f"--secure-port={API_PORT}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--service-cluster-ip-range={addresses.services}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        # Webhooks and aggregated APIs are called at their pods, not at a cluster IP.
        "--enable-aggregator-routing=true",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        f"--audit-policy-file={layout.config}/audit.yaml",
        f"--audit-log-path={layout.audit_log}",
        *_emulation(settings),
        *settings.extra_apiserver_args,
    ]


def _controller_manager(settings: Settings, layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.config}/controller-manager.kubeconfig",
        f"--service-account-private-key-file={layout.pki}/service-accounts.key",
        f"--root-ca-file={layout.pki}/ca.crt",
        f"--cluster-signing-cert-file={layout.pki}/ca.crt",
        f"--cluster-signing-key-file={layout.pki}/ca.key",
        "--use-service-account-credentials",
        "--allocate-node-cidrs=false",
        "--bind-address=127.0.0.1",
        # There is only one: a lease would only make a restart slow.
        "--leader-elect=false",
        *_emulation(settings),
    ]


def _scheduler(settings: Settings, layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={layout.config}/scheduler.kubeconfig",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        *_emulation(settings),
    ]


def _emulation(settings: Settings) -> list[str]:
    return [f"--emulated-version={settings.emulated_version}"] if settings.emulated_version else []


def _kubelet(layout: Layout, addresses: Addresses) -> list[str]:
    return [
        f"--config={layout.config}/kubelet.yaml",
        f"--kubeconfig={layout.config}/kubelet.kubeconfig",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={addresses.node}",
        f"--root-dir={layout.state}/kubelet",
        f"--cert-dir={layout.state}/kubelet-pki",
    ]


def _kubelet_configuration(layout: Layout, addresses: Addresses, cgroup_root: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "address": addresses.node,
        "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{layout.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{layout.pki}/kubelet.key",
        "clusterDomain": nameserver.DOMAIN,
        "clusterDNS": [addresses.dns_service],
        "resolvConf": "/etc/resolv.conf",
        "podLogsDir": f"{layout.state}/pod-logs",
        "volumePluginDir": f"{layout.state}/volume-plugins",
        # Kubernetes 1.35 and later refuse cgroup v1 otherwise; without a meaning on cgroup v2.
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_root,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        # Tolerates what root cannot set without CAP_SYS_RESOURCE, as in a container.
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        # Nothing that was loaded by hand may be collected or evicted: nobody could pull it again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "200Mi", "imagefs.available": "200Mi"},
        # The default, 110, is less than what fits into the pod network.
        "maxPods": 200,
    }


def _proxy_configuration(layout: Layout, addresses: Addresses) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{layout.config}/proxy.kubeconfig"},
        # Who calls a cluster IP from outside the pod network, as the host does, is masqueraded.
        "clusterCIDR": addresses.pods,
        "hostnameOverride": NODE_NAME,
        "bindAddress": "127.0.0.1",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # Zero leaves the limits of connection tracking alone: they belong to the host.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _pod_network(layout: Layout, addresses: Addresses) -> dict[str, Any]:
    """One pair of interfaces per pod, and no bridge.

    So all traffic between pods is routed, and passes connection tracking both ways; on a bridge the answer of a Service
    on the same node takes a shortcut unless the kernel module br_netfilter is there.
    """
    ipam = {
        "type": "host-local",
        "dataDir": f"{layout.state}/addresses",
        "ranges": [[{"subnet": addresses.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": layout.pod_network,
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd(layout: Layout, snapshotter: str) -> str:
    """Everything below our own directories: by default a good part of containerd's state is shared with others."""
    directories = json.dumps(CNI_DIRECTORIES)
    return f"""\
version = 3
root = "{layout.state}/containerd"
state = "{layout.run}/containerd"

[grpc]
  address = "{layout.containerd_socket}"

[ttrpc]
  address = "{layout.containerd_socket}.ttrpc"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  # The kubelet asks for a negative value, which root without CAP_SYS_RESOURCE cannot set: runc would die of it.
  restrict_oom_score_adj = true
  # The pods' network namespaces are then mounted where `down` looks for mounts.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = {directories}
    conf_dir = "{layout.config}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "{layout.run}/runc"

[plugins."io.containerd.shim.v1.manager"]
  socket_dir = "{layout.run}/s"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.state}/opt"

[plugins."io.containerd.nri.v1.nri"]
  disable = true
"""


def _answers(path: Path) -> bool:
    """Whether somebody accepts connections at a unix socket: the file alone may be of a killed predecessor."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def accepts(host: str, port: int) -> bool:
    """Whether somebody accepts connections at an address."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def _is_well(host: str, port: int, path: str) -> bool:
    """Whether a component says of itself, over HTTP, that it is ready."""
    connection = http.client.HTTPConnection(host, port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# The image that holds a pod's namespaces. It is built and loaded by `up`, so its name stands for no registry.
PAUSE_IMAGE = "docker.io/local/pause:1"


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
