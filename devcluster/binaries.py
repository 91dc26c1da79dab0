"""The programs of the cluster, built once from the Go module proxy and kept outside the tree."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster import locks, toolchain
from devcluster.errors import DevClusterError

HERE = Path(__file__).parent
KUBERNETES = HERE / "kubernetes"
RUNTIME = HERE / "runtime"
DNS = HERE / "dns"
HELM = HERE / "helm"
PROMTOOL = HERE / "promtool"
MODULES = (KUBERNETES, RUNTIME, DNS, HELM, PROMTOOL)

Report = Callable[[str], None]

# Measured: 3.4 GB of compiled packages, 1.3 GB of sources and 0.5 GB of programs, plus what the linker needs meanwhile.
BUILD_BYTES = 8 * 1024**3

CONTAINERD_TAGS = "no_btrfs,no_devmapper,no_zfs,no_aufs"


@dataclass(frozen=True)
class Program:
    """One program and the Go package it is built from."""

    name: str
    package: str
    module: Path = RUNTIME
    tags: str = ""

    @property
    def is_kubernetes(self) -> bool:
        return self.module == KUBERNETES


PROGRAMS = {
    program.name: program
    for program in (
        Program("etcd", "./etcd"),
        # The first of Kubernetes compiles most of what the others share.
        *(
            Program(name, f"k8s.io/kubernetes/cmd/{name}", module=KUBERNETES)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
        ),
        *(
            Program(name, f"github.com/containerd/containerd/v2/cmd/{name}", tags=CONTAINERD_TAGS)
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        ),
        Program("pause", "./pause"),
        Program("coredns", ".", module=DNS),
        Program("helm", "helm.sh/helm/v3/cmd/helm", module=HELM),
        # On demand only: six minutes of CPU.
        Program("promtool", "github.com/prometheus/prometheus/cmd/promtool", module=PROMTOOL),
    )
}


def pinned_version() -> str:
    """The version of Kubernetes that our go.mod names."""
    found = re.search(r"^require k8s\.io/kubernetes (v\S+)$", (KUBERNETES / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise DevClusterError(f"{KUBERNETES}/go.mod does not require k8s.io/kubernetes")
    return found.group(1)


class Binaries:
    """The programs for one version of Kubernetes."""

    def __init__(self, cache: Path, kubernetes_version: str, report: Report) -> None:
        if not re.fullmatch(r"v1\.\d+\.\d+(-[a-z]+\.\d+)?", kubernetes_version):
            raise DevClusterError(f"{kubernetes_version!r} is no version of Kubernetes", hint="Such as v1.36.3.")
        self._cache = cache
        self._version = kubernetes_version
        self._report = report
        kubernetes = _fingerprint(
            *(KUBERNETES / file for file in ("go.mod", "go.sum", "tools.go")), text=self._flags(PROGRAMS["kubelet"])
        )
        self._kubernetes = cache / "binaries" / f"kubernetes-{kubernetes_version}-{kubernetes}"
        self._places = {KUBERNETES: self._kubernetes}
        for module, program in ((RUNTIME, "containerd"), (DNS, "coredns"), (HELM, "helm"), (PROMTOOL, "promtool")):
            files = (path for path in sorted(module.rglob("*")) if path.is_file())
            fingerprint = _fingerprint(*files, text=self._flags(PROGRAMS[program]))
            self._places[module] = cache / "binaries" / f"{module.name}-{fingerprint}"

    @property
    def programs(self) -> Path:
        """The directory where containerd finds its shim."""
        return self._places[RUNTIME]

    def path(self, name: str) -> Path:
        return self._places[PROGRAMS[name].module] / name

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of the programs that are not built yet, in the order in which they are built best."""
        return [name for name in PROGRAMS if name in names and not self.path(name).exists()]

    def ensure(self, names: Sequence[str]) -> Mapping[str, Path]:
        """Build what is missing, with a line of progress for each; return the path of each."""
        if self.missing(names):
            # A second command that needs them waits here and finds them built.
            with locks.exclusive(self._cache / "build.lock", lambda: self._report("waiting for another build")):
                self._build(self.missing(names))
        return {name: self.path(name) for name in names}

    def _build(self, names: Sequence[str]) -> None:
        if not names:
            return
        go = toolchain.go(self._cache, _needed_go(), self._report)
        _refuse_small_disk(go)
        self._report(f"building {len(names)} programs with {go}; all of them take about 15 minutes on two cores")
        began = time.monotonic()
        for number, name in enumerate(names, 1):
            program = PROGRAMS[name]
            module, go = self._kubernetes_module(go) if program.is_kubernetes else (program.module, go)
            target = self.path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_suffix(".unfinished")
            # What a killed build left may be no program, and over such a file Go refuses to write.
            unfinished.unlink(missing_ok=True)
            command = [str(go), "build", *self._flags(program).split("\t"), "-o", str(unfinished), program.package]
            with _progress(f"[{number}/{len(names)}] {name}", self._report):
                _go(command, module)
            unfinished.rename(target)
        self._report(f"built {len(names)} programs in {time.monotonic() - began:.0f} s")

    def _flags(self, program: Program) -> str:
        """The flags of go build, separated by tabs. They are a part of the name under which programs are kept."""
        linker = "-s -w"
        if program.is_kubernetes:
            # Without it clients take offence at the version v0.0.0-master+$Format:%H$.
            _, minor, _ = self._version.split(".", 2)
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
                facts = {"gitVersion": self._version, "gitMajor": "1", "gitMinor": minor, "gitTreeState": "clean"}
                linker += "".join(f" -X {package}.{key}={value}" for key, value in facts.items())
        mode = "readonly" if not program.is_kubernetes or self._version == pinned_version() else "mod"
        # The state of our own repository is no part of these programs, and asking for it fails under sudo.
        flags = [f"-mod={mode}", "-buildvcs=false", "-trimpath", f"-ldflags={linker}"]
        return "\t".join([*flags, *([f"-tags={program.tags}"] if program.tags else [])])

    def _kubernetes_module(self, go: Path) -> tuple[Path, Path]:
        """The module of this version, ours or one made from it for another version, and a Go that can build it."""
        if self._version == pinned_version():
            return KUBERNETES, go
        module = self._kubernetes / "module"
        if not (module / "go.mod").exists():
            write_module(module, self._version, go)
        go = toolchain.go(self._cache, _go_line(module), self._report)
        if not (module / "go.sum").exists():
            with _progress(f"resolving the modules of Kubernetes {self._version}", self._report):
                _go([str(go), "mod", "tidy"], module)
        return module, go


def write_module(module: Path, version: str, go: Path) -> None:
    """Write a go.mod for another version of Kubernetes: each of its staging modules replaced by its own release.

    Which those are is read from its own go.mod, where they have the version v0.0.0.
    """
    module.mkdir(parents=True, exist_ok=True)
    shutil.copy(KUBERNETES / "tools.go", module)
    (module / "go.mod").write_text("module toe.run/devcluster/kubernetes\n")
    (module / "go.sum").unlink(missing_ok=True)
    told = _go([str(go), "mod", "download", "-json", f"k8s.io/kubernetes@{version}"], module)
    found = re.search(r'"GoMod": "([^"]+)"', told)
    if found is None:
        raise DevClusterError(f"cannot find the modules of Kubernetes {version}: {told}")
    (module / "go.mod").write_text(module_text(Path(found.group(1)).read_text(), version))


def module_text(upstream: str, version: str) -> str:
    """Our go.mod for a version of Kubernetes, from the go.mod of that version."""
    staging = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) v0\.0\.0(?=\s|$)", upstream, re.MULTILINE)))
    release = version.replace("v1.", "v0.", 1)
    directives = re.findall(r"^(?:go|godebug) .+$", upstream, re.MULTILINE)
    return "\n".join(
        [
            "module toe.run/devcluster/kubernetes",
            *(line for line in directives if not line.endswith("(")),
            f"require k8s.io/kubernetes {version}",
            "replace (",
            *(f"\t{name} => {name} {release}" for name in staging),
            ")",
            "",
        ]
    )


def _needed_go() -> toolchain.Version:
    """The highest version that our go.mod files ask for."""
    return max(map(_go_line, MODULES))


def _go_line(module: Path) -> toolchain.Version:
    """The version that a go.mod asks for."""
    line = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    return toolchain.parse_version(line.group(1)) if line else (0,)


def build_static(directory: Path, target: Path, cache: Path, report: Report) -> None:
    """Build the program of a directory with a go.mod of its own, such as one that runs in the pods of a test."""
    go = toolchain.go(cache, (1, 26), report)
    _go([str(go), "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", str(target), "."], directory)


def _go(command: Sequence[str], module: Path) -> str:
    # `env` adds to the environment that we were given ourselves: proxies and mirrors keep working.
    done = subprocess.run(
        ["env", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", *command],
        cwd=module,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise DevClusterError(f"`go {command[1]}` failed in {module}:\n" + "\n".join(lines[-15:]))
    return done.stdout


def _refuse_small_disk(go: Path) -> None:
    told = subprocess.run([go, "env", "GOCACHE", "GOMODCACHE"], capture_output=True, text=True, check=True, cwd="/")
    for line in told.stdout.splitlines():
        place = Path(line)
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if free < BUILD_BYTES:
            raise DevClusterError(
                f"{place} has {free / 1024**3:.1f} GiB free, the build needs {BUILD_BYTES / 1024**3:.0f}",
                hint="Make room, or let GOCACHE and GOMODCACHE name a larger disk.",
            )


def _fingerprint(*files: Path, text: str) -> str:
    content = hashlib.sha256(text.encode())
    for file in files:
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()[:12]


@contextmanager
def _progress(what: str, report: Report) -> Iterator[None]:
    """Say how long something takes: live on a terminal, else in one line at its end."""
    began = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(1.0):
            print(f"\r{what} ... {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)

    live = os.isatty(2)
    ticker = threading.Thread(target=tick, daemon=True)
    if live:
        ticker.start()
    try:
        yield
    finally:
        done.set()
        if live:
            ticker.join()
            # Back to the start of the line, and clear what is on it.
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    report(f"{what} ... {time.monotonic() - began:.0f} s")
