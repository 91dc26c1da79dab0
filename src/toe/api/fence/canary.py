"""Is the fence in force? A binding without its policy is silently open, so nobody believes it unseen.

Two answers, and readiness asks for both: what is installed equals what was generated (:func:`gaps`), and a request that
must be refused is refused (:func:`canary`).
"""

from collections.abc import Iterable
from typing import Any

from toe.api.fence.policy import NAME_PREFIX, PREFIX, Object
from toe.api.meta import Struct

CONTAINER = "toe-canary"
"""Not of the form of a tool's name, so no catalog can ever hold it."""


HARMLESS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Passes every level of Pod Security: its refusal would come first, and would prove nothing."""


class Canary(Struct, frozen=True):
    """Is a dry run that the fence must refuse, to be sent as the controller, to a running pod."""

    path: str
    """Of the request, with its query; the method is PATCH."""
    content_type: str
    body: dict[str, Any]
    policy: str
    """The policy that must be the one to refuse."""

    def is_refused(self, status: int, message: str) -> bool:
        """Tells whether an answer is the refusal that was wanted; another one, a 403 of others too, proves nothing."""
        return status == 403 and f"'{self.policy}'" in message and PREFIX in message


def canary(namespace: str, pod: str, *, is_covered: bool = True) -> Canary:
    """Returns the canary for one pod; it changes nothing, whatever the answer (``dryRun=All``).

    In a covered namespace the catalog's policy must refuse; in an uncovered one, such as the controller's own, the
    policy for those.
    """
    container = {
        "name": CONTAINER,
        "image": "canary.invalid/never",
        "terminationMessagePolicy": "File",
        "securityContext": HARMLESS,
    }
    return Canary(
        path=f"/api/v1/namespaces/{namespace}/pods/{pod}/ephemeralcontainers?dryRun=All",
        content_type="application/strategic-merge-patch+json",
        body={"spec": {"ephemeralContainers": [container]}},
        policy=NAME_PREFIX + ("catalog" if is_covered else "uncovered"),
    )


_NARROWING = (
    *("matchConditions", "excludeResourceRules", "namespaceSelector", "objectSelector"),
    *("resourceNames", "matchResources", "paramRef"),
)
"""Fields that make a policy or a binding apply to less than it would without them."""


def gaps(wanted: Iterable[Object], found: Iterable[Object]) -> tuple[str, ...]:
    """Lists, as ``Kind name``, what is not installed as it was generated.

    What the API server adds is no difference, but a field that has it apply to less is.
    """
    have = {(obj["kind"], obj["metadata"]["name"]): obj for obj in found}
    missing = []
    for obj in wanted:
        key = obj["kind"], obj["metadata"]["name"]
        if key not in have or not _holds(obj["spec"], have[key].get("spec")):
            missing.append(" ".join(key))
    return tuple(missing)


def _holds(wanted: Any, found: Any) -> bool:
    """Tells whether ``found`` says all that ``wanted`` says, of no less; lists must be equal in length and order."""
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and all(_holds(value, found.get(key)) for key, value in wanted.items())
            and not any(found.get(key) for key in _NARROWING if key not in wanted)
            and found.get("scope", "*") == wanted.get("scope", "*")
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(_holds, wanted, found))
    return bool(wanted == found)
