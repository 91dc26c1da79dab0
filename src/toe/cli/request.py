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
from toe.cli.snapshot import Observed, observe, preferred_mode
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
    mode: str | None = None
    claim: str | None = None
    """``NAME`` or ``NAME/DIRECTORY``."""
    compress: bool = False
    rolling: str | None = None
    keep_days: int | None = None


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
    spec = {"targets": targets, "tool": tool}
    if output := _output(wish):
        spec["output"] = output
    made = manifest(wish.name or wish.tool, spec, generate=wish.name is None)
    if problems := problems_of(made):
        raise ComplaintError(*(f"{problem.message} ({problem.path})" for problem in problems), status=2)
    return made


def _output(wish: Wish) -> dict[str, Any]:
    """Returns ``spec.output`` as far as it was said; what belongs to one mode only chooses that mode."""
    output: dict[str, Any] = {}
    if wish.mode is not None:
        output["mode"] = wish.mode
    if wish.claim is not None:
        name, _, path = wish.claim.partition("/")
        output = {"mode": "pvc", **output, "pvc": {"claimName": name} | ({"path": path} if path else {})}
    if wish.compress:
        output["compress"] = "zstd"
    if wish.rolling is not None:
        output["rollingInterval"] = wish.rolling
    if wish.keep_days is not None:
        output["retentionDays"] = wish.keep_days
    return {"mode": "collector", **output} if output and "mode" not in output else output


def in_mode(raw: dict[str, Any], mode: str) -> dict[str, Any]:
    """Returns a manifest whose files go where ``mode`` says, unless it says so itself or that is the API's default."""
    if "output" in raw["spec"] or mode == "ephemeral":
        return raw
    return {**raw, "spec": {**raw["spec"], "output": {"mode": mode}}}


def as_run(raw: dict[str, Any], namespace: str) -> PowerTool:
    """Returns a manifest as the run it would be; what the API server chooses is written as x's."""
    run = decode(raw)
    assert isinstance(run, PowerTool)
    name = run.metadata.name or f"{raw['metadata'].get('generateName', '')}{UNNAMED}"
    return msgspec.structs.replace(run, metadata=msgspec.structs.replace(run.metadata, name=name, namespace=namespace))


def settled(observed: Observed) -> Observed:
    """Returns what was observed with the mode that is preferred here, for a run that states none."""
    request = observed.snapshot.request
    output = msgspec.structs.replace(request.run.spec.output, mode=preferred_mode(observed))
    run = msgspec.structs.replace(request.run, spec=msgspec.structs.replace(request.run.spec, output=output))
    snapshot = msgspec.structs.replace(observed.snapshot, request=msgspec.structs.replace(request, run=run))
    return msgspec.structs.replace(observed, snapshot=snapshot)


async def judge(cluster: Cluster, run: PowerTool, *, pending: bool, choose_mode: bool = False) -> Observed | None:
    """Judges a run with the controller's own rules; None when the person may not read what that takes.

    ``choose_mode``: the run states no output mode, and is judged with the one that is preferred here.

    ComplaintError with every refusal, and, unless ``pending``, with everything that is missing.
    """
    try:
        observed = await observe(cluster, run, cluster.call.now())
    except ForbiddenError:
        return None
    observed = settled(observed) if choose_mode else observed
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
