"""A cluster: what may be done with it, and in which order that is done."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from devcluster import images, leftovers, locks, mounts, network, packages, pki, processes, record, toolchain
from devcluster.binaries import Binaries, pinned_version
from devcluster.cgroups import Cgroup
from devcluster.client import Client
from devcluster.components import Settings
from devcluster.errors import ComponentError, DevClusterError
from devcluster.layout import NODE_NAME, STATE_ROOT, Layout
from devcluster.record import Record
from devcluster.startup import Startup

# etcd, logs, and the unpacked images of a few tools.
STATE_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Status:
    """What is there of a cluster now."""

    name: str
    settings: Settings | None
    """None where there is no such cluster."""
    server: str
    is_ready: bool
    pids: dict[str, int | None]
    """The process of each component, None where it is not running."""


def say(line: str) -> None:
    """Tell the person at the keyboard; what a program may want to read goes to stdout instead."""
    print(line, file=sys.stderr, flush=True)


class Cluster:
    """One Kubernetes, by its name: a control plane alone, or with a node on top of it.

    Several with different names run side by side. Everything is found again by the name: a second object for the same
    name, in another process, is the same cluster. As a context manager it is up inside and gone afterwards.
    """

    def __init__(
        self,
        name: str = "toe",
        *,
        node: bool = True,
        controller_manager: bool | None = None,
        kubernetes_version: str | None = None,
        emulated_version: str | None = None,
        extra_apiserver_args: tuple[str, ...] = (),
        cache: Path | None = None,
        report: Callable[[str], None] = say,
    ) -> None:
        """Nothing is started here.

        `controller_manager` (by default as `node`) makes default service accounts, deletes namespaces and collects
        garbage. `kubernetes_version` is such as `v1.35.2`, `emulated_version` such as `1.33`. `cache` keeps the built
        programs, by default in ~/.cache/toe.
        """
        self._layout = Layout(name)
        self._settings = Settings(
            kubernetes_version=kubernetes_version or pinned_version(),
            node=node,
            controller_manager=node if controller_manager is None else controller_manager,
            emulated_version=emulated_version,
            extra_apiserver_args=tuple(extra_apiserver_args),
        )
        self._cache = cache or Path.home() / ".cache" / "toe"
        self._report = report
        self._binaries = Binaries(self._cache, self._settings.kubernetes_version, report)

    def __enter__(self) -> "Cluster":
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def name(self) -> str:
        """By which everything of it is found."""
        return self._layout.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, with everything in it; the path is the same each time."""
        return self._layout.kubeconfig

    @property
    def audit_log(self) -> Path:
        """One JSON object a line for each request that the API server answered, without the objects themselves."""
        return self._layout.audit_log

    @property
    def server(self) -> str:
        """The API server's URL, good on the host and in pods."""
        return self._recorded().addresses.server

    @property
    def host_address(self) -> str:
        """Where the API server and pods reach a server that listens on the host, such as a webhook in a test."""
        return self._recorded().addresses.host

    @property
    def ca_file(self) -> Path:
        """The certificate that the API server's is signed with."""
        return self._layout.pki / "ca.crt"

    @property
    def apiserver_pid(self) -> int:
        return self.component_pid("kube-apiserver")

    def component_pid(self, name: str) -> int:
        """The process number of a running component."""
        process = self._recorded().processes.get(name)
        if process is None or not processes.is_alive(process):
            raise DevClusterError(f"{name} of the cluster {self.name} is not running")
        return process.pid

    def log(self, name: str) -> Path:
        """The log of a component."""
        return self._layout.logs / f"{name}.log"

    def kubectl_program(self) -> Path:
        """A kubectl: the one on the path, else one that is fetched once."""
        return toolchain.kubectl(self._cache, self._report)

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60.0) -> str:
        """Run kubectl as the administrator; return what it printed. Its failure is an error that quotes it.

        What it remembers of the API server's kinds dies with the cluster: the next one may have the same address.
        """
        command = [
            str(self.kubectl_program()),
            f"--kubeconfig={self.kubeconfig}",
            f"--cache-dir={self._layout.kubectl_cache}",
            *arguments,
        ]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise DevClusterError(f"`kubectl {' '.join(arguments)}` took more than {seconds:.0f} s") from error
        if done.returncode != 0:
            raise DevClusterError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    def helm_program(self) -> Path:
        """Helm, built once; it is no part of a cluster."""
        return self._binaries.ensure(["helm"])["helm"]

    def helm(self, *arguments: str, seconds: float = 60.0) -> str:
        """Run Helm as the administrator; return what it printed. Its failure is an error that quotes it."""
        command = [str(self.helm_program()), f"--kubeconfig={self.kubeconfig}", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise DevClusterError(f"`helm {arguments[0]}` took more than {seconds:.0f} s") from error
        if done.returncode != 0:
            raise DevClusterError(f"`helm {arguments[0]}` failed: {done.stderr.strip()}")
        return done.stdout

    def missing_programs(self) -> list[str]:
        """The programs that `build` would have to build, which may take minutes."""
        return self._binaries.missing(self._settings.programs)

    def build(self, more: Sequence[str] = ()) -> None:
        """Build what is missing: Helm too, by which toe is installed; ``more`` only when it is asked for."""
        self._binaries.ensure([*self._settings.programs, "helm", *more])

    def up(self) -> None:
        """Start the cluster and wait until it can be used: pods can be made, Services answer.

        One that runs is left as it is; where some components died, those are started again and nothing is lost. What
        cannot be mended is removed and made anew.
        """
        self._refuse_what_is_missing()
        self.build()
        if self._settings.node:
            packages.ensure(packages.NODE_PACKAGES, self._report)
        else:
            packages.ensure(["iproute2"], self._report)
        with self._exclusive():
            known = record.load(self._layout)
            if known is not None and self._is_intact(known):
                known = replace(known, settings=self._combined(known.settings))
                try:
                    self._startup(known).start_all()
                except ComponentError as error:
                    self._report(f"{error.message.splitlines()[0]}: making the cluster {self.name} anew")
                else:
                    return
            self._clear(record.load(self._layout))
            self._startup(self._prepare()).start_all()

    def down(self) -> None:
        """Stop the cluster and remove everything that it made, however far it came and whoever was killed."""
        _refuse_other_users()
        with self._exclusive():
            self._clear(record.load(self._layout))

    def status(self) -> Status:
        """What is there now; never an error."""
        known = record.load(self._layout)
        if known is None:
            return Status(self.name, None, "", is_ready=False, pids={})
        pids = {}
        for name in known.settings.names:
            process = known.processes.get(name)
            pids[name] = process.pid if process is not None and processes.is_alive(process) else None
        is_ready = False
        with suppress(OSError):
            client = Client(self._layout, known.addresses)
            is_ready = None not in pids.values() and client.is_ready()
            is_ready = is_ready and (not known.settings.node or client.node_is_ready(NODE_NAME))
        return Status(self.name, known.settings, known.addresses.server, is_ready=is_ready, pids=pids)

    def load(self, archive: Path | str) -> list[str]:
        """Load an image archive (docker's or OCI's); return the references that pods can use now.

        Each image has two, NAME:TAG and NAME@sha256:..., for the pull policies IfNotPresent and Never.
        """
        if not self._recorded().settings.node:
            raise DevClusterError(f"the cluster {self.name} has no node that could hold an image")
        return images.load(self._binaries.path("ctr"), self._layout.containerd_socket, Path(archive))

    def stop_component(self, name: str, *, grace: float = 0.0) -> None:
        """Kill a component, or with `grace` ask it to end and kill it after so many seconds."""
        with self._exclusive():
            process = self._recorded().processes.get(name)
            if process is not None:
                processes.stop(process, grace=grace)

    def start_component(self, name: str) -> None:
        """Start a component that was stopped, and wait until it answers."""
        with self._exclusive():
            self._startup(self._recorded()).start_one(name)

    def start_program(self, name: str, command: Sequence[str]) -> int:
        """Start a program of yours beside the cluster, on the host; return its process number.

        One of that name that runs is stopped first. `down` stops it with the rest; its log is `log(name)`.
        """
        with self._exclusive():
            known = self._recorded()
            if (before := known.processes.get(name)) is not None:
                processes.stop(before, grace=5.0)
            cgroup = Cgroup.of_this_machine(self._layout.cgroup).components
            started = processes.start(command, log=self.log(name), cgroup=cgroup, programs=self._binaries.programs)
            record.save(self._layout, known.with_process(name, started))
            return started.pid

    def _startup(self, known: Record) -> Startup:
        return Startup(self._layout, known, self._binaries)

    def _exclusive(self) -> AbstractContextManager[None]:
        return locks.exclusive(self._layout.lock, lambda: self._report(f"waiting for another command on {self.name}"))

    def _recorded(self) -> Record:
        known = record.load(self._layout)
        if known is None:
            raise DevClusterError(f"there is no cluster {self.name}", hint="Start it with: python -m devcluster up")
        return known

    def _refuse_what_is_missing(self) -> None:
        if sys.platform != "linux":
            raise DevClusterError("the cluster needs Linux", hint="On another system run it in a virtual machine.")
        _refuse_other_users()
        place = STATE_ROOT if STATE_ROOT.exists() else STATE_ROOT.parent
        free = shutil.disk_usage(place).free
        if free < STATE_BYTES:
            raise DevClusterError(
                f"{place} has {free / 1024**3:.1f} GiB free, a cluster needs {STATE_BYTES / 1024**3:.0f}"
            )

    def _is_intact(self, known: Record) -> bool:
        """Whether what components stand on is still there: everything else can be started again."""
        return (
            known.boot == processes.boot()
            and self._layout.kubeconfig.exists()
            and network.is_complete(self._layout, known.addresses)
            and mounts.is_complete(self._layout)
        )

    def _combined(self, known: Settings) -> Settings:
        """The settings of the running cluster, with what was asked for on top of it."""
        wanted = self._settings
        combined = replace(
            wanted,
            node=wanted.node or known.node,
            controller_manager=wanted.controller_manager or known.controller_manager,
        )
        unchanged = replace(known, node=combined.node, controller_manager=combined.controller_manager)
        if combined != unchanged:
            raise DevClusterError(
                f"the cluster {self.name} runs with other settings: {_differences(unchanged, combined)}",
                hint="Take it down first, or give the other one a name of its own.",
            )
        return combined

    def _clear(self, known: Record | None) -> None:
        leftovers.clear(self._layout, known.addresses if known else None, known.processes if known else {})

    def _prepare(self) -> Record:
        """Everything that components stand on: slot, certificates, namespaces."""
        known = record.claim(self._layout, self._settings)
        for directory in (self._layout.run, self._layout.logs):
            directory.mkdir(parents=True, exist_ok=True)
        pki.create(self._layout, known.addresses, datetime.fromtimestamp(time.time(), UTC))
        network.create(self._layout, known.addresses)
        mounts.create(self._layout)
        return known


def _refuse_other_users() -> None:
    if os.geteuid() != 0:
        raise DevClusterError(
            "only root can start or stop a cluster: it makes network namespaces, mounts and cgroups",
            hint="Type the same command with sudo.",
        )


def _differences(known: Settings, wanted: Settings) -> str:
    """The settings that differ, as a person reads them."""
    before, after = asdict(known), asdict(wanted)
    return ", ".join(f"{key} is {before[key]!r}, not {after[key]!r}" for key in before if before[key] != after[key])
