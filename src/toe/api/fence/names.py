"""Names of tool containers: nobody else makes one, and nobody enters one.

Only the whole form ``toe-<tool>-<10 hex>`` is reserved, and not on pod creation: nobody's existing ``toe-...``
containers stop being scheduled.
"""

from toe.api.fence.policy import (
    TOOL_NAME,
    Object,
    Refusal,
    quoted,
    rule,
    validating,
)
from toe.api.meta import GROUP

BREAK_GLASS = "toolcontainers"
"""A resource that exists in RBAC only: the verbs ``exec`` and ``attach`` on it, named by the pod, let somebody in."""


ADDED = {
    "old": "oldObject.spec.?ephemeralContainers.orValue([]).map(c, c.name)",
    "new": "object.spec.?ephemeralContainers.orValue([]).filter(c, !(c.name in variables.old))",
}
"""CEL variables: the names that were there, and the containers that a request adds, wherever a patch puts them."""


def reserved(but: str = "false") -> Refusal:
    """Returns the rule that no added container looks like a tool, but where the CEL ``but`` is true."""
    return Refusal(
        f"{but} || variables.new.all(c, !c.name.matches({quoted(TOOL_NAME)}))",
        "names of the form toe-<tool>-<10 hex digits> are the operator's: choose another name",
    )


def entry() -> tuple[Object, Object]:
    """Returns the policy that lets nobody exec into or attach to a tool container, but with the break-glass right."""
    authorized = (
        f"authorizer.group({quoted(GROUP)}).resource({quoted(BREAK_GLASS)}).namespace(request.namespace)"
        ".name(request.name).check(request.subResource).allowed()"
    )
    return validating(
        "exec",
        [rule("", ["pods/exec", "pods/attach"], "CONNECT")],
        [
            Refusal(
                authorized,
                f"nobody enters a tool container without the right to exec or attach on {BREAK_GLASS}.{GROUP}",
                "request.userInfo.username + ' may not ' + request.subResource + ' into the tool container ' + "
                f"object.container + {quoted(f' without that verb on {BREAK_GLASS}.{GROUP}')}",
            )
        ],
        only={"a-tool-container": f"object.?container.orValue('').matches({quoted(TOOL_NAME)})"},
    )
