"""The network namespace of a cluster and the pair of virtual interfaces that joins it to the host."""

import subprocess
from pathlib import Path

from devcluster.errors import DevClusterError
from devcluster.layout import Addresses, Layout


def create(layout: Layout, addresses: Addresses) -> None:
    """Make namespace, interfaces, addresses and routes. `is_complete` becomes true with the last step, not before."""
    name, interface = layout.namespace, addresses.interface
    _ip("netns", "add", name)
    _ip("link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("address", "add", f"{addresses.host}/30", "dev", interface)
    _ip("link", "set", interface, "up")
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "address", "add", f"{addresses.node}/30", "dev", "eth0")
    _ip("-n", name, "link", "set", "eth0", "up")
    _ip("-n", name, "route", "add", "default", "via", addresses.host)
    # Pods are reached from outside through the node's address, and reach each other through it.
    _run("nsenter", f"--net={layout.namespace_file}", "--", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    _ip("route", "add", addresses.pods, "via", addresses.node)
    _ip("route", "add", addresses.services, "via", addresses.node)


def is_complete(layout: Layout, addresses: Addresses) -> bool:
    """Whether `create` ran to its end and nobody undid it since."""
    if not layout.namespace_file.exists() or not Path("/sys/class/net", addresses.interface).exists():
        return False
    return bool(_ip("route", "show", addresses.services, "via", addresses.node).strip())


def delete(layout: Layout, addresses: Addresses | None) -> None:
    """Remove the namespace with all interfaces in it, and the host's end; what does not exist is fine."""
    if addresses is not None and Path("/sys/class/net", addresses.interface).exists():
        _ip("link", "delete", addresses.interface)
    if layout.namespace_file.exists():
        _ip("netns", "delete", layout.namespace)


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except FileNotFoundError as error:
        raise DevClusterError(f"the program {command[0]} is missing") from error
    except subprocess.CalledProcessError as error:
        raise DevClusterError(f"`{' '.join(command)}` failed: {error.stderr.strip()}") from error
    return done.stdout
