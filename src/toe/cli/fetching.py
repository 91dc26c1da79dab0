"""``get`` for files that are kept by the collector: lists them, fetches them, compares them with the run's status."""

from pathlib import Path

import msgspec

from toe.api.powertool import PowerTool, Target
from toe.api.quantity import format_bytes
from toe.cli.cluster import Cluster
from toe.cli.files import Folder
from toe.cli.meter import Meter, meter_for
from toe.cli.pieces import fetch
from toe.cli.sentences import ComplaintError, explain
from toe.cli.shelf import Shelf, shelf_of
from toe.errors import ClusterError, ForbiddenError
from toe.report.artifacts import KeptArtifact, newest_run
from toe.report.frames import unsafe


class Wish(msgspec.Struct, frozen=True):
    """Is what is to be fetched, from where, and where it goes."""

    run: str
    directory: Path
    force: bool = False
    pod: str | None = None
    collector: str | None = None
    ca: Path | None = None


class Fetched(msgspec.Struct):
    """Is what a call saved, as rows (place, size, note), and sentences about what is missing."""

    rows: list[tuple[str, str, str]] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)


async def fetch_kept(cluster: Cluster, wish: Wish, run: PowerTool | None) -> Fetched:
    """Fetches the files of a run; with None for one that is deleted, whose files are kept all the same."""
    async with shelf_of(cluster, wish.collector, wish.ca) as shelf:
        found = [a for a in await shelf.list(cluster.namespace, wish.run) if a.run.name == wish.run]
        if run is None:
            if not found:
                raise ComplaintError(
                    f"there is no run {wish.run}, and no file of it is kept",
                    hints=[f"`{cluster.call.program} artifacts` lists what is kept; is the namespace right? (-n)"],
                    status=2,
                )
            cluster.call.screen.say(f"the run {wish.run} was deleted; its files are kept")
        uid = run.metadata.uid if run is not None else newest_run(found)
        kept = [a for a in found if a.run.uid == uid and wish.pod in (None, a.pod.name)]
        fetched = Fetched()
        with Folder(wish.directory, force=wish.force) as folder, meter_for(cluster.call.screen) as meter:
            for artifact in kept:
                await _save(shelf, folder, artifact, run, fetched, meter)
    if run is not None:
        fetched.missing += _absent(run, kept, wish.pod)
    return fetched


async def _save(
    shelf: Shelf, folder: Folder, artifact: KeptArtifact, run: PowerTool | None, fetched: Fetched, meter: Meter
) -> None:
    place = f"{artifact.pod.name}/{artifact.file}"
    if why := unsafe(artifact.file) or unsafe(artifact.pod.name) or ("/" in artifact.pod.name and "no name of a pod"):
        fetched.missing.append(f"{place!r}: {why}")
        return
    if _told(run).get((artifact.pod.name, artifact.file), artifact.sha256) != artifact.sha256:
        fetched.missing.append(f"{place}: its sha256 is not the one that the run's status tells")
        return
    note = "sha256 ok, there already"
    match folder.before(place, artifact.sha256):
        case "other content":
            where = folder.root / place
            fetched.missing.append(f"{place}: {where} has other content and is kept (--force replaces it)")
            return
        case None:
            try:
                if not await _fetch(shelf, folder, place, artifact, meter):
                    fetched.missing.append(f"{place}: its sha256 is not the one that was recorded")
                    return
            except ForbiddenError as error:
                raise explain(error) from error
            except ClusterError as error:
                fetched.missing.append(
                    f"{place}: {explain(error)}; what came is kept, the same call goes on from there"
                )
                return
            note = "sha256 ok"
    fetched.rows.append((place, format_bytes(artifact.bytes), note))


async def _fetch(shelf: Shelf, folder: Folder, place: str, artifact: KeptArtifact, meter: Meter) -> bool:
    with folder.part(place, artifact.sha256) as part:
        meter.begin(place, artifact.bytes, part.size)
        if not await fetch(shelf, artifact, part, meter):
            return False
        part.finish()
        return True


def _told(run: PowerTool | None) -> dict[tuple[str, str], str]:
    """Returns the sha256 of each file, by pod and name, as the run's status tells it."""
    return {(a.pod, a.name): a.sha256 for a in run.status.artifacts if a.sha256} if run is not None else {}


def _absent(run: PowerTool, kept: list[KeptArtifact], pod: str | None) -> list[str]:
    """Says what a person would expect to be there, and is not."""
    there = {(a.pod.name, a.file) for a in kept}
    gone = [
        f"{artifact.pod}/{artifact.name}: it is not kept any more"
        for artifact in run.status.artifacts
        if pod in (None, artifact.pod) and (artifact.pod, artifact.name) not in there
    ]
    told = {name for name, _ in there} | {artifact.pod for artifact in run.status.artifacts}
    targets = [target for target in run.status.targets if pod in (None, target.pod)]
    return gone + [why for target in targets if (why := _why_nothing(target, target.pod in told))]


def _why_nothing(target: Target, has_files: bool) -> str:
    match target.state:
        case "Prepared" | "Injected":
            return f"{target.pod}: its tool has not started yet"
        case "Running":
            return f"{target.pod}: its tool still runs; more files may come"
        case _ if has_files:
            return ""
        case "Refused":
            return f"{target.pod}: no tool ran: {target.message or target.reason}"
        case _:
            why = target.message or target.reason
            return f"{target.pod}: no file is kept of it" + (f": {why}" if why and target.state != "Succeeded" else "")
