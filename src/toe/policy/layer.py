"""Which layer of the API server gave an answer? Read from its status and message, as they were seen on real servers."""

import re
from typing import Literal

from toe.api.meta import Struct

LayerKind = Literal[
    "accepted",
    "RBAC",
    "impersonation",
    "Pod Security",
    "policy",
    "webhook",
    "webhook down",
    "quota",
    "validation",
    "not there",
    "no answer",
    "other",
]

_POLICY = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)", re.DOTALL)
_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request(?:: (.*))?', re.DOTALL)
_DOWN = re.compile(r'failed calling webhook "([^"]+)"')
_POD_SECURITY = re.compile(r'violates PodSecurity "[^"]*": .*', re.DOTALL)
_QUOTA = re.compile(r"exceeded quota: [^,]+|failed quota: [^,]+|[Mm]aximum \w+ usage per .*")
_RBAC = re.compile(r'User "[^"]*" cannot \S+ (?:resource|path) "[^"]*"')


class Answered(Struct, frozen=True):
    """Is an answer: the layer it came from, the name of the policy or webhook, and what it said."""

    kind: LayerKind
    name: str = ""
    said: str = ""

    def __str__(self) -> str:
        """Names the layer as people know it."""
        match self.kind:
            case "policy":
                return self.name
            case "webhook":
                return f"webhook {self.name}"
            case "webhook down":
                return f"webhook {self.name} (it does not answer)"
            case "validation":
                return "validation of the API"
            case "other":
                return "another rule"
            case _:
                return self.kind


def answered_by(status: int, message: str) -> Answered:
    """Returns who gave an answer of the API server; ``status`` is the HTTP status, 0 for no answer at all."""
    if 200 <= status < 300:
        return Answered("accepted")
    if found := _POLICY.search(message):
        return Answered("policy", found[1], found[2])
    if found := _WEBHOOK.search(message):
        return Answered("webhook", found[1], found[2] or "")
    if found := _DOWN.search(message):
        return Answered("webhook down", found[1], message)
    if found := _POD_SECURITY.search(message):
        return Answered("Pod Security", said=found[0])
    if found := _QUOTA.search(message):
        return Answered("quota", said=found[0])
    if found := _RBAC.search(message):
        return Answered("impersonation" if "cannot impersonate" in found[0] else "RBAC", said=found[0])
    match status:
        case 400 | 405 | 409 | 413 | 415 | 422:
            return Answered("validation", said=message)
        case 404:
            return Answered("not there", said=message)
        case 403:
            return Answered("other", said=message)
        case _:
            return Answered("no answer", said=message)
