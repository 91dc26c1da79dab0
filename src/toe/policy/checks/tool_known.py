"""The tool exists.

Why: only what an administrator wrote down may run. Looked up by ``spec.name`` in the system namespace alone. A missing
config may be on its way (``kubectl apply -f dir/``), so the run waits.
"""

import difflib

from toe.api.reasons import Reason
from toe.policy.request import Request
from toe.policy.verdict import Unmet


def check(request: Request) -> tuple[Unmet, ...]:
    """Finds the tool's config, or says what may have been meant."""
    if request.configs:
        return ()
    name = request.run.spec.tool.name
    near = difflib.get_close_matches(name, request.tool_names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return (Unmet(Reason.TOOL_NOT_FOUND, f"PowerToolConfig not found for tool: {name}{hint}"),)
