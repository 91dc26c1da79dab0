"""``make demo``: a real Kubernetes, a web shop under load, its flame graph and a packet capture out of its pods.

Everything a newcomer sees is what he could have typed: the commands are printed before they run. The cluster and toe
stay up afterwards; ``make cluster-down`` removes them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from scapy.utils import RawPcapReader

from devcluster import Cluster, DevClusterError
from devcluster.__main__ import cluster_here
from tools import images

TOP = Path(__file__).resolve().parents[2]
OUT = TOP / "demo-out"
CHART = TOP / "charts" / "toe"
SYSTEM = "toe-system"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
UID = 65532
SIZE = "5Gi"
TOOLS: dict[str, list[str] | None] = {"py-spy": None, "strace": ["shop"], "tcpdump": None}
"""The namespaces that each tool is allowed in; None: all that are not protected."""
PODS_ARE_FULL = 8
"""Tool containers after which the shop gets new pods: they can never be removed, and a pod takes 16."""


class DemoError(Exception):
    """Says in one line what did not go as it should."""


def main() -> int:
    """Runs the demo; returns the exit status."""
    try:
        cluster = cluster_here()
        prepare(cluster)
        results(cluster)
    except (DemoError, DevClusterError, images.BuildError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(
        "\nThe cluster and toe are still up. Play with them:\n"
        f"  export KUBECONFIG={cluster.kubeconfig} PATH=$PWD/.venv/bin:$PATH\n"
        "  kubectl toe tools -n shop\n"
        "  kubectl toe doctor\n"
        "make cluster-down removes everything.\n"
    )
    print("demo: ok")
    return 0


def prepare(cluster: Cluster) -> None:
    """Brings up Kubernetes, the images, the definitions, the shop and the controller; what is there already stays."""
    with step("a real Kubernetes"):
        cluster.up()
    with step("the images of three tools, of the shop and of toe"):
        for name in (*TOOLS, "shop"):
            cluster.load(images.build(name, report=say))
        _, operator = cluster.load(images.build("operator", report=say))
    with step("toe, with Helm, and its tools"):
        install(cluster, operator)
        for tool in TOOLS:
            apply(cluster, *tool_configs(tool))
        cluster.kubectl("wait", "--for=condition=Ready", "ptc", "--all", "-n", "toe-system", "--timeout=30s")
    with step("a web shop under load, in two namespaces"):
        cluster.kubectl("apply", "-f", str(Path(__file__).parent / "shop.yaml"))
        for name in ("shop", "shop-open"):
            if fullest(cluster, name) >= PODS_ARE_FULL:
                cluster.kubectl("rollout", "restart", "deployment/shop", "-n", name)
            cluster.kubectl("rollout", "status", "deployment/shop", "-n", name, "--timeout=90s", seconds=100)
    with step("olga, who uses tools and fetches files in shop-open, and may look at runs in shop"):
        apply(cluster, *(_role_of_olga(role) for role in ("powertool-user", "powertool-artifacts-reader")))
        apply(cluster, _role_of_olga("powertool-viewer", "shop"))


def install(cluster: Cluster, image: str, *values: str) -> None:
    """Installs toe as anybody does: definitions, then Helm, which waits until every part is ready.

    ``values`` are what ``--set`` takes. Helm installs definitions and never changes them, so an older cluster gets them
    first.
    """
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART / "crds"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM, "labels": RESTRICTED}}
    apply(cluster, namespace, volume(cluster))
    repository, _, digest = image.partition("@")
    chosen = (
        f"image.repository={repository}",
        f"image.digest={digest}",
        f"collector.storage.claim.size={SIZE}",
        *values,
    )
    cluster.helm(
        *("upgrade", "--install", "toe", str(CHART), "--namespace", SYSTEM, "--wait", "--timeout", "120s"),
        *(f"--set={value}" for value in chosen),
        seconds=150,
    )


def volume(cluster: Cluster) -> dict[str, Any]:
    """Returns where files are kept: a directory of the one node, which goes with the cluster."""
    place = cluster.kubeconfig.parent / "artifacts"
    place.mkdir(mode=0o700, exist_ok=True)
    os.chown(place, UID, UID)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "toe-artifacts"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": SIZE},
            "claimRef": {"name": "toe-artifacts", "namespace": SYSTEM},
            "hostPath": {"path": str(place)},
        },
    }


def _role_of_olga(role: str, namespace: str = "shop-open") -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"olga-{role}", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": "olga", "apiGroup": "rbac.authorization.k8s.io"}],
    }


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    """Applies objects in their order."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))


def results(cluster: Cluster) -> None:
    """Takes a profile and a capture, and shows two refusals."""
    OUT.mkdir(exist_ok=True)
    title("Where does the shop spend its time? Namespace shop enforces Pod Security restricted.")
    profile = run(cluster, "py-spy", "-n", "shop", "-l", "app=shop", "--for", "10s")
    fetch(cluster, profile, "shop")
    print("\nThe busiest functions, by samples:")
    for path in collect(profile, "*.folded"):
        print(f"  {path.relative_to(TOP)}")
        for function, share in busiest(path):
            print(f"    {share:5.1%}  {function}")
    title("What goes over the shop's wire? Namespace shop-open permits a tool that is root with NET_RAW.")
    capture = run(cluster, "tcpdump", "-n", "shop-open", "-l", "app=shop", "--for", "5s", "--", "-c", "300")
    fetch(cluster, capture, "shop-open")
    for path in collect(capture, "*.pcap"):
        with RawPcapReader(str(path)) as reader:
            packets = sum(1 for _ in reader)
        if not packets:
            raise DemoError(f"{path} holds no packet")
        print(f"  {path.relative_to(TOP)}: {packets} packets, read by scapy")
    title("Where are the files? With the collector; kubectl shows them, to those who may see them.")
    show(cluster, "get", "artifacts", "-n", "shop")
    toe(cluster, "get", profile, "-n", "shop", "--as", "olga", expect=1)
    title("What is refused, and how it is said.")
    toe(cluster, "run", "tcpdump", "-n", "shop-open", "-l", "app=shop", "--", "-z", "reboot", expect=2)
    toe(cluster, "run", "tcpdump", "-n", "shop", "-l", "app=shop", "--for", "5s", expect=1)


def show(cluster: Cluster, *words: str) -> None:
    """Prints a ``kubectl`` command and what it prints."""
    print(f"\n$ kubectl {' '.join(words)}\n{cluster.kubectl(*words).rstrip()}", flush=True)


def run(cluster: Cluster, tool: str, *words: str) -> str:
    """Runs a tool to its end and returns the name of the run."""
    name = f"{tool}-{time.time_ns() // 1_000_000_000:x}"
    first, rest = (words[: words.index("--")], words[words.index("--") :]) if "--" in words else (words, ())
    toe(cluster, "run", tool, *first, "--name", name, *rest, expect=0)
    return name


def fetch(cluster: Cluster, run_name: str, namespace: str) -> None:
    """Fetches the files of a run into ``demo-out/RUN/``."""
    toe(cluster, "get", run_name, "-n", namespace, "--directory", str((OUT / run_name).relative_to(TOP)), expect=0)


def collect(run_name: str, pattern: str) -> list[Path]:
    """Copies the files of a run that match to ``demo-out/`` itself, named by their pod; there must be one."""
    found = sorted((OUT / run_name).rglob(pattern))
    if not found:
        raise DemoError(f"no {pattern} came out of {run_name}")
    return [Path(shutil.copy(path, OUT / f"{path.parent.name}-{path.name}")) for path in found]


def busiest(path: Path, most: int = 5) -> list[tuple[str, float]]:
    """Returns the functions that were on the processor, whatever their line, with their share of all samples."""
    samples: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        function, _, _ = stack.split(";")[-1].rpartition(":")
        samples[f"{function})"] += int(count)
    total = samples.total()
    if not total:
        raise DemoError(f"{path} holds no sample")
    return [(function, count / total) for function, count in samples.most_common(most)]


def toe(cluster: Cluster, *words: str, expect: int) -> None:
    """Prints a ``kubectl toe`` command, runs it, and insists on its exit status."""
    print(f"\n$ kubectl toe {' '.join(words)}", flush=True)
    plugin = str(Path(sys.executable).parent / "kubectl-toe")
    command = [plugin, words[0], "--kubeconfig", str(cluster.kubeconfig), *words[1:]]
    done = subprocess.run(command, cwd=TOP, check=False, timeout=180)
    if done.returncode != expect:
        raise DemoError(f"kubectl toe {words[0]} ended with {done.returncode}, not {expect}")


def fullest(cluster: Cluster, namespace: str) -> int:
    """Returns how many tool containers the fullest pod of a namespace has."""
    template = "{range .items[*]}{.spec.ephemeralContainers[*].name}{'\\n'}{end}"
    names = cluster.kubectl("get", "pods", "-n", namespace, "-o", f"jsonpath={template}")
    return max((len(line.split()) for line in names.splitlines()), default=0)


def tool_configs(name: str) -> list[dict[str, Any]]:
    """Returns what the catalogue has for a tool, limited to its namespaces."""
    configs = list(yaml.safe_load_all((TOP / "tools" / name / "powertoolconfig.yaml").read_text()))
    if (places := TOOLS[name]) is not None:
        for config in configs:
            config["spec"]["allowedNamespaces"] = places
    return configs


class step:  # noqa: N801 reads as a statement: with step("..."):
    """Says what is being made and how long it took."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        say(f"... {self._what}")
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            say(f" ok {self._what} ({time.monotonic() - self._began:.0f} s)")


def say(line: str) -> None:
    """Tells progress, beside the results."""
    print(line, file=sys.stderr, flush=True)


def title(text: str) -> None:
    """Opens a part of the demo."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
