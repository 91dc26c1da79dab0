"""What the two DNS servers of a cluster are told, and who is led to them."""

import ipaddress

import pytest

from devcluster import nameserver
from devcluster.layout import Addresses, Layout

ADDRESSES = Addresses(3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("search corp.example\noptions ndots:2\n", ()),
        ("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameserver\nnameserver nonsense\n", ()),
        ("nameserver 127.0.0.53\noptions edns0\n", ("127.0.0.53",)),
        ("nameserver 192.0.2.1 # home\nnameserver\t2001:db8::1\nnameserver 192.0.2.1\n", ("192.0.2.1", "2001:db8::1")),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6)), ("192.0.2.1", "192.0.2.2", "192.0.2.3")),
    ],
)
def test_the_machines_resolvers_are_read_as_the_c_library_reads_them(text: str, expected: tuple[str, ...]) -> None:
    """Each line with an address, in their order, each once and at most three."""
    assert nameserver.resolvers(text) == expected


def test_no_question_goes_in_a_circle() -> None:
    """A machine that asks a cluster, this one or another, is not asked by it."""
    ours = (ADDRESSES.dns_service, ADDRESSES.node, Addresses(7).host)
    text = "".join(f"nameserver {address}\n" for address in ours)
    assert nameserver.resolvers(text) == ()
    assert nameserver.resolvers(text + "nameserver 192.0.2.1\n") == ("192.0.2.1",)


def test_the_server_listens_at_the_node_alone() -> None:
    """And so does what says that it is ready: nothing of it is in the way of a pod in the node's network."""
    text = nameserver.corefile(Layout("toe"), ADDRESSES)
    assert "\n    bind 10.213.3.2\n" in text
    assert "\n    ready 10.213.3.2:10254\n" in text


def test_the_server_asks_the_forwarder() -> None:
    """Where the one asks, the other listens, and at no other address of the host."""
    forwarder = nameserver.forwarder_corefile(ADDRESSES, ("127.0.0.53", "192.0.2.1"))
    assert forwarder.startswith(".:10053 {\n    bind 10.213.3.1\n")
    assert "\n    forward . 127.0.0.53 192.0.2.1 {\n" in forwarder
    assert "\n    forward . 10.213.3.1:10053 {\n" in nameserver.corefile(Layout("toe"), ADDRESSES)


def test_without_a_resolver_nobody_is_asked() -> None:
    """The answer is NXDOMAIN: after SERVFAIL some would ask again for seconds."""
    text = nameserver.forwarder_corefile(ADDRESSES, ())
    assert "rcode NXDOMAIN" in text
    assert "forward " not in text


def test_the_service_leads_to_the_server() -> None:
    """At the address that pods are told, for UDP and TCP; nothing else could write its endpoints."""
    known = {thing["kind"]: thing for thing in nameserver.objects(ADDRESSES).values()}
    service, slice_ = known["Service"], known["EndpointSlice"]
    assert service["spec"]["clusterIP"] == ADDRESSES.dns_service
    assert ipaddress.ip_address(ADDRESSES.dns_service) in ipaddress.ip_network(ADDRESSES.services)
    assert "selector" not in service["spec"]
    assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == service["metadata"]["name"]
    assert [endpoint["addresses"] for endpoint in slice_["endpoints"]] == [["10.213.3.2"]]
    for ports in (service["spec"]["ports"], slice_["ports"]):
        assert [(port["protocol"], port["port"]) for port in ports] == [("UDP", 53), ("TCP", 53)]


def test_it_may_read_what_names_are_made_of() -> None:
    """Services, their endpoints and namespaces, and change nothing."""
    known = {thing["kind"]: thing for thing in nameserver.objects(ADDRESSES).values()}
    rules = known["ClusterRole"]["rules"]
    assert {resource for rule in rules for resource in rule["resources"]} == {
        "namespaces",
        "services",
        "endpointslices",
    }
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}
    assert [subject["name"] for subject in known["ClusterRoleBinding"]["subjects"]] == [nameserver.USER]
