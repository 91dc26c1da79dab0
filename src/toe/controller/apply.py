"""Execute a plan's actions one by one. Decides nothing but whether an error of the API server is final.

Every write carries the uid and resourceVersion it was planned with, so it happens to the state that was judged or not
at all. What a write returns goes into the caches at once (read your writes).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import EnvVar
from toe.api.reasons import Reason
from toe.api.ticket import Ticket
from toe.controller.counts import Counts
from toe.controller.observe import Caches, Memory
from toe.errors import ClusterError, ConflictError, ForbiddenError, InvalidError, NotFoundError, SettingsError
from toe.kube.client import Client
from toe.kube.events import EventRecorder
from toe.kube.resource import PODS, POWERTOOLCONFIGS, POWERTOOLS
from toe.plan.actions import Action, AddEphemeralContainer, RecordEvent, WriteConfigStatus, WriteStatus
from toe.plan.container import TICKET, ToolContainer
from toe.plan.patches import status_patch
from toe.policy.verdict import Violation

_log = structlog.get_logger(__name__)


class Applier:
    """Executes actions against one cluster."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        memory: Memory,
        events: EventRecorder,
        clock: Callable[[], datetime],
        sign: Callable[[Ticket], str] | None = None,
        *,
        counts: Counts,
    ) -> None:
        """``sign`` makes the tickets that plans ask for; there must be one where the settings have a collector."""
        self._client = client
        self._caches = caches
        self._memory = memory
        self._events = events
        self._clock = clock
        self._sign = sign
        self._counts = counts

    async def apply(self, actions: tuple[Action, ...], run: PowerTool | None = None) -> None:
        """Executes a plan: statuses first, in order, then all containers at once, then the events.

        Raises ClusterError for the first write that failed in a way that another look may mend. Where freezing the
        targets was not written down, no container is added. A container that the API server refuses for good is
        remembered, and the next plan says so in the status.
        """
        for action in actions:
            match action:
                case WriteStatus():
                    await self._write_status(action)
                case WriteConfigStatus():
                    await self._write_config_status(action)
                case _:
                    pass
        additions = [action for action in actions if isinstance(action, AddEphemeralContainer)]
        if additions and run is not None:
            results = await asyncio.gather(*(self._add(action, run) for action in additions), return_exceptions=True)
            self._record([action for action in actions if isinstance(action, RecordEvent)])
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        else:
            self._record([action for action in actions if isinstance(action, RecordEvent)])

    async def _write_status(self, action: WriteStatus) -> None:
        run = action.run
        body = status_patch(run, action.status)
        stored = await self._client.patch(
            POWERTOOLS, run.metadata.namespace, run.metadata.name, body, kind="merge", subresource="status"
        )
        self._memory.written[run.metadata.uid] = self._clock()
        self._caches.runs.observe(stored)
        self._counts.ended(run, action.status)
        _log.info(
            "status written",
            **_of(run),
            phase=action.status.phase,
        )

    async def _write_config_status(self, action: WriteConfigStatus) -> None:
        config = action.config
        stored = await self._client.patch(
            POWERTOOLCONFIGS,
            config.metadata.namespace,
            config.metadata.name,
            status_patch(config, action.status),
            kind="merge",
            subresource="status",
        )
        self._caches.configs.observe(stored)

    async def _add(self, action: AddEphemeralContainer, run: PowerTool) -> None:
        body = {
            "metadata": {"uid": action.pod_uid, "resourceVersion": action.resource_version},
            "spec": {"ephemeralContainers": [self._with_ticket(action)]},
        }
        try:
            stored = await self._client.patch(
                PODS, action.namespace, action.pod, body, kind="strategic", subresource="ephemeralcontainers"
            )
        except NotFoundError:
            return  # the pod is gone; its watch event ends the target
        except (ForbiddenError, InvalidError) as error:
            violation = refusal(error)
            if violation is None:
                raise
            _log.warning(
                "injection refused",
                **_of(run),
                pod=action.pod,
                reason=violation.reason,
                error=error.message,
            )
            self._counts.refused(run, violation.reason)
            self._memory.refuse(run.metadata.uid, action.pod_uid, violation)
            return
        self._caches.pods.observe(stored)
        self._record(list(action.events))
        security = action.container.security_context
        known = self._caches.runs.get(run.metadata.namespace, run.metadata.name) or run
        tier = (known.status.config.tier if known.status.config is not None else None) or ""
        self._counts.injected(run, tier, self._clock(), privileged=security.privileged is True)
        _log.info(
            "tool injected",
            **_of(run),
            pod=action.pod,
            tier=tier,
            container=action.container.name,
            image=action.container.image,
            uid=_known(security.run_as_user),
        )

    def _with_ticket(self, action: AddEphemeralContainer) -> ToolContainer:
        """Returns the container with its ticket: plans hold no secrets, so it is signed here."""
        if action.ticket is None:
            return action.container
        if self._sign is None:
            raise SettingsError("a ticket is wanted and there is no key to sign it with")
        variable = EnvVar(TICKET, self._sign(action.ticket))
        return msgspec.structs.replace(action.container, env=(*action.container.env, variable))

    def _record(self, events: list[RecordEvent]) -> None:
        for event in events:
            self._events.record(
                event.regarding, type=event.type, reason=event.reason, message=event.message, now=self._clock()
            )


def _of(run: PowerTool) -> dict[str, str]:
    """Returns the fields that every line about a run has: which one, of which tool, and whose."""
    requester = run.spec.requester
    return {
        "namespace": run.metadata.namespace,
        "run": run.metadata.name,
        "tool": run.spec.tool.name,
        "requester": requester.username if requester is not None else "",
    }


def refusal(error: ClusterError) -> Violation | None:
    """Returns the reason when an injection was refused for good; None when another look may help.

    Not final: another pod under the same name (``metadata.uid: field is immutable``), and a container of our name that
    came between (``existing ephemeral containers ... may not be changed``).
    """
    message = error.message
    if isinstance(error, ForbiddenError):
        reason = Reason.POD_SECURITY_FORBIDS if "violates PodSecurity" in message else Reason.CLUSTER_FORBIDS
        start = message.find("violates PodSecurity")
        return Violation(reason, message[start:] if start >= 0 else message)
    if isinstance(error, InvalidError):
        if "metadata.uid" in message or "field is immutable" in message or "may not be changed" in message:
            return None
        return Violation(Reason.CONTAINER_INVALID, message)
    return None


def is_ordinary(error: ClusterError) -> bool:
    """Tells whether an error is part of ordinary life: somebody wrote first, or the object is gone."""
    return isinstance(error, (ConflictError, NotFoundError))


def _known(uid: int | msgspec.UnsetType) -> int | None:
    """Returns a uid; None where the container runs as its image's user."""
    return uid if isinstance(uid, int) else None
