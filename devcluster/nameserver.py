"""Cluster DNS: what its two servers are told, and what the API server has to know so that pods find them.

The names of the cluster are answered on the node, in its network namespace. All other names go on to a forwarder on the
host: nobody else reaches the machine's own resolver, which often listens on loopback.
"""

import ipaddress
from typing import Any

from devcluster.layout import NETWORKS, Addresses, Layout

DOMAIN = "cluster.local"
READY_PORT = 10254

# Not 53 and no usual other: on the host somebody may listen on those, at all addresses.
FORWARDER_PORT = 10053

# As for the C library, which reads no more than three of them.
MOST_RESOLVERS = 3

NAME = "kube-dns"
USER = "system:coredns"


def resolvers(resolv_conf: str) -> tuple[str, ...]:
    """The resolvers that a resolv.conf names; without those of any cluster, which would ask the forwarder again."""
    found: list[str] = []
    for line in resolv_conf.splitlines():
        keyword, *values = line.split()[:2] or [""]
        if keyword != "nameserver" or not values:
            continue
        try:
            address = ipaddress.ip_address(values[0])
        except ValueError:
            continue
        if not any(address in network for network in NETWORKS):
            found.append(str(address))
    return tuple(dict.fromkeys(found))[:MOST_RESOLVERS]


def corefile(layout: Layout, addresses: Addresses) -> str:
    """For the server on the node. It has no cache: what it knows is in its memory, and a new Service counts at once."""
    return f"""\
.:53 {{
    bind {addresses.node}
    errors
    ready {addresses.node}:{READY_PORT}
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {layout.config}/coredns.kubeconfig
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    forward . {addresses.host}:{FORWARDER_PORT} {{
        failfast_all_unhealthy_upstreams
    }}
}}
"""


def forwarder_corefile(addresses: Addresses, upstream: tuple[str, ...]) -> str:
    """For the forwarder on the host. Where the machine has no resolver, no name outside of the cluster exists."""
    if upstream:
        answers = f"""\
    cache 30
    forward . {" ".join(upstream)} {{
        policy sequential
        failfast_all_unhealthy_upstreams
    }}
"""
    else:
        # Not SERVFAIL: musl would ask again until its time is over.
        answers = """\
    template ANY ANY {
        rcode NXDOMAIN
    }
"""
    return f"""\
.:{FORWARDER_PORT} {{
    bind {addresses.host}
    errors
{answers}}}
"""


def objects(addresses: Addresses) -> dict[str, dict[str, Any]]:
    """What the API server has to know, by path: the Service that pods ask, where it leads, what CoreDNS may read."""
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    roles = "rbac.authorization.k8s.io"

    return {
        f"/apis/{roles}/v1/clusterroles/{USER}": {
            "apiVersion": f"{roles}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": USER},
            "rules": [
                {"apiGroups": [""], "resources": ["namespaces", "services"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        f"/apis/{roles}/v1/clusterrolebindings/{USER}": {
            "apiVersion": f"{roles}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": roles, "kind": "ClusterRole", "name": USER},
            "subjects": [{"apiGroup": roles, "kind": "User", "name": USER}],
        },
        f"/api/v1/namespaces/kube-system/services/{NAME}": {
            "apiVersion": "v1",
            "kind": "Service",
            # By this label everybody finds the DNS of a cluster, whatever its name is.
            "metadata": {"name": NAME, "namespace": "kube-system", "labels": {"k8s-app": NAME}},
            # Without a selector: no pod is behind it, and no controller writes its endpoints.
            "spec": {"clusterIP": addresses.dns_service, "ports": ports},
        },
        f"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/{NAME}": {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": NAME,
                "namespace": "kube-system",
                "labels": {
                    "kubernetes.io/service-name": NAME,
                    "endpointslice.kubernetes.io/managed-by": "devcluster",
                },
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [addresses.node], "conditions": {"ready": True}}],
            "ports": ports,
        },
    }
