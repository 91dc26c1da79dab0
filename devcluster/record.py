"""What is remembered of a cluster between two commands: its slot, its settings and its processes."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from devcluster import locks, processes
from devcluster.components import Settings
from devcluster.errors import DevClusterError
from devcluster.layout import SLOTS, Addresses, Layout
from devcluster.processes import Process


@dataclass(frozen=True)
class Record:
    """The facts on disk about one cluster."""

    slot: int
    boot: str
    settings: Settings
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.slot)

    def with_process(self, name: str, process: Process) -> "Record":
        return replace(self, processes={**self.processes, name: process})


def load(layout: Layout) -> Record | None:
    """The record, None where there is none or a killed predecessor left an unreadable one."""
    try:
        document = json.loads(layout.record.read_text())
        settings = document["settings"]
        settings["extra_apiserver_args"] = tuple(settings["extra_apiserver_args"])
        return Record(
            slot=document["slot"],
            boot=document["boot"],
            settings=Settings(**settings),
            processes={name: Process(**process) for name, process in document["processes"].items()},
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def save(layout: Layout, record: Record) -> None:
    """Replace the record as a whole: no reader ever sees half of it."""
    layout.state.mkdir(parents=True, exist_ok=True)
    unfinished = layout.record.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(record), indent=2))
    unfinished.rename(layout.record)


def claim(layout: Layout, settings: Settings) -> Record:
    """A new record, saved, with the lowest slot that neither a cluster nor an interface of this machine uses."""
    with locks.exclusive(layout.slots_lock, lambda: None):
        claimed = Record(slot=_free_slot(layout), boot=processes.boot(), settings=settings)
        save(layout, claimed)
    return claimed


def _free_slot(layout: Layout) -> int:
    others = (Layout(path.name, layout.state_root) for path in layout.state_root.glob("*") if path.is_dir())
    used = {known.slot for known in map(load, others) if known is not None}
    for slot in SLOTS:
        if slot not in used and not Path("/sys/class/net", Addresses(slot).interface).exists():
            return slot
    raise DevClusterError("too many clusters on this machine", hint=f"Every one of {len(SLOTS)} slots is used.")
