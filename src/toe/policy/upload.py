"""What a check of an upload may look at. Placement is not here: it comes from the ticket, and only from it."""

from datetime import datetime

from toe.api.meta import Struct
from toe.api.powertool import PowerTool

MOST_FILES = 1000
"""Of one ticket: what a run's status can list."""


class UploadRequest(Struct, frozen=True):
    """Is one upload, or one step of it, in front of the judge: before its body is read, and again before it is kept."""

    run: PowerTool | None
    """The run of the ticket as it is now; None when it is gone, or another one has its name."""
    run_uid: str
    expires: datetime
    """When the ticket's time is over."""
    now: datetime
    peer: str = ""
    """The address that the request comes from."""
    pod_addresses: tuple[str, ...] | None = None
    """The pod's, as the ticket has them; None where addresses are not compared."""
    size: int = 0
    """Bytes that this step adds; 0 for one that adds none."""
    received: int = 0
    """Bytes that came with this ticket already."""
    max_bytes: int = 0
    """What the ticket permits in all."""
    files: int = 0
    """How many files the ticket would have with this one."""
    namespace_used: int = 0
    namespace_quota: int | None = None
    """None: no quota."""
    total_used: int = 0
    total_quota: int | None = None
    free: int | None = None
    """Bytes that the volumes still take; None where nothing limits them."""
    low_water: int = 0
    """Bytes that stay free whatever comes."""
