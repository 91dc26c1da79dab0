"""Targets: which pods and containers a run enters, frozen once; and where each of them stands."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from toe.api.pod import ContainerStatus, EphemeralContainer, Pod, Terminated, Waiting
from toe.api.powertool import PowerTool, Target
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.api.time import parse_time
from toe.plan.container import container_name, words
from toe.plan.summary import REASONS, parse_summary, printable
from toe.policy.chains import evaluate_target
from toe.policy.identity import container_status, is_running, target_container
from toe.policy.request import JudgedConfig, Request, TargetRequest
from toe.policy.verdict import Denied, Violation

ENDED = frozenset({"Succeeded", "Failed", "Refused", "Gone"})
"""States that are never left."""

SETTLE = timedelta(seconds=5)
"""How long a killed tool waits for news of its target before the kill is called one from outside."""

OVERRUN = timedelta(seconds=30)
"""How long after not-after a tool that still runs is waited for."""

_START_ERRORS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "StartError",
    }
)
_IMAGE_ERRORS = frozenset(error for error in _START_ERRORS if "mage" in error or error.startswith(("Reg", "Sig")))


def freeze(request: Request, pods: Iterable[Pod]) -> tuple[Target, ...]:
    """Writes down one target for each pod, by name: Prepared, or Refused with the first rule it breaks.

    The request must name exactly one config; the RUN chain has seen to that.
    """
    (judged,) = request.configs
    return tuple(
        _frozen(request, judged, pod) for pod in sorted(pods, key=lambda pod: (pod.metadata.name, pod.metadata.uid))
    )


def _frozen(request: Request, judged: JudgedConfig, pod: Pod) -> Target:
    run, config = request.run, judged.config
    name = target_container(pod, run.spec.targets.container)
    status = container_status(pod, name) if name else None
    target = Target(
        pod=pod.metadata.name,
        pod_uid=pod.metadata.uid,
        container=name or run.spec.targets.container or "",
        node=pod.spec.node_name,
        target_container_id=status.container_id if status else "",
    )
    verdict = evaluate_target(
        TargetRequest(
            run=run,
            config=config,
            pod=pod,
            tier=judged.readiness.tier,
            settings=request.settings,
            access=request.access,
        )
    )
    if isinstance(verdict, Denied):
        return refused(target, verdict.violations[0])
    tool = container_name(config.spec.name, run.metadata.uid, pod.metadata.uid)
    return msgspec.structs.replace(target, tool_container=tool)


def refused(target: Target, violation: Violation) -> Target:
    """Returns the target as one that no tool enters."""
    return ended(target, "Refused", violation.reason, str(violation))


def ended(target: Target, state: str, reason: Reason, message: str, **facts: object) -> Target:
    """Returns the target in a state it never leaves."""
    return msgspec.structs.replace(target, state=state, reason=reason, message=printable(message)[:1024], **facts)


def find_container(pod: Pod, name: str) -> EphemeralContainer | None:
    """Returns the ephemeral container of that name, by name and never by index: a new one is put first."""
    return next((container for container in pod.spec.ephemeral_containers if container.name == name), None)


def find_status(pod: Pod, name: str) -> ContainerStatus | None:
    """Returns the kubelet's report of an ephemeral container."""
    return next((status for status in pod.status.ephemeral_container_statuses if status.name == name), None)


def live_tools(pod: Pod) -> frozenset[str]:
    """Returns the names of toe's containers in a pod that have not ended: the pod's own truth about who is in it."""
    over = {
        status.name
        for status in pod.status.ephemeral_container_statuses
        if status.state is not None and status.state.terminated is not None
    }
    names = {container.name for container in pod.spec.ephemeral_containers if container.name.startswith("toe-")}
    return frozenset(names - over)


def is_ours(container: EphemeralContainer, target: Target, run: PowerTool, config: PowerToolConfig) -> bool:
    """Tells whether a container of our name is the one we would have added; else somebody squats on the name."""
    command, args = words(config, run.spec.tool.args or ())
    return (
        container.image == config.spec.image
        and container.command == command
        and container.args == args
        and container.target_container_name == target.container
    )


def observe(
    target: Target, pod: Pod | None, *, since: datetime, not_after: datetime, now: datetime, settings: Settings
) -> Target:
    """Returns where a target stands that is not ended: what its pod says, or that time ran out.

    ``since`` is when the targets were frozen. A target whose container is not in the pod yet stays Prepared.
    """
    if pod is None:
        return ended(target, "Gone", Reason.TARGET_DELETED, "the pod was deleted")
    if find_container(pod, target.tool_container) is None:
        return target
    status = find_status(pod, target.tool_container)
    state = status.state if status else None
    if status is not None and state is not None and state.terminated is not None:
        return _terminated(target, pod, status, state.terminated, now)
    if status is not None and state is not None and state.running is not None:
        if now > not_after + OVERRUN:
            return ended(target, "Failed", Reason.OVERRUN, "the tool still runs after its not-after time")
        return msgspec.structs.replace(
            target,
            state="Running",
            reason="",
            message="",
            started_at=state.running.started_at,
            image_id=status.image_id,
        )
    if pod.status.phase in ("Succeeded", "Failed"):
        return ended(target, "Failed", Reason.TARGET_NOT_RUNNING, "the pod ended before the tool started")
    return _waiting(target, state.waiting if state else None, since=since, now=now, settings=settings)


def _waiting(target: Target, waiting: Waiting | None, *, since: datetime, now: datetime, settings: Settings) -> Target:
    reason = waiting.reason if waiting else ""
    detail = f"{reason}: {waiting.message}".rstrip(": ") if waiting and reason else "the kubelet has not started it"
    failing = reason in _START_ERRORS
    if now >= since + (settings.start_error_allowance if failing else settings.start_allowance):
        cause = Reason.IMAGE_PULL_FAILED if reason in _IMAGE_ERRORS else Reason.TOOL_NOT_STARTED
        return ended(target, "Failed", cause, f"the tool did not start: {detail}")
    message = printable(detail)[:1024] if failing else ""
    return msgspec.structs.replace(target, state="Injected", reason=reason if failing else "", message=message)


def next_deadline(
    target: Target, pod: Pod | None, *, since: datetime, not_after: datetime, settings: Settings
) -> datetime | None:
    """Returns when time alone may change a target; None for one that is ended."""
    if target.state in ENDED:
        return None
    if target.state == "Running":
        status = find_status(pod, target.tool_container) if pod else None
        end = status.state.terminated if status and status.state else None
        finished = parse_time(end.finished_at) if end else None
        return finished + SETTLE if finished else not_after + OVERRUN + timedelta(seconds=1)
    return since + (settings.start_error_allowance if target.reason in _START_ERRORS else settings.start_allowance)


def _terminated(target: Target, pod: Pod, status: ContainerStatus, end: Terminated, now: datetime) -> Target:
    summary = parse_summary(end.message)
    facts = {
        "exit_code": end.exit_code,
        "started_at": end.started_at,
        "finished_at": end.finished_at,
        "image_id": status.image_id,
        "reported": summary.reported if summary else None,
    }
    if end.exit_code == 0:
        return ended(target, "Succeeded", Reason.COMPLETED, summary.message if summary else "", **facts)
    reason, message = _cause(target, pod, end)
    if reason is Reason.KILLED and _may_still_be_told(end, now):
        return msgspec.structs.replace(target, state="Running", started_at=end.started_at)
    return ended(target, "Failed", reason, message, **facts)


def _cause(target: Target, pod: Pod, end: Terminated) -> tuple[Reason, str]:
    summary = parse_summary(end.message)
    code = f"exit code {end.exit_code}"
    if pod.metadata.deletion_timestamp:
        return Reason.TARGET_DELETED, f"the pod is being deleted; the tool ended with {code}"
    if summary is not None and summary.reason in REASONS:
        return REASONS[summary.reason], summary.message or code
    if end.exit_code == 137 and _target_changed(target, pod):
        return Reason.TARGET_RESTARTED, f"the container {target.container} ended while the tool was in it"
    if end.reason == "OOMKilled":
        return Reason.OUT_OF_MEMORY, f"killed for lack of memory in the pod ({code})"
    if end.exit_code == 137:
        return Reason.KILLED, f"killed from outside ({code})"
    if end.reason in ("StartError", "ContainerCannotRun"):
        return Reason.TOOL_NOT_STARTED, f"{end.reason}: {end.message or code}"
    return Reason.TOOL_FAILED, f"{code}: {end.message}".rstrip(": ")


def _target_changed(target: Target, pod: Pod) -> bool:
    status = container_status(pod, target.container)
    return status is None or not is_running(pod, target.container) or status.container_id != target.target_container_id


def _may_still_be_told(end: Terminated, now: datetime) -> bool:
    """Tells whether the kubelet may yet report that the target ended too: it reports both, not always at once.

    A node whose clock is far ahead is not waited for.
    """
    finished = parse_time(end.finished_at)
    return finished is not None and abs(now - finished) < SETTLE
