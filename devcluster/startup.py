"""Starting the components of a cluster in their order, and waiting for what each promises."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from devcluster import images, nameserver, processes, record
from devcluster.binaries import Binaries
from devcluster.cgroups import Cgroup
from devcluster.client import Client
from devcluster.components import PAUSE_IMAGE, Component, accepts, components, configure
from devcluster.errors import ComponentError
from devcluster.layout import NODE_NAME, Layout
from devcluster.record import Record

# Generous: a busy machine takes ten times as long as an idle one.
READY_SECONDS = 120.0

# Small against the 4 s of the whole.
POLL_SECONDS = 0.05

# At most this many lines of a log are quoted where a component fails.
LOG_LINES = 15


class Startup:
    """Starts what does not run; the record on disk knows each process before the next one starts."""

    def __init__(self, layout: Layout, known: Record, binaries: Binaries) -> None:
        self._layout = layout
        # Who ended since then is started again and must not be waited for.
        self._known = replace(known, processes={k: p for k, p in known.processes.items() if processes.is_alive(p)})
        self._binaries = binaries
        self._cgroup = Cgroup.of_this_machine(layout.cgroup)
        self._client = Client(layout, known.addresses)
        paths = {name: binaries.path(name) for name in known.settings.programs}
        self._components = components(known.settings, layout, known.addresses, paths)

    def start_all(self) -> None:
        """Start every component that does not run; return when the cluster can be used."""
        settings, layout = self._known.settings, self._layout
        self._cgroup.create()
        addresses = self._known.addresses
        configure(settings, layout, addresses, self._cgroup.pods, snapshotter(layout.state), _resolvers())
        record.save(layout, self._known)
        self._end_unrecorded()
        self._run("etcd")
        if settings.node:
            # Takes a second of its own, which the API server takes anyway.
            self._run("containerd")
        self._wait_for("etcd")
        self._run("kube-apiserver")
        if settings.node:
            self._wait_for("containerd")
            self._load_pause()
        self._wait("the API server", self._client.is_ready)
        if settings.node:
            for path, wanted in nameserver.objects(addresses).items():
                # The namespace kube-system is there a moment after the API server is.
                self._wait(f"the API server to take {path}", partial(self._client.apply, path, wanted))
        for name in settings.names:
            self._run(name)
        for name in settings.names:
            self._wait_for(name)
        if "kube-controller-manager" in settings.names:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait("the default service account", lambda: self._client.exists(account))
        if settings.node:
            self._wait("the node", lambda: self._client.node_is_ready(NODE_NAME))
            # The first Service of every cluster, which points to the API server.
            self._wait("Services", lambda: accepts(addresses.api_service, 443))
            self._wait("cluster DNS", lambda: accepts(addresses.dns_service, 53))

    def start_one(self, name: str) -> None:
        """Start one component where it does not run; return when it answers."""
        self._run(name)
        self._wait_for(name)
        if name in ("etcd", "kube-apiserver"):
            self._wait("the API server", self._client.is_ready)

    def _end_unrecorded(self) -> None:
        """End components that a predecessor started and was killed before it could write that down."""
        recorded = {process.pid for process in self._known.processes.values()}
        programs = {component.command[0] for component in self._components.values()}
        for pid in self._cgroup.members():
            found = processes.identify(pid)
            if found is not None and pid not in recorded and processes.program(pid) in programs:
                processes.stop(found)

    def _component(self, name: str) -> Component:
        if name not in self._components:
            raise ComponentError(f"this cluster has no {name}", hint=f"It has {', '.join(self._components)}.")
        return self._components[name]

    def _run(self, name: str) -> None:
        component = self._component(name)
        process = self._known.processes.get(name)
        if process is not None and processes.is_alive(process):
            return
        namespaces = [] if component.on_host else [f"--net={self._layout.namespace_file}"]
        if component.mounts:
            namespaces.append(f"--mount={self._layout.mount_namespace_file}")
        process = processes.start(
            component.command,
            log=self._log(name),
            cgroup=self._cgroup.components,
            programs=self._binaries.programs,
            namespaces=namespaces,
        )
        self._known = self._known.with_process(name, process)
        record.save(self._layout, self._known)

    def _wait_for(self, name: str) -> None:
        component = self._component(name)
        self._wait(name, lambda: component.is_ready(self._known.processes[name].pid))

    def _wait(self, what: str, is_ready: Callable[[], bool]) -> None:
        """Wait until something is so, while every component that was started lives."""
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready():
            for name, process in self._known.processes.items():
                # A program beside the cluster may end when it likes.
                if name in self._components and not processes.is_alive(process):
                    raise ComponentError(f"{name} ended while {what} was waited for\n{self._last_lines(name)}")
            if time.monotonic() > deadline:
                quoted = what if what in self._components else self._known.settings.names[-1]
                raise ComponentError(
                    f"{what} did not become ready within {READY_SECONDS:.0f} s\n{self._last_lines(quoted)}"
                )
            time.sleep(POLL_SECONDS)

    def _load_pause(self) -> None:
        archive = self._layout.state / "pause.tar"
        if archive.exists():
            return
        images.write(archive, PAUSE_IMAGE, {"/pause": self._binaries.path("pause")}, ["/pause"])
        try:
            images.load(self._binaries.path("ctr"), self._layout.containerd_socket, archive)
        except BaseException:
            archive.unlink()
            raise

    def _log(self, name: str) -> Path:
        return self._layout.logs / f"{name}.log"

    def _last_lines(self, name: str) -> str:
        log = self._log(name)
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join([f"the last lines of {log}:", *lines[-LOG_LINES:]])


def snapshotter(directory: Path, mountinfo: str | None = None) -> str:
    """How containerd stacks the layers of images in this directory: overlayfs does not work on top of overlayfs."""
    best, kind = Path("/"), ""
    for line in (mountinfo or Path("/proc/self/mountinfo").read_text()).splitlines():
        before, _, after = line.partition(" - ")
        place = Path(before.split()[4])
        if place in (directory, *directory.parents) and len(place.parts) >= len(best.parts):
            best, kind = place, after.split()[0]
    return "native" if kind == "overlay" else "overlayfs"


def _resolvers() -> tuple[str, ...]:
    """The machine's own resolvers, which may be none."""
    try:
        return nameserver.resolvers(Path("/etc/resolv.conf").read_text(errors="replace"))
    except FileNotFoundError:
        return ()
