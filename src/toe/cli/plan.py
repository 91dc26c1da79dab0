"""``plan``: the container that each pod would get, and every refusal; nothing is changed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from toe.api.codec import decode, read_documents, to_builtins
from toe.api.powertool import PowerTool
from toe.api.time import format_time
from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.request import UNNAMED, Wish, as_manifest, as_run, settled
from toe.cli.sentences import ComplaintError
from toe.cli.snapshot import Observed, observe, why_left_out, will_be_forbidden
from toe.cli.tools import reach_in_words
from toe.cli.verdicts import missing, refusals
from toe.errors import DecodeError
from toe.plan.actions import AddEphemeralContainer, WriteStatus
from toe.plan.container import ToolContainer
from toe.plan.planner import plan as plan_run
from toe.policy.chains import RUN, evaluate
from toe.policy.tier import drops_all
from toe.policy.verdict import Denied, Undecided
from toe.report.text import columns, facts

UID = "plan"
"""Stands for the UID of a run that does not exist."""
HEX = "x" * 10
"""Stands for the digits of a container's name, which come from the run's UID and the pod's."""

Answer = Literal["allowed", "refused", "left out", "waits"]
STATUS = {"allowed": 0, "refused": 3, "left out": 0, "waits": 1}


class Planned(msgspec.Struct, frozen=True):
    """Is what would happen to one pod."""

    pod: str
    answer: Answer
    reason: str = ""
    container: ToolContainer | None = None


class Outlook(msgspec.Struct, frozen=True):
    """Is what would happen to a run: pods, or why nothing would."""

    run: PowerTool
    observed: Observed
    pods: tuple[Planned, ...] = ()
    errors: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    refused: bool = False


def plan(call: Call, wish: Wish | None, files: tuple[str, ...], output: str) -> int:
    """Plans a run from the command line, or every PowerTool of the files.

    Exit status 0 when every pod would get its tool, 2 when the run is refused, 3 when some pods are, 1 when it waits.
    """
    raws = [as_manifest(wish)] if wish is not None else list(manifests(files))
    chooses = wish is not None and "output" not in raws[0]["spec"]
    return reach(call, lambda cluster: _plan(cluster, raws, output, choose_mode=chooses))


def manifests(files: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yields every PowerTool of the files; ComplaintError for one that the API server would refuse, or for none."""
    found = False
    for name in files:
        try:
            documents = read_documents(Path(name).read_bytes(), source=name)
        except OSError as error:
            raise ComplaintError(f"{name} cannot be read: {error.strerror}", status=2) from error
        except DecodeError as error:
            raise ComplaintError(str(error), status=2) from error
        for document in documents:
            if document.raw.get("kind") != "PowerTool":
                continue
            found = True
            try:
                decode(document.raw, source=document.source)
            except DecodeError as error:
                hint = f"`lint {name}` lists everything"
                raise ComplaintError(str(error), hints=[hint], status=2) from error
            yield document.raw
    if not found:
        raise ComplaintError(f"there is no PowerTool in {', '.join(files)}", status=2)


async def _plan(cluster: Cluster, raws: list[dict[str, Any]], output: str, *, choose_mode: bool) -> int:
    outlooks = [await _outlook(cluster, raw, choose_mode=choose_mode) for raw in raws]
    screen = cluster.call.screen
    if output == "table":
        user = await cluster.user()
        for outlook in outlooks:
            _tell(cluster, outlook, user)
        screen.say("Nothing was changed.")
    else:
        plain = [_plain(outlook) for outlook in outlooks]
        screen.document(json.dumps(plain, indent=2) if output == "json" else _yaml(plain))
    return max((_status(outlook) for outlook in outlooks), default=0)


async def _outlook(cluster: Cluster, raw: dict[str, Any], *, choose_mode: bool) -> Outlook:
    stated = raw["metadata"].get("namespace")
    if stated and stated != cluster.namespace:
        if cluster.call.flags.namespace:
            message = f"the manifest is for the namespace {stated}, -n says {cluster.namespace}"
            raise ComplaintError(message, status=2)
        cluster.namespace = stated
    run = as_run(raw, cluster.namespace)
    now = cluster.call.now()
    meta = msgspec.structs.replace(run.metadata, uid=UID, creation_timestamp=format_time(now))
    run = msgspec.structs.replace(run, metadata=meta)
    observed = await observe(cluster, run, now)
    if choose_mode:  # as `run` would, for who names no mode
        observed = settled(observed)
        run = observed.snapshot.request.run
    request = observed.snapshot.request
    match evaluate(RUN, request):
        case Denied() as denied:
            errors, hints = refusals(denied, request.config)
            return Outlook(run, observed, errors=tuple(errors), hints=tuple(hints), refused=True)
        case Undecided() as undecided:
            errors, hints = missing(undecided, request, cluster.call.program)
            return Outlook(run, observed, errors=tuple(errors), hints=tuple(hints))
    return _allowed(run, observed)


def _allowed(run: PowerTool, observed: Observed) -> Outlook:
    """Returns what the planner, the same as the controller's, would do next."""
    snapshot = observed.snapshot
    actions = plan_run(snapshot).actions
    (status,) = [action.status for action in actions if isinstance(action, WriteStatus)]
    if not status.targets:
        conflicts = [c.message for c in status.conditions if c.type == "Conflicted" and c.status == "True"]
        hint = "the run would wait, and start by itself when its pods are free"
        return Outlook(run, observed, errors=tuple(conflicts) or (status.last_error,), hints=(hint,))
    added = {action.pod: action.container for action in actions if isinstance(action, AddEphemeralContainer)}
    forbidden = will_be_forbidden(observed)
    pods = []
    for target in status.targets:
        if target.state == "Refused":
            pods.append(Planned(target.pod, "refused", target.message))
        elif target.pod not in added:
            pods.append(Planned(target.pod, "waits", "another tool is in the pod"))
        elif forbidden:
            pods.append(Planned(target.pod, "refused", forbidden, _unnamed(added[target.pod])))
        else:
            pods.append(Planned(target.pod, "allowed", container=_unnamed(added[target.pod])))
    left_out = [Planned(pod.metadata.name, "left out", why_left_out(pod)) for pod in observed.left_out]
    return Outlook(run, observed, pods=(*pods, *left_out))


def _unnamed(container: ToolContainer) -> ToolContainer:
    """Returns the container without digits that only the real run's UID gives."""
    return msgspec.structs.replace(container, name=f"{container.name[: -len(HEX)]}{HEX}")


def _status(outlook: Outlook) -> int:
    if outlook.errors:
        return 2 if outlook.refused else 1
    answers = {planned.answer for planned in outlook.pods}
    if "allowed" not in answers and "refused" in answers:
        return 2
    return max((STATUS[answer] for answer in answers), default=1)


def _tell(cluster: Cluster, outlook: Outlook, user: str) -> None:
    screen, request = cluster.call.screen, outlook.observed.snapshot.request
    for unread in outlook.observed.unread:
        screen.warn(f"you may not read {unread}; the plan does without")
    if outlook.errors:
        for error in outlook.errors:
            screen.error(error)
        for hint in outlook.hints:
            screen.hint(hint)
        return
    config = request.config
    assert config is not None
    whom = f" for {user}" if user else ""
    meta, tool = config.metadata, outlook.run.spec.tool
    warmup = f" after {tool.warmup} of warmup" if tool.warmup else ""
    screen.out(
        f"{config.spec.name} (PowerToolConfig {meta.name}, generation {meta.generation})"
        f"{whom} in {cluster.namespace}, {tool.duration}{warmup}"
    )
    width = screen.width
    rows = [_cells(planned) for planned in outlook.pods]
    screen.lines(f"  {line}" for line in columns(rows[0], rows[1:], width - 2 if width else None))
    allowed = [planned.container for planned in outlook.pods if planned.answer == "allowed" and planned.container]
    if allowed:
        screen.out("The container each allowed pod gets (-o yaml for all of it):")
        screen.lines(facts(_described(outlook, allowed), width))


def _cells(planned: Planned) -> tuple[str, str, str, str]:
    container = planned.container
    answer = f"{planned.answer}: {planned.reason}" if planned.reason else planned.answer
    if container is None:
        return (planned.pod, "-", "-", answer)
    return (planned.pod, f"container {container.target_container_name}", container.name, answer)


def _described(outlook: Outlook, containers: list[ToolContainer]) -> Iterator[tuple[str, str]]:
    judged = outlook.observed.snapshot.request.configs[0]
    spec, one = judged.config.spec, containers[0]
    security = one.security_context
    adds, drops = security.capabilities.add, security.capabilities.drop
    yield "image", one.image
    yield "runs as", "; ".join(dict.fromkeys(_identity(outlook, container) for container in containers))
    if security.privileged:
        yield "capabilities", "all: privileged, root on the node"
    else:
        has = " ".join(adds) or "none"
        kept = f"drop {' '.join(drops)}" if drops else "drop nothing"
        yield "capabilities", f"{has} ({kept})" + ("" if drops_all(spec.effective_security) else ", default ones stay")
        yield "seccomp", spec.effective_security.seccomp_profile
        yield "escalation", "no privilege escalation"
    yield "command", " ".join((*(spec.command or ()), *(spec.default_args or ()))) or "the image's own"
    if outlook.run.spec.tool.args:
        yield "arguments", " ".join(outlook.run.spec.tool.args)
    yield "reach", reach_in_words(judged.readiness.reach)


def _identity(outlook: Outlook, container: ToolContainer) -> str:
    """Says as whom the tool runs and whose identity that is."""
    security = outlook.observed.snapshot.request.configs[0].config.spec.effective_security
    own = security.run_as_root or security.run_as_user is not None
    context = container.security_context
    whose = "the config's" if own else "the target's"
    if not isinstance(context.run_as_user, int):
        return "its image's user: neither the kubelet nor the pod says whose the target is"
    root = "root" if context.run_as_user == 0 else "not root"
    return f"uid {context.run_as_user}, gid {context.run_as_group} ({whose}), {root}"


def _plain(outlook: Outlook) -> dict[str, Any]:
    pods = [
        {
            "pod": planned.pod,
            "answer": planned.answer,
            **({"reason": planned.reason} if planned.reason else {}),
            **({"ephemeralContainer": to_builtins(planned.container)} if planned.container else {}),
        }
        for planned in outlook.pods
    ]
    answer = "refused" if outlook.refused else "waits" if outlook.errors else "allowed"
    return {
        "run": outlook.run.metadata.name,
        "namespace": outlook.run.metadata.namespace,
        "tool": outlook.run.spec.tool.name,
        "answer": answer,
        "reasons": list(outlook.errors),
        "unread": list(outlook.observed.unread),
        "pods": pods,
    }


def _yaml(plain: Any) -> str:
    note = f"# {UNNAMED} and {HEX}: chosen when the run is created. TOE_NOT_AFTER: if it began now.\n"
    return note + yaml.safe_dump(json.loads(json.dumps(plain)), sort_keys=False, allow_unicode=False, width=110)
