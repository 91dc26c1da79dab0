"""``get``: saves the files of a run, each checked: those that the collector keeps, else those in its pods' logs."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from toe.api.powertool import PowerTool, Target
from toe.api.quantity import format_bytes
from toe.cli import tool_logs
from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.fetching import Fetched, Wish, fetch_kept
from toe.cli.files import Folder
from toe.cli.sentences import ComplaintError, explain, lacks_kind, no_log
from toe.cli.shelf import NoWayError
from toe.errors import ClusterError, ForbiddenError, NotFoundError
from toe.kube.resource import PODS
from toe.report.frames import File, Framed, FrameReader, unsafe
from toe.report.run import sentence
from toe.report.text import columns, one_line

FORMATS = frozenset({"table", "json", "yaml", "name", "wide"})
"""What -o means to other commands."""
LOG = "log.txt"
"""Where the log of a tool goes that sends no files."""


class Piece(msgspec.Struct, frozen=True):
    """Is one file of a target, and what was found about it."""

    name: str
    content: bytes
    check: str


class Haul(msgspec.Struct, frozen=True):
    """Is what one target gave: pieces that are whole, and sentences about what is missing."""

    pieces: tuple[Piece, ...] = ()
    missing: tuple[str, ...] = ()


def get(
    call: Call,
    name: str,
    directory: Path | None,
    *,
    force: bool,
    pod: str | None,
    collector: str | None = None,
    ca: Path | None = None,
) -> int:
    """Saves the files of a run; exit status 3 when a part is missing, 1 when all of it is."""
    if directory is not None and str(directory) in FORMATS and not directory.exists():
        raise ComplaintError(
            f"-o {directory} is a format, and get saves files: -o names the directory",
            hints=[f"`{call.program} artifacts {name} -o {directory}` prints what is kept"],
            status=2,
        )
    wish = Wish(name, directory or Path(name), force, pod, collector, ca)
    return reach(call, lambda cluster: _get(cluster, wish))


async def _get(cluster: Cluster, wish: Wish) -> int:
    try:
        run = await cluster.run(wish.run)
    except NotFoundError as error:
        if lacks_kind(error):
            raise
        try:
            return _tell(cluster, wish.directory, await fetch_kept(cluster, wish, None))
        except NoWayError:
            raise error from None
    if run.spec.output.mode == "collector":
        targets = _targets(cluster, run, wish.pod)  # says why where there are none
        assert targets
        return _tell(cluster, wish.directory, await fetch_kept(cluster, wish, run))
    return _tell(cluster, wish.directory, await _out_of_logs(cluster, run, wish))


async def _out_of_logs(cluster: Cluster, run: PowerTool, wish: Wish) -> Fetched:
    directory, fetched = wish.directory, Fetched()
    with Folder(directory, force=wish.force) as folder:
        for target in _targets(cluster, run, wish.pod):
            haul = await _haul(cluster, run, target)
            fetched.missing += [f"{target.pod}: {why}" for why in haul.missing]
            for piece in haul.pieces:
                place = f"{target.pod}/{piece.name}"
                saved = folder.save(place, piece.content)
                if saved == "other content":
                    kept = f"{place}: {directory / place} has other content and is kept (--force replaces it)"
                    fetched.missing.append(kept)
                    continue
                note = piece.check if saved == "saved" else f"{piece.check}, there already"
                fetched.rows.append((place, format_bytes(len(piece.content)), note))
    return fetched


def _tell(cluster: Cluster, directory: Path, fetched: Fetched) -> int:
    screen, rows, missing = cluster.call.screen, fetched.rows, fetched.missing
    screen.lines(columns(rows[0], rows[1:], screen.width) if rows else [])
    if rows:
        screen.out(f"saved under {directory}/")
    for line in missing:
        screen.error(f"missing: {line}")
    if not missing:
        return 0
    return 3 if rows else 1


def _targets(cluster: Cluster, run: PowerTool, pod: str | None) -> list[Target]:
    name = run.metadata.name
    if not run.status.targets:
        raise ComplaintError(f"{name} has no results: {sentence(run)}")
    chosen = [target for target in run.status.targets if pod in (None, target.pod)]
    if not chosen:
        pods = ", ".join(target.pod for target in run.status.targets)
        raise ComplaintError(f"{name} has no pod {pod}", hints=[f"its pods: {one_line(pods)}"], status=2)
    return chosen


async def _haul(cluster: Cluster, run: PowerTool, target: Target) -> Haul:
    if unsafe(target.pod) or "/" in target.pod:
        return Haul(missing=(f"{target.pod!r} is no name of a pod",))
    if target.state in ("Prepared", "Injected"):
        return Haul(missing=("its tool has not started yet",))
    if not target.tool_container or target.state == "Refused":
        return Haul(missing=(f"no tool ran: {target.message or target.reason}",))
    try:
        if await _is_another(cluster, run, target):
            return Haul(missing=("the pod was replaced by another of this name; its log is gone",))
        log = await tool_logs.whole(cluster.client, run.metadata.namespace, target)
    except ForbiddenError as error:
        raise explain(error) from error
    except ClusterError as error:
        return Haul(missing=(no_log(error, target.pod),))
    if len(log) >= tool_logs.MOST_BYTES:
        return Haul(missing=(f"its log is longer than {format_bytes(tool_logs.MOST_BYTES)}",))
    return _sorted_out(run, target, log)


async def _is_another(cluster: Cluster, run: PowerTool, target: Target) -> bool:
    """Tells whether the pod of that name is another one; who may read logs but no pods goes on without knowing."""
    try:
        pod = await cluster.client.get(PODS, run.metadata.namespace, target.pod)
    except ForbiddenError:
        return False
    return pod.metadata.uid != target.pod_uid


def _sorted_out(run: PowerTool, target: Target, log: bytes) -> Haul:
    reader = FrameReader()
    for line in log.split(b"\n"):
        reader.feed(line)
    framed = reader.close()
    if not framed.found:
        return _without_files(run, target, log)
    pieces, missing = [], [str(problem) for problem in framed.problems]
    announced = {artifact.name: artifact.sha256 for artifact in run.status.artifacts if artifact.pod == target.pod}
    for file in framed.files:
        if announced.get(file.name, file.sha256) != file.sha256:
            missing.append(f"{file.name}: its sha256 is not the one that the run's status tells")
            continue
        pieces.append(Piece(file.name, file.content, "sha256 ok"))
    missing += [f"{name}: it is not in the log any more" for name in _absent(announced, framed, framed.files)]
    return Haul(tuple(pieces), tuple(missing))


def _absent(announced: dict[str, str], framed: Framed, files: Sequence[File]) -> list[str]:
    told = {problem.name for problem in framed.problems} | {file.name for file in files}
    return [name for name in announced if name not in told]


def _without_files(run: PowerTool, target: Target, log: bytes) -> Haul:
    """Keeps the log itself; files that the status lists are missing then."""
    lost = [artifact.name for artifact in run.status.artifacts if artifact.pod == target.pod]
    missing = [f"{name}: it is not in the log any more" for name in lost]
    if target.state == "Running":
        missing.append("its tool still runs; files come at its end")
    if not log:
        return Haul(missing=tuple(missing) or ("its tool printed nothing",))
    return Haul((Piece(LOG, log, "the log, no files"),), tuple(missing))
