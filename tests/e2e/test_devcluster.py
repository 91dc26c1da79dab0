"""The dev cluster is a real Kubernetes, and leaves a machine as it found it."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from devcluster import Cluster, DevClusterError, binaries, images, mounts, nameserver, processes
from devcluster.__main__ import cache_here, cluster_here
from devcluster.cgroups import Cgroup
from devcluster.layout import Addresses, Layout
from devcluster.record import load, save

pytestmark = [pytest.mark.node, pytest.mark.skipif(os.geteuid() != 0, reason="a cluster needs root")]

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
_numbers = count(1)


def eventually(ask: Callable[[], T], *, seconds: float = 40.0) -> T:
    """The first answer that is true; pods and Services take a moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
        except (OSError, DevClusterError):
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.2)


def get(url: str) -> str:
    """The body of an answer, whatever its status."""
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except HTTPError as error:
        return error.read().decode()


@pytest.fixture
def namespace(node_cluster: Cluster) -> Iterator[str]:
    """A namespace of Kubernetes for one test."""
    name = f"devcluster-{next(_numbers)}"
    node_cluster.kubectl("create", "namespace", name)
    yield name
    node_cluster.kubectl("delete", "namespace", name, "--wait=false")


def a_pod(cluster: Cluster, namespace: str, name: str, image: str, **spec: str) -> str:
    """Run the small server in a pod; return the address of the pod when it answers."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "app", "image": image, "imagePullPolicy": "Never", "args": ["serve"]}],
            **spec,
        },
    }
    eventually(lambda: cluster.kubectl("get", "serviceaccount", "default", "-n", namespace))
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=60s", seconds=70)
    address = cluster.kubectl("get", "pod", name, "-n", namespace, "-o", "jsonpath={.status.podIP}")
    eventually(lambda: get(f"http://{address}:8080/") == f"{name}\n")
    return address


def a_service(cluster: Cluster, namespace: str, name: str, **spec: object) -> str:
    """A Service in front of the pod with this name; return its cluster IP."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **spec},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(service))
    return cluster.kubectl("get", "service", name, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")


def test_a_service_leads_to_its_pod(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """Another pod, the pod itself and the host all reach a pod at the cluster IP of its Service."""
    server = a_pod(node_cluster, namespace, "server", testpod)
    client = a_pod(node_cluster, namespace, "client", testpod)
    cluster_ip = a_service(node_cluster, namespace, "server")
    for asker in (client, server):
        eventually(lambda asker=asker: get(f"http://{asker}:8080/fetch?url=http://{cluster_ip}/") == "server\n")
    assert get(f"http://{cluster_ip}/") == "server\n"


def lookup(pod: str, name: str) -> str:
    """What a pod finds when it looks for a name: addresses, or why not."""
    return get(f"http://{pod}:8080/lookup?name={quote(name)}").strip()


def test_a_pod_finds_services_by_name(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """By the short name in its own namespace, by longer ones from everywhere; and the Service behind it answers."""
    a_pod(node_cluster, namespace, "server", testpod)
    client = a_pod(node_cluster, namespace, "client", testpod)
    cluster_ip = a_service(node_cluster, namespace, "server")
    full = f"server.{namespace}.svc.cluster.local"
    for name in ("server", f"server.{namespace}", f"server.{namespace}.svc", full, f"{full}."):
        assert eventually(lambda name=name: lookup(client, name) == cluster_ip)
    for name in ("kubernetes.default", "kubernetes.default.svc"):
        assert lookup(client, name) == addresses_of(node_cluster).api_service
    assert eventually(lambda: get(f"http://{client}:8080/fetch?url=http://server/") == "server\n")


def test_a_pod_finds_the_pods_of_a_headless_service(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """The name of the Service leads to its pods, and each pod with a hostname has a name of its own below it."""
    first = a_pod(node_cluster, namespace, "first", testpod, hostname="first", subdomain="all")
    second = a_pod(node_cluster, namespace, "second", testpod)
    node_cluster.kubectl("label", "pods", "--all", "all=yes", "-n", namespace)
    a_service(node_cluster, namespace, "all", clusterIP="None", selector={"all": "yes"})
    assert eventually(lambda: sorted(lookup(second, "all").split()) == sorted([first, second]))
    assert lookup(second, f"first.all.{namespace}.svc") == first


def test_a_name_that_is_nobodys_is_not_found_at_once(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """The answer is that there is no such name (NXDOMAIN), for an unknown Service and for one of another namespace."""
    pod = a_pod(node_cluster, namespace, "client", testpod)
    for name in ("nothing", "kubernetes"):
        began = time.monotonic()
        assert lookup(pod, f"{name}.{namespace}.svc.cluster.local.").endswith("no such host")
        assert time.monotonic() - began < 2


@pytest.fixture
def outside(node_cluster: Cluster) -> Iterator[Callable[[tuple[str, ...]], None]]:
    """Tells the forwarder of the cluster other resolvers than the machine's, which it has again afterwards."""
    file = Layout(node_cluster.name).config / "Corefile.forwarder"
    before = file.read_text()

    def tell(text: str) -> None:
        node_cluster.stop_component("dns-forwarder")
        file.write_text(text)
        node_cluster.start_component("dns-forwarder")

    yield lambda resolvers: tell(nameserver.forwarder_corefile(addresses_of(node_cluster), resolvers))
    tell(before)


def test_names_outside_are_the_machines_resolvers(
    node_cluster: Cluster, namespace: str, testpod: str, outside: Callable[[tuple[str, ...]], None]
) -> None:
    """Its answer reaches the pod, though it listens on the host's loopback alone."""
    pod = a_pod(node_cluster, namespace, "client", testpod)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))

        def answer() -> None:
            with suppress(OSError):
                while True:
                    query, asker = resolver.recvfrom(4096)
                    end = query.index(b"\0", 12) + 5
                    is_ipv4 = query[end - 4 : end - 2] == b"\0\1"
                    # The same question, and for IPv4 one record: a pointer to the name, its type, class, time, address.
                    record = b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4" + socket.inet_aton("192.0.2.7") if is_ipv4 else b""
                    head = query[:2] + b"\x81\x80\0\1" + bytes([0, int(is_ipv4)]) + b"\0\0\0\0"
                    resolver.sendto(head + query[12:end] + record, asker)

        threading.Thread(target=answer, daemon=True).start()
        outside((f"127.0.0.1:{resolver.getsockname()[1]}",))
        assert lookup(pod, "shop.example.com") == "192.0.2.7"


def test_without_a_resolver_nothing_is_outside(
    node_cluster: Cluster, namespace: str, testpod: str, outside: Callable[[tuple[str, ...]], None]
) -> None:
    """On a machine without a resolver other names do not exist, and that is told without waiting."""
    pod = a_pod(node_cluster, namespace, "client", testpod)
    outside(())
    began = time.monotonic()
    assert lookup(pod, "shop.example.com").endswith("no such host")
    assert lookup(pod, "nothing").endswith("no such host")
    assert time.monotonic() - began < 2
    assert lookup(pod, "kubernetes.default") == addresses_of(node_cluster).api_service


def glibc_program(_: Path) -> dict[str, Path]:
    """getent of this machine, with the libraries that it loads."""
    getent = shutil.which("getent")
    if getent is None or "libc.so.6" not in (libraries := output("ldd", getent)):
        pytest.skip("this machine has no getent of glibc")
    paths = [Path(word) for word in libraries.split() if word.startswith("/")]
    return {"/lookup": Path(getent), **{str(path): path for path in paths}}


def musl_program(place: Path) -> dict[str, Path]:
    """As much of getent as is asked for here, with musl in it."""
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-gcc is missing: it is in the Debian package musl-tools")
    source, program = place / "lookup.c", place / "lookup"
    source.write_text(LOOKUP)
    output("musl-gcc", "-static", "-o", str(program), str(source))
    return {"/lookup": program}


LOOKUP = """
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <netinet/in.h>

int main(int count, char **words) {
    struct addrinfo *found, wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    char text[INET_ADDRSTRLEN];
    if (count != 3 || getaddrinfo(words[2], NULL, &wanted, &found)) return 2;
    puts(inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text));
    return 0;
}
"""


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("program", [glibc_program, musl_program])
def test_c_libraries_find_services_too(
    node_cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    program: Callable[[Path], dict[str, Path]],
) -> None:
    """glibc and musl read answers each in its own way: both find Services, and none that is not there."""
    testpod = tmp_path / "testpod"
    binaries.build_static(binaries.HERE / "testpod", testpod, cache_here(), print)
    archive, name = tmp_path / "lookup.tar", f"docker.io/local/{program.__name__.replace('_', '-')}:1"
    images.write(archive, name, {"/testpod": testpod, **program(tmp_path)}, ["/testpod"])
    a_pod(node_cluster, namespace, "client", node_cluster.load(archive)[1])
    ask = ("exec", "client", "-n", namespace, "--", "/lookup", "ahostsv4")
    api = addresses_of(node_cluster).api_service
    for host in ("kubernetes.default", "kubernetes.default.svc.cluster.local"):
        assert node_cluster.kubectl(*ask, host).split()[0] == api
    began = time.monotonic()
    with pytest.raises(DevClusterError, match="exit code 2"):
        node_cluster.kubectl(*ask, f"nothing.{namespace}.svc.cluster.local.")
    assert time.monotonic() - began < 3


def test_names_are_found_again_when_the_server_was_away(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """A pod that was there before needs no restart."""
    pod = a_pod(node_cluster, namespace, "client", testpod)
    node_cluster.stop_component("coredns")
    assert not node_cluster.status().is_ready
    node_cluster.start_component("coredns")
    assert lookup(pod, "kubernetes.default") == addresses_of(node_cluster).api_service


def test_a_pod_reaches_another_pod(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """Pods reach each other at their own addresses."""
    server = a_pod(node_cluster, namespace, "server", testpod)
    client = a_pod(node_cluster, namespace, "client", testpod)
    assert get(f"http://{client}:8080/fetch?url=http://{server}:8080/") == "server\n"


def test_a_service_account_is_known_to_the_api_server(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """A pod's token names its service account: it may do nothing at first, and what it is allowed to afterwards."""
    pod = a_pod(node_cluster, namespace, "client", testpod)
    ask = f"http://{pod}:8080/api?path=" + quote(f"/api/v1/namespaces/{namespace}/pods")
    refused = json.loads(get(ask))
    assert refused["code"] == 403
    assert f"system:serviceaccount:{namespace}:default" in refused["message"]
    account = f"--serviceaccount={namespace}:default"
    node_cluster.kubectl("create", "rolebinding", "reader", "--clusterrole=view", account, "-n", namespace)
    pods = eventually(lambda: json.loads(get(ask)).get("items"))
    assert [item["metadata"]["name"] for item in pods] == ["client"]


def test_logs_and_exec_work(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """The API server reaches the kubelet for logs and exec."""
    a_pod(node_cluster, namespace, "server", testpod)
    assert node_cluster.kubectl("logs", "server", "-n", namespace) == "testpod listens on port 8080\n"
    said = node_cluster.kubectl("exec", "server", "-n", namespace, "--", "/testpod", "say", "hello")
    assert said == "hello\n"


def test_a_loaded_image_runs_by_tag_and_by_digest(
    node_cluster: Cluster, namespace: str, testpod: str, testpod_archive: Path
) -> None:
    """Both references that `load` returns run in pods, and loading again changes nothing."""
    tag, digest = node_cluster.load(testpod_archive)
    assert digest == testpod
    assert digest.startswith("docker.io/local/testpod@sha256:")
    a_pod(node_cluster, namespace, "by-tag", tag)
    a_pod(node_cluster, namespace, "by-digest", digest)


def test_an_archive_of_docker_is_loaded(
    node_cluster: Cluster, namespace: str, testpod_archive: Path, tmp_path: Path
) -> None:
    """What `docker save` writes, short name and all, is the same image."""
    with tarfile.open(testpod_archive) as oci:
        content = {entry.name: (oci.extractfile(entry) or io.BytesIO()).read() for entry in oci.getmembers()}
    layer = max(content, key=lambda name: len(content[name]))
    config = next(name for name, blob in content.items() if b"diff_ids" in blob[:1000])
    manifest = [{"Config": config, "RepoTags": ["local/docker-saved:1"], "Layers": [layer]}]
    archive = tmp_path / "docker.tar"
    with tarfile.open(archive, "w") as tar:
        for name, blob in (
            (layer, content[layer]),
            (config, content[config]),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(blob)
            tar.addfile(entry, io.BytesIO(blob))
    tag, digest = node_cluster.load(archive)
    assert tag == "docker.io/local/docker-saved:1"
    a_pod(node_cluster, namespace, "by-digest", digest)


def test_pods_reach_a_server_of_the_host(node_cluster: Cluster, namespace: str, testpod: str) -> None:
    """A webhook may run in a test: `host_address` leads to it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the host")

        def log_message(self, *_: object) -> None:
            pass

    client = a_pod(node_cluster, namespace, "client", testpod)
    with HTTPServer((node_cluster.host_address, 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{node_cluster.host_address}:{server.server_port}/"
        assert get(f"http://{client}:8080/fetch?url={url}") == "the host"
        server.shutdown()


def test_components_have_identities_of_their_own(node_cluster: Cluster) -> None:
    """The audit log knows every component by its own name, none as the administrator."""
    users: dict[str, set[str]] = {}
    for line in node_cluster.audit_log.read_text().splitlines():
        event = json.loads(line)
        users.setdefault(event.get("userAgent", "").partition("/")[0], set()).add(event["user"]["username"])
    assert users["kubelet"] == {"system:node:node1"}
    assert users["kube-proxy"] == {"system:kube-proxy"}
    assert users["coredns"] == {"system:coredns"}
    assert users["kube-scheduler"] == {"system:kube-scheduler"}
    controllers = users["kube-controller-manager"]
    assert all(
        user.startswith(("system:kube-controller-manager", "system:serviceaccount:kube-system:"))
        for user in controllers
    )


def test_a_stopped_component_comes_back(node_cluster: Cluster) -> None:
    """A test may take a component away and give it back."""
    before = node_cluster.component_pid("kube-scheduler")
    node_cluster.stop_component("kube-scheduler")
    with pytest.raises(DevClusterError, match=r"kube-scheduler .* is not running"):
        node_cluster.component_pid("kube-scheduler")
    assert not node_cluster.status().is_ready
    node_cluster.start_component("kube-scheduler")
    assert node_cluster.component_pid("kube-scheduler") != before
    assert node_cluster.status().is_ready


@pytest.fixture
def own_cluster() -> Iterator[Callable[..., Cluster]]:
    """Makes clusters for one test that starts, kills and stops them; all are gone afterwards."""
    made: list[Cluster] = []

    def make(*, node: bool = False, **settings: object) -> Cluster:
        # The name holds our process number, for a second test run at the same time.
        made.append(cluster_here(f"t{os.getpid()}-{len(made)}", node=node, **settings))
        return made[-1]

    yield make
    for cluster in made:
        cluster.down()


def traces(name: str, addresses: Addresses) -> list[str]:
    """Everything on this machine that belongs to the cluster with this name."""
    layout = Layout(name)
    found = [str(place) for place in (layout.state, layout.run, layout.namespace_file, layout.lock) if place.exists()]
    found += [str(place) for place in Path("/sys/class/net").glob(addresses.interface)]
    found += [str(place) for place in Path("/sys/fs/cgroup").glob(f"**/{layout.cgroup}")]
    found += [f"mount {place}" for place in mounts.below(layout)]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    found += [line for line in routes.splitlines() if addresses.node in line]
    for process in Path("/proc").glob("[0-9]*"):
        if processes.identify(int(process.name)) is None:
            # Ended, and its parent, for a pod's process the machine's init, has not asked for its exit code yet.
            continue
        try:
            told = (process / "cmdline").read_bytes().decode() + (process / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The two names of its directories, and the name of its cgroup.
        if any(f"{place}/" in told for place in (layout.state, layout.run, layout.cgroup)):
            found.append(f"process {process.name}")
    return found


def addresses_of(cluster: Cluster) -> Addresses:
    known = load(Layout(cluster.name))
    assert known is not None
    return known.addresses


def test_down_leaves_nothing_behind(own_cluster: Callable[..., Cluster], testpod_archive: Path) -> None:
    """Processes, mounts, namespaces, interfaces, routes, cgroups, files: all are gone, and were there before."""
    cluster = own_cluster(node=True)
    cluster.up()
    addresses = addresses_of(cluster)
    a_pod(cluster, "default", "server", cluster.load(testpod_archive)[1])
    assert len(traces(cluster.name, addresses)) > 10
    cluster.down()
    assert traces(cluster.name, addresses) == []
    cluster.down()


def test_names_are_found_after_down_and_up(own_cluster: Callable[..., Cluster], testpod_archive: Path) -> None:
    """By a cluster that was made again, and beside another one: each answers for its own."""
    cluster = own_cluster(node=True)
    for _ in range(2):
        cluster.up()
        pod = a_pod(cluster, "default", "server", cluster.load(testpod_archive)[1])
        cluster_ip = a_service(cluster, "default", "server")
        assert cluster_ip.rpartition(".")[0] == addresses_of(cluster).dns_service.rpartition(".")[0]
        assert eventually(lambda pod=pod, expected=cluster_ip: lookup(pod, "server.default") == expected)
        cluster.down()


def test_up_mends_what_was_killed(own_cluster: Callable[..., Cluster], testpod_archive: Path) -> None:
    """After every process of the cluster was killed, pods' too, `up` starts them again and nothing is lost."""
    cluster = own_cluster(node=True)
    cluster.up()
    a_pod(cluster, "default", "server", cluster.load(testpod_archive)[1])
    before = cluster.status().pids
    Cgroup.of_this_machine(Layout(cluster.name).cgroup).kill()
    assert set(cluster.status().pids.values()) == {None}
    cluster.up()
    assert cluster.status().is_ready
    assert not set(cluster.status().pids.values()) & set(before.values())
    address = ["get", "pod", "server", "-o", "jsonpath={.status.podIP}"]
    eventually(lambda: get(f"http://{cluster.kubectl(*address)}:8080/") == "server\n")
    assert lookup(cluster.kubectl(*address), "kubernetes.default") == addresses_of(cluster).api_service


@pytest.mark.parametrize("seconds", [0.3, 0.8, 3.0])
def test_up_survives_a_killed_predecessor(own_cluster: Callable[..., Cluster], seconds: float) -> None:
    """An `up` that was killed on its way is finished by the next one, and `down` undoes both."""
    cluster = own_cluster(node=True)
    first = subprocess.Popen(
        [sys.executable, "-m", "devcluster", f"--name={cluster.name}", "up"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    first.send_signal(signal.SIGKILL)
    first.wait()
    cluster.up()
    assert cluster.status().is_ready
    addresses = addresses_of(cluster)
    cluster.down()
    assert traces(cluster.name, addresses) == []


def test_up_ends_what_a_killed_predecessor_could_not_write_down(own_cluster: Callable[..., Cluster]) -> None:
    """A component that runs and is in no record is not started a second time beside itself."""
    cluster = own_cluster()
    cluster.up()
    layout = Layout(cluster.name)
    known = load(layout)
    assert known is not None
    unknown = known.processes["kube-apiserver"]
    save(layout, replace(known, processes={"etcd": known.processes["etcd"]}))
    cluster.up()
    assert not processes.is_alive(unknown)
    assert cluster.status().is_ready
    assert len(Cgroup.of_this_machine(layout.cgroup).members()) == 2


def test_up_again_changes_nothing(own_cluster: Callable[..., Cluster]) -> None:
    """A second `up` leaves every process as it is."""
    cluster = own_cluster()
    cluster.up()
    before = cluster.status()
    cluster.up()
    assert cluster.status() == before
    assert before.is_ready


def test_two_ups_at_once_make_one_cluster(own_cluster: Callable[..., Cluster]) -> None:
    """The second one waits for the first and finds everything done."""
    cluster = own_cluster()
    threads = [threading.Thread(target=cluster_here(cluster.name, node=False).up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cluster.status().is_ready
    assert len(Cgroup.of_this_machine(Layout(cluster.name).cgroup).members()) == 2


def test_two_clusters_run_side_by_side(own_cluster: Callable[..., Cluster]) -> None:
    """They know nothing of each other, and the end of one is nothing to the other."""
    one, two = own_cluster(), own_cluster()
    one.up()
    two.up()
    assert one.server != two.server
    one.kubectl("create", "namespace", "only-in-one")
    assert "only-in-one" not in two.kubectl("get", "namespaces")
    one.down()
    assert two.status().is_ready


def test_a_node_is_added_to_a_control_plane(own_cluster: Callable[..., Cluster]) -> None:
    """The node comes on top: the API server goes on running, with all that it knows."""
    control_plane = own_cluster()
    control_plane.up()
    control_plane.kubectl("create", "configmap", "kept")
    pid = control_plane.apiserver_pid
    with cluster_here(control_plane.name, node=True) as cluster:
        assert cluster.apiserver_pid == pid
        assert "kept" in cluster.kubectl("get", "configmaps")
        assert "node1" in cluster.kubectl("get", "nodes")


def test_other_settings_are_refused(own_cluster: Callable[..., Cluster]) -> None:
    """A running cluster is not silently something else than what was asked for."""
    cluster = own_cluster()
    cluster.up()
    other = cluster_here(cluster.name, node=False, emulated_version="1.33")
    with pytest.raises(DevClusterError, match=r"emulated_version is None, not '1\.33'"):
        other.up()
    assert cluster.status().is_ready


def test_an_older_kubernetes_is_emulated(own_cluster: Callable[..., Cluster]) -> None:
    """With an emulated version the API server has the API of that version, and none that came later."""
    cluster = own_cluster(emulated_version="1.33")
    cluster.up()
    served = cluster.kubectl("api-resources", "--api-group=admissionregistration.k8s.io")
    assert "ValidatingAdmissionPolicy" in served
    assert "MutatingAdmissionPolicy" not in served


def test_only_its_own_processes_are_stopped(own_cluster: Callable[..., Cluster]) -> None:
    """A process that got the number of one of ours is none of ours: it lives on."""
    cluster = own_cluster()
    cluster.up()
    layout = Layout(cluster.name)
    known = load(layout)
    assert known is not None
    with subprocess.Popen(["sleep", "60"]) as stranger:
        etcd = known.processes["etcd"]
        save(layout, known.with_process("etcd", type(etcd)(stranger.pid, etcd.started, etcd.boot)))
        cluster.down()
        assert stranger.poll() is None
        stranger.kill()


def test_a_program_beside_the_cluster_ends_with_it(own_cluster: Callable[..., Cluster]) -> None:
    """It outlives the command that started it, is replaced by the next of its name, may end early, and ends at last."""
    cluster = own_cluster()
    cluster.up()
    first = cluster.start_program("beside", ["sh", "-c", "echo began; sleep 60"])
    eventually(lambda: cluster.log("beside").exists() and cluster.log("beside").read_text() == "began\n")
    second = cluster.start_program("beside", ["sh", "-c", "echo began; sleep 60"])
    assert processes.identify(first) is None
    assert cluster.component_pid("beside") == second
    eventually(lambda: cluster.log("beside").read_text() == "began\nbegan\n")
    cluster.start_program("brief", ["true"])
    cluster.up()
    assert cluster.component_pid("beside") == second
    cluster.down()
    assert processes.identify(second) is None


def test_a_component_that_dies_is_quoted(own_cluster: Callable[..., Cluster]) -> None:
    """Where the API server does not start, the error shows the end of its log."""
    cluster = own_cluster(extra_apiserver_args=("--no-such-flag",))
    with pytest.raises(DevClusterError, match=r"(?s)kube-apiserver ended .*unknown flag: --no-such-flag"):
        cluster.up()
