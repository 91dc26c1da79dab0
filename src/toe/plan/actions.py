"""The steps a door executes one by one; it decides nothing. Plans hold no secrets."""

from datetime import datetime
from typing import Literal

from toe.api.meta import ObjectReference, Struct
from toe.api.powertool import PowerTool, PowerToolStatus
from toe.api.powertoolconfig import PowerToolConfig, PowerToolConfigStatus
from toe.api.ticket import Ticket
from toe.plan.container import ToolContainer

EventType = Literal["Normal", "Warning"]


class RecordEvent(Struct, frozen=True):
    """Tells people what happened, on the object it happened to."""

    regarding: ObjectReference
    type: EventType
    reason: str
    message: str


class WriteStatus(Struct, frozen=True):
    """Writes the whole status of a run; fails when somebody else wrote first, and the plan ends there."""

    run: PowerTool
    status: PowerToolStatus


class WriteConfigStatus(Struct, frozen=True):
    """Writes the whole status of a config."""

    config: PowerToolConfig
    status: PowerToolConfigStatus


class AddEphemeralContainer(Struct, frozen=True):
    """Adds one container to one pod, of this UID and in this version, and tells the events when it succeeded.

    ``ticket`` is what to sign and put into the container as ``TOE_TICKET``; None where it needs none.
    """

    namespace: str
    pod: str
    pod_uid: str
    resource_version: str
    container: ToolContainer
    ticket: Ticket | None = None
    events: tuple[RecordEvent, ...] = ()


Action = WriteStatus | WriteConfigStatus | AddEphemeralContainer | RecordEvent


class Plan(Struct, frozen=True):
    """Is the whole next step: status first, then containers, then events; and when to look again by the clock."""

    actions: tuple[Action, ...] = ()
    look_again: datetime | None = None
