"""python -m devcluster: the cluster on the command line. The only place that reads the environment."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from devcluster.cluster import Cluster, Status, say
from devcluster.errors import DevClusterError


def cluster_here(
    name: str = "toe",
    *,
    node: bool = True,
    controller_manager: bool | None = None,
    kubernetes_version: str | None = None,
    emulated_version: str | None = None,
    extra_apiserver_args: tuple[str, ...] = (),
) -> Cluster:
    """A cluster with the version and the cache that the environment names: TOE_KUBERNETES_VERSION, XDG_CACHE_HOME."""
    return Cluster(
        name,
        node=node,
        controller_manager=controller_manager,
        kubernetes_version=kubernetes_version or _environment("TOE_KUBERNETES_VERSION") or None,
        emulated_version=emulated_version,
        extra_apiserver_args=extra_apiserver_args,
        cache=cache_here(),
    )


def cache_here() -> Path:
    """Where built programs are kept: what XDG_CACHE_HOME says, as the XDG base directory specification has it."""
    return Path(_environment("XDG_CACHE_HOME") or Path.home() / ".cache") / "toe"


def _environment(name: str) -> str:
    return os.environ.get(name, "")  # noqa: TID251 - this module is the one that reads it


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        cluster = cluster_here(
            options.name,
            node=not options.control_plane,
            kubernetes_version=options.kubernetes_version,
            emulated_version=options.emulated_version,
            extra_apiserver_args=tuple(options.apiserver_arg),
        )
        return _run(options, cluster)
    except DevClusterError as error:
        say(f"devcluster: {error}")
        return 1
    except KeyboardInterrupt:
        say("devcluster: interrupted; the next `up` or `down` removes what was begun")
        return 130


def _run(options: argparse.Namespace, cluster: Cluster) -> int:
    match options.command:
        case "up":
            began = time.monotonic()
            cluster.up()
            say(f"the cluster {cluster.name} is up ({time.monotonic() - began:.0f} s): {cluster.server}")
            say(f"export KUBECONFIG={cluster.kubeconfig}")
        case "down":
            cluster.down()
            say(f"the cluster {cluster.name} is gone")
        case "build":
            cluster.build(["promtool"] if options.promtool else [])
        case "status":
            status = cluster.status()
            print(_described(status))
            return 0 if status.is_ready else 1
        case "kubeconfig":
            if not cluster.kubeconfig.exists():
                raise DevClusterError(f"there is no cluster {cluster.name}", hint="Start it with: make cluster")
            print(cluster.kubeconfig)
        case "load":
            for archive in options.archive:
                print("\n".join(cluster.load(archive)))
        case "kubectl":
            program = cluster.kubectl_program()
            os.execv(program, [str(program), f"--kubeconfig={cluster.kubeconfig}", *options.arguments])
    return 0


def _described(status: Status) -> str:
    """The state as a person reads it: one line for the whole, one for each component."""
    if status.settings is None:
        return f"{status.name}: there is no such cluster"
    version = status.settings.kubernetes_version
    if status.settings.emulated_version:
        version += f" as {status.settings.emulated_version}"
    lines = [f"{status.name}: {'ready' if status.is_ready else 'not ready'}, Kubernetes {version}, {status.server}"]
    for name, pid in status.pids.items():
        lines.append(f"  {name:24} {f'process {pid}' if pid else 'not running'}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devcluster", description="A real Kubernetes on this machine.")
    parser.add_argument("--name", default="toe", help="which cluster; several run side by side (default: toe)")
    parser.add_argument("--kubernetes-version", metavar="v1.X.Y", help="default: TOE_KUBERNETES_VERSION, else ours")
    parser.set_defaults(control_plane=False, emulated_version=None, apiserver_arg=[])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start it, or mend what does not run, and wait until it can be used")
    up.add_argument("--control-plane", action="store_true", help="etcd and kube-apiserver alone, without a node")
    up.add_argument("--emulated-version", metavar="1.X", help="the API of an older Kubernetes")
    up.add_argument("--apiserver-arg", action="append", default=[], metavar="--FLAG=VALUE", help="may be repeated")
    commands.add_parser("down", help="stop it and remove everything it made")
    commands.add_parser("status", help="what runs of it; the exit code is 0 where it is ready")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    build = commands.add_parser("build", help="build the programs that are missing, and nothing else")
    build.add_argument("--promtool", action="store_true", help="Prometheus' judge of alerts too: six minutes of CPU")
    load = commands.add_parser("load", help="load image archives; print the references that pods can use")
    load.add_argument("archive", nargs="+", type=Path, metavar="IMAGE.tar")
    kubectl = commands.add_parser("kubectl", help="run kubectl against it")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
