"""Namespaces: who opens one for tools, and where the administrator's objects count."""

from toe.api.fence.policy import (
    PRIVILEGED_LABEL,
    TOOLS_LABEL,
    Object,
    Refusal,
    listed,
    own,
    quoted,
    rule,
    validating,
)
from toe.api.meta import GROUP
from toe.api.powertoolcatalog import PLURAL
from toe.api.settings import Settings

OPEN = "open"
"""The verb on ``powertoolconfigs`` in the system namespace, named by the namespace that is opened or closed."""


def labels(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that keeps the fence's own labels from those who merely administer a namespace.

    The subresources are covered too: an update of ``namespaces/status`` or ``namespaces/finalize`` carries labels.
    """
    before = "(oldObject == null ? optional.none() : oldObject.metadata.?labels[?l])"
    return validating(
        "labels",
        [rule("", ["namespaces", "namespaces/status", "namespaces/finalize"], "CREATE", "UPDATE")],
        [
            Refusal(
                f"authorizer.group({quoted(GROUP)}).resource('powertoolconfigs')"
                f".namespace({quoted(settings.system_namespace)}).name(object.metadata.?name.orValue(''))"
                f".check({quoted(OPEN)}).allowed()",
                f"the labels {TOOLS_LABEL} and {PRIVILEGED_LABEL} are changed by those who have the verb {OPEN} on "
                f"powertoolconfigs in {settings.system_namespace}",
            )
        ],
        only={
            "changes-a-label": f"{listed((TOOLS_LABEL, PRIVILEGED_LABEL))}"
            f".exists(l, object.metadata.?labels[?l] != {before})"
        },
    )


def place(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that lets PowerToolConfigs and catalogs be made in the system namespace only."""
    return validating(
        "place",
        [own(["powertoolconfigs", PLURAL], "CREATE")],
        [
            Refusal(
                f"request.namespace == {quoted(settings.system_namespace)}",
                f"PowerToolConfigs and PowerToolCatalogs count only in the namespace {settings.system_namespace}",
            )
        ],
    )
