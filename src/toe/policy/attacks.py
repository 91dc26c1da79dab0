"""What ``doctor`` tries: each attack as data, with the layer that must answer it. Every one is a dry run.

An attack is made from what was found in the cluster (:mod:`toe.policy.attempts`); what is not there makes it "not
tried", never passed. A refusal counts only from the layer that promises it: another 403 proves nothing.
"""

from typing import Literal

from toe.api.fence.policy import TOOLS_LABEL
from toe.api.meta import Struct
from toe.policy.arguments import MARKER
from toe.policy.attempts import (
    NAME,
    NO_HOST_PID,
    NOT_FOREIGN,
    Make,
    at,
    changed,
    copied,
    duplicate,
    elsewhere,
    entering,
    foreign_image,
    forged,
    minting,
    more_capable,
    mounting,
    nameless,
    own,
    privileged,
    relabelling,
    several,
    status,
    too_many,
    touching_catalog,
    uncovered,
)

Who = Literal[
    "administrator",
    "user with every role",
    "garbage collector",
    "namespace controller",
    "operator",
    "operator without a pod",
    "operator with every role",
    "webhook with every role",
]
CATALOG_OBJECT, WEBHOOK = "the catalog", "the webhook"
"""What attacks need beside policies."""


class Attack(Struct, frozen=True):
    """Is one attack: what is tried as whom, and who must answer.

    ``by`` are policies of the fence without their prefix, or ``Pod Security`` or ``webhook``; empty: it must be
    accepted. ``needs`` must be in force, else nothing would be learned.
    """

    name: str
    tried: str
    who: Who
    by: tuple[str, ...]
    make: Make
    needs: tuple[str, ...] = ()
    is_stamped: bool = False
    """It must be accepted with the caller as its requester."""


_INJECTION = (CATALOG_OBJECT,)


def _injected(name: str, tried: str, make: Make, *also: str) -> Attack:
    return Attack(name, tried, "operator", ("catalog", *also), make, _INJECTION)


def _unbound(name: str, tried: str, by: str, make: Make, *needs: str) -> Attack:
    return Attack(name, tried, "operator without a pod", (by,), make, needs)


ATTACKS: tuple[Attack, ...] = (
    Attack("own tool", "the container as the tool's config says", "operator", (), own, ("catalog", *_INJECTION)),
    _injected("foreign image", "another image", changed(foreign_image)),
    _injected("foreign command", "another command", changed(lambda _: {"command": ["/bin/sh", "-c", "true"]})),
    _injected("foreign argument", "an argument nobody permits", changed(lambda _: {"args": [MARKER]})),
    _injected("extra capability", "one capability more", changed(more_capable)),
    _injected("privileged", "the tool, but privileged", privileged, "Pod Security"),
    _injected("host PID", "a pod that has hostPID", at("host_pid", NO_HOST_PID), "Pod Security"),
    _injected(
        "envFrom a Secret", "a Secret as variables", changed(lambda _: {"envFrom": [{"secretRef": {"name": NAME}}]})
    ),
    _injected("mounts", "a volume of the pod mounted", mounting),
    _injected("two containers", "two tools in one request", several(2)),
    _injected("too many containers", "one tool more than a pod may have", too_many),
    _injected("foreign name", "a container of no tool", changed(lambda _: {"name": NAME})),
    Attack("a tool's name", "a container named as a tool's", "user with every role", ("catalog",), copied, _INJECTION),
    _injected("foreign namespace", "where the tool is not allowed", at("foreign", NOT_FOREIGN)),
    Attack("uncovered namespace", "a pod where no tool may be", "operator", ("uncovered",), uncovered),
    Attack(
        "webhook injects",
        "a container, by the account that writes the catalog",
        "webhook with every role",
        ("catalog",),
        nameless,
        _INJECTION,
    ),
    _unbound("unbound token", "the tool, with a token of no pod", "catalog", own, *_INJECTION),
    _unbound("unbound status", "a run's status, with a token of no pod", "token", status),
    Attack("minted token", "a token of the operator's account", "administrator", ("mint",), minting),
    Attack(
        "config elsewhere", "a PowerToolConfig outside the system namespace", "administrator", ("place",), elsewhere
    ),
    Attack("duplicate tool", "a second config of a tool's name", "administrator", ("webhook",), duplicate, (WEBHOOK,)),
    Attack(
        "forged requester", "a run in somebody else's name", "user with every role", (), forged, ("requester",), True
    ),
    Attack("forged status", "a status that the operator did not write", "user with every role", ("writers",), status),
    Attack(
        "forged catalog",
        "the catalog changed by who injects",
        "operator with every role",
        ("writers",),
        touching_catalog("PATCH"),
        _INJECTION,
    ),
    Attack("exec into a tool", "exec into a tool's container", "garbage collector", ("exec",), entering),
    Attack(
        "relabelled namespace", f"the label {TOOLS_LABEL} changed", "namespace controller", ("labels",), relabelling
    ),
    Attack(
        "deleted catalog", "the catalog deleted", "administrator", ("deletion",), touching_catalog("DELETE"), _INJECTION
    ),
)
"""Every attack, in the order of the sheet."""
