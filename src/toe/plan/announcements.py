"""What people are told: events on the run, and on the pod that a tool enters, so that its owner sees it."""

import msgspec

from toe.api.meta import API_VERSION, ObjectReference
from toe.api.pod import Pod
from toe.api.powertool import KIND, PowerTool, Target
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.plan.actions import RecordEvent
from toe.plan.container import ToolContainer
from toe.policy.tier import added


def event_on(run: PowerTool, kind: str, reason: Reason, message: str) -> RecordEvent:
    """Returns an event on the run."""
    return RecordEvent(
        regarding=ObjectReference(
            api_version=API_VERSION,
            kind=KIND,
            namespace=run.metadata.namespace,
            name=run.metadata.name,
            uid=run.metadata.uid,
        ),
        type="Normal" if kind == "Normal" else "Warning",
        reason=reason,
        message=message,
    )


def ticket_stolen(run: PowerTool, target: Target) -> tuple[RecordEvent, ...]:
    """Returns what is told when somebody had claimed a tool's ticket before the tool: a security event, on both."""
    message = (
        f"the ticket of {target.tool_container} in {target.pod} was claimed by somebody else; the tool did not run"
    )
    on_pod = RecordEvent(
        regarding=ObjectReference(
            api_version="v1", kind="Pod", namespace=run.metadata.namespace, name=target.pod, uid=target.pod_uid
        ),
        type="Warning",
        reason=Reason.TICKET_CLAIMED,
        message=message,
    )
    return (event_on(run, "Warning", Reason.TICKET_CLAIMED, message), on_pod)


def injected(run: PowerTool, config: PowerToolConfig, pod: Pod, container: ToolContainer) -> tuple[RecordEvent, ...]:
    """Returns what is told when a container was added: on the run, and on the pod for its owner."""
    security = container.security_context
    who = "privileged" if security.privileged else _as_whom(security.run_as_user)
    capabilities = ", ".join(sorted(added(config.spec.effective_security))) or "no capability"
    where = f"{pod.metadata.name} (container {container.target_container_name})"
    what = f"{config.spec.name} into {where} {who} with {capabilities}"
    on_pod = RecordEvent(
        regarding=ObjectReference(
            api_version="v1", kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
        ),
        type="Normal",
        reason=Reason.TOOL_INJECTED,
        message=f"PowerTool {run.metadata.name} put {what}",
    )
    return (event_on(run, "Normal", Reason.INJECTED, what), on_pod)


def _as_whom(uid: int | msgspec.UnsetType) -> str:
    if isinstance(uid, int):
        return f"as uid {uid}" if uid else "as root"
    return "as its image's user"
