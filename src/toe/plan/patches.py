"""Merge patches that make what is stored equal to what is wanted.

Source: RFC 7396. A merge patch keeps what it does not name, so what is gone is named, with null.
"""

from typing import Any

import msgspec

from toe.api.powertool import PowerTool, PowerToolStatus
from toe.api.powertoolcatalog import PowerToolCatalog, PowerToolCatalogStatus
from toe.api.powertoolconfig import PowerToolConfig, PowerToolConfigStatus

Kind = PowerTool | PowerToolConfig | PowerToolCatalog
Status = PowerToolStatus | PowerToolConfigStatus | PowerToolCatalogStatus

_COUNTS = ("selectedPods", "completedPods", "failedPods", "bytesWritten")


def status_patch(obj: Kind, status: Status) -> dict[str, Any]:
    """Returns the merge patch that makes ``obj``'s status equal to ``status``, fails on any other version of it.

    A field that is gone is nulled; counts are always there, so that the printed columns never go blank.
    """
    old, new = msgspec.to_builtins(obj.status), msgspec.to_builtins(status)
    if isinstance(status, PowerToolStatus):
        new = {**dict.fromkeys(_COUNTS, 0), **new}
    patch = {name: nulled(old.get(name), value) for name, value in new.items()}
    patch |= {name: None for name in old if name not in new}
    meta = obj.metadata
    return {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": patch}


def nulled(old: Any, new: Any) -> Any:
    """Returns a nested value with nulls for what it no longer has; lists are replaced whole by a merge patch."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**{name: None for name in old if name not in new}, **new}
