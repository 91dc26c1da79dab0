"""``artifacts``: lists the files that the collector keeps, of all runs or of one."""

import json
from pathlib import Path

import msgspec
import yaml

from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.shelf import shelf_of
from toe.report.artifacts import HEADER, KeptArtifact, row
from toe.report.text import columns, count


def artifacts(
    call: Call, run: str | None, output: str, *, everywhere: bool, collector: str | None, ca: Path | None
) -> int:
    """Prints them; none is no error."""

    async def show(cluster: Cluster) -> int:
        async with shelf_of(cluster, collector, ca) as shelf:
            found = await shelf.list(None if everywhere else cluster.namespace, run)
        _print(cluster, found, run, output, everywhere=everywhere)
        return 0

    return reach(call, show)


def _print(cluster: Cluster, found: list[KeptArtifact], run: str | None, output: str, *, everywhere: bool) -> None:
    screen = cluster.call.screen
    if output != "table":
        plain = [msgspec.to_builtins(artifact) for artifact in found]
        screen.document(json.dumps(plain, indent=2) if output == "json" else yaml.safe_dump(plain, sort_keys=False))
    elif not found:
        where = "anywhere" if everywhere else f"in namespace {cluster.namespace}"
        screen.say(f"no file {'of ' + run + ' ' if run else ''}is kept {where}")
    else:
        now = cluster.call.now()
        rows = [(*((a.metadata.namespace,) if everywhere else ()), *row(a, now)) for a in found]
        screen.lines(columns((*(("NAMESPACE",) if everywhere else ()), *HEADER), rows, screen.width))
        if run:
            screen.hint(
                f"{cluster.call.program} get {run} saves {'it' if len(found) == 1 else count(len(found), 'file')}"
            )
