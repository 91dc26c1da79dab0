"""What a person asks for on the command line, as a PowerTool; judged before anything is created."""

import json
from typing import Any

import msgspec

from toe.api.codec import decode, problems_of
from toe.api.powertool import PowerTool
from toe.api.reasons import Reason
from toe.cli.cluster import Cluster, manifest
from toe.cli.selector import parse
from toe.cli.sentences import ComplaintError
from toe.cli.snapshot import Observed, observe
from toe.cli.verdicts import missing, refusals
from toe.errors import ForbiddenError
from toe.policy.chains import RUN, evaluate
from toe.policy.verdict import Allowed, Denied, Undecided, Unmet

UNNAMED = "xxxxx"
"""What stands for the part of a name that the API server chooses."""


class Wish(msgspec.Struct, frozen=True):
    """Is the words of ``run`` and ``plan``."""

    tool: str
    selector: str
    duration: str
    args: tuple[str, ...] = ()
    container: str | None = None
    warmup: str | None = None
    max_cpu: int | None = None
    name: str | None = None


def as_manifest(wish: Wish) -> dict[str, Any]:
    """Returns the PowerTool to create; ComplaintError lists everything the API server would refuse about it."""
    targets: dict[str, Any] = {"labelSelector": json.loads(msgspec.json.encode(parse(wish.selector)))}
    tool: dict[str, Any] = {"name": wish.tool, "duration": wish.duration}
    if wish.container is not None:
        targets["container"] = wish.container
    if wish.args:
        tool["args"] = list(wish.args)
    if wish.warmup is not None:
        tool["warmup"] = wish.warmup
    if wish.max_cpu is not None:
        tool["maxCPUPercent"] = wish.max_cpu
    made = manifest(wish.name or wish.tool, {"targets": targets, "tool": tool}, generate=wish.name is None)
    if problems := problems_of(made):
        raise ComplaintError(*(f"{problem.message} ({problem.path})" for problem in problems), status=2)
    return made


def as_run(raw: dict[str, Any], namespace: str) -> PowerTool:
    """Returns a manifest as the run it would be; what the API server chooses is written as x's."""
    run = decode(raw)
    assert isinstance(run, PowerTool)
    name = run.metadata.name or f"{raw['metadata'].get('generateName', '')}{UNNAMED}"
    return msgspec.structs.replace(run, metadata=msgspec.structs.replace(run.metadata, name=name, namespace=namespace))


async def judge(cluster: Cluster, run: PowerTool, *, pending: bool) -> Observed | None:
    """Judges a run with the controller's own rules; None when the person may not read what that takes.

    ComplaintError with every refusal, and, unless ``pending``, with everything that is missing.
    """
    try:
        observed = await observe(cluster, run, cluster.call.now())
    except ForbiddenError:
        return None
    request = observed.snapshot.request
    match evaluate(RUN, request):
        case Denied() as denied:
            errors, hints = refusals(denied, request.config)
            raise ComplaintError(*errors, hints=hints, status=2)
        case Undecided(unmet) as undecided if not pending and any(_is_told(missed) for missed in unmet):
            errors, hints = missing(undecided, request, cluster.call.program)
            raise ComplaintError(*errors, hints=[*hints, *WAITING], status=2)
        case Allowed() | Undecided():
            return observed


def _is_told(unmet: Unmet) -> bool:
    """Tells whether the controller would miss it too: it may read the labels of every namespace, the person may not."""
    return unmet.reason is not Reason.PRIVILEGED_NOT_ALLOWED


WAITING = ("nothing was created; with --pending the run waits for it, at most 5 minutes",)
