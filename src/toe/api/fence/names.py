"""Names of tool containers: nobody else makes one, and nobody enters one.

Only the whole form ``toe-<tool>-<10 hex>`` is reserved, and not on pod creation: nobody's existing ``toe-...``
containers stop being scheduled.
"""

from toe.api.fence.policy import (
    CONTROLLER,
    EPHEMERAL,
    TOOL_NAME,
    Object,
    Refusal,
    is_account,
    quoted,
    rule,
    validating,
)
from toe.api.meta import GROUP
from toe.api.settings import Settings

BREAK_GLASS = "toolcontainers"
"""A resource that exists in RBAC only: the verbs ``exec`` and ``attach`` on it, named by the pod, let somebody in."""


def names(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that lets nobody but the controller add a container that looks like a tool."""
    return validating(
        "names",
        [EPHEMERAL],
        [
            Refusal(
                "object.spec.?ephemeralContainers.orValue([]).all(c, c.name in variables.old "
                f"|| !c.name.matches({quoted(TOOL_NAME)}))",
                "names of the form toe-<tool>-<10 hex digits> are the operator's: choose another name",
            )
        ],
        only={"not-the-controller": f"!({is_account(settings, CONTROLLER)})"},
        variables={"old": "oldObject.spec.?ephemeralContainers.orValue([]).map(c, c.name)"},
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
