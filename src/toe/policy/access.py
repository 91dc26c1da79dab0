"""Which rights a run needs, as questions to the API server. A door asks them, with the requester's whole identity.

``use`` is a verb of our own on ``powertoolconfigs``: an administrator grants it by an ordinary Role. It is asked under
the tool's name in the run's namespace, and for tier Extreme in the system namespace under ``<namespace>.<tool>``,
where administrators of the run's namespace have no say.
"""

from collections.abc import Mapping
from types import MappingProxyType

from toe.api.meta import GROUP, Struct
from toe.api.powertoolconfig import Tier
from toe.api.settings import Settings
from toe.policy.capabilities import TIERS


class Question(Struct, frozen=True, gc=False):
    """Is one SubjectAccessReview: may the requester do this?"""

    verb: str
    resource: str
    namespace: str
    name: str = ""
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """Is the right as an administrator reads it."""
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        named = f" named {self.name}" if self.name else ""
        return f"verb {self.verb} on {what}{named} in namespace {self.namespace}"


Answers = Mapping[Question, bool | None]
"""What the API server said; None where it gave no answer."""

NO_ANSWERS: Answers = MappingProxyType({})


def at_least(tier: Tier, limit: Tier | None) -> bool:
    """Tells whether a tier has reached a limit; a limit of None is never reached."""
    return limit is not None and TIERS.index(tier) >= TIERS.index(limit)


def use_of(tool: str, tier: Tier, namespace: str, settings: Settings) -> Question | None:
    """Returns the right to use a tool of this tier; None where none is needed."""
    if not at_least(tier, settings.require_use):
        return None
    if tier == "Extreme":
        return Question("use", "powertoolconfigs", settings.system_namespace, f"{namespace}.{tool}", GROUP)
    return Question("use", "powertoolconfigs", namespace, tool, GROUP)


def entry_to(namespace: str) -> Question:
    """Returns the right that a tool with reach amounts to: ``kubectl exec`` into the target."""
    return Question("create", "pods", namespace, subresource="exec")
