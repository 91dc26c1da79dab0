"""Processes that outlive the command that started them, and are known again by more than their number."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What a component needs to find programs: mount, nft, runc, conntrack and the like live in the sbin directories.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The shell moves itself into the cgroup and then becomes the program, so that no child of it can escape and the
# process keeps its number.
_ENTER_CGROUP = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True)
class Process:
    """A process for ever: the number may be used again, number, start time and boot together never are."""

    pid: int
    started: int
    """Clock ticks since boot: field 22 of /proc/PID/stat, see proc_pid_stat(5)."""
    boot: str


def boot() -> str:
    """The kernel's name for the time since it started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Process | None:
    """The process that has this number now, None where there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may itself contain spaces and parentheses.
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":
        return None
    return Process(pid=pid, started=int(fields[18]), boot=boot())


def program(pid: int) -> str:
    """The path of the program that a process runs, empty where it is gone."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def is_alive(process: Process) -> bool:
    """Whether exactly this process still runs. Collects it where it was our child and has ended."""
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return identify(process.pid) == process


def start(
    command: Sequence[str], *, log: Path, cgroup: Path, programs: Path, namespaces: Sequence[str] = ()
) -> Process:
    """Start a program that lives on without us, in a cgroup and in namespaces (the options that nsenter has for them).

    It gets a session of its own, no input, a small environment with `programs` first in its path, and appends both its
    outputs to `log`.
    """
    if namespaces:
        command = ["nsenter", *namespaces, "--", *command]
    pid = os.posix_spawn(
        "/bin/sh",
        ["/bin/sh", "-c", _ENTER_CGROUP, str(cgroup / "cgroup.procs"), *command],
        {"PATH": f"{programs}:{SYSTEM_PATH}", "HOME": "/root", "LANG": "C.UTF-8"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        # Python ignores SIGPIPE and a shell in the background may ignore SIGINT: the child must not inherit that.
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT],
    )
    return identify(pid) or Process(pid=pid, started=-1, boot=boot())


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False where it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # Compared after the handle is open: from here on the number cannot pass to another process unnoticed.
        if identify(process.pid) != process:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def stop(process: Process, *, grace: float = 0.0) -> None:
    """End a process: SIGTERM, then SIGKILL after `grace` seconds; SIGKILL at once without grace."""
    if grace > 0 and send(process, signal.SIGTERM) and wait_gone(process, grace):
        return
    send(process, signal.SIGKILL)
    wait_gone(process, 10.0)


def wait_gone(process: Process, seconds: float) -> bool:
    """Whether the process ended within this many seconds."""
    deadline = time.monotonic() + seconds
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def listens(pid: int, port: int) -> bool:
    """Whether something in the network namespace of this process listens on a TCP port, seen without entering it."""
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                    return True
    return False
