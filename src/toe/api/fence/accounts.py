"""What toe's own accounts may do at all, and with which tokens.

These policies have no parameters, so they stand also where the catalog does not reach, and while there is none.
"""

from toe.api.fence.names import ADDED, reserved
from toe.api.fence.policy import (
    CONTROLLER,
    EPHEMERAL,
    NAME_PREFIX,
    TOOLS_LABEL,
    WEBHOOK,
    Object,
    Refusal,
    account,
    accounts,
    is_ours,
    listed,
    named,
    obj,
    own,
    quoted,
    rule,
    validating,
)
from toe.api.powertoolcatalog import PLURAL
from toe.api.settings import Profile, Settings

POD_NAME = "authentication.kubernetes.io/pod-name"
"""In ``userInfo.extra`` of every token that is bound to a pod.

Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#additional-metadata-in-pod-bound-tokens
"""

BOUND = Refusal(
    f"{quoted(POD_NAME)} in request.userInfo.?extra.orValue({{}})",
    "only a token that is bound to one of toe's own pods is accepted",
)
"""Such a token dies with its pod; one that somebody minted or copied into a Secret is not bound."""

_EVERY_WRITE = ("CREATE", "UPDATE", "DELETE")
_CATALOG = (PLURAL, f"{PLURAL}/status")
_STATUS = ("powertools/status", "powertoolconfigs/status")


def uncovered(settings: Settings, profile: Profile) -> tuple[Object, ...]:
    """Returns the policy for the namespaces where the catalog does not apply, and its bindings.

    It has no parameters, so it stands without the catalog. Where it applies is chosen by bindings and not by match
    conditions, which would cost every injection elsewhere: protected namespaces, and under ``hardened`` the others
    that nobody opened.
    """
    why = (
        f"request.namespace in {listed(settings.protected_namespaces)} ? 'it is protected' "
        f": {quoted(f'it is not opened: it needs {TOOLS_LABEL}=enabled')}"
    )
    policy, protected = validating(
        "uncovered",
        [EPHEMERAL],
        [
            Refusal(
                f"!({is_ours(settings)})",
                "no tool enters a namespace that is protected or not opened",
                f"'no tool enters the namespace ' + request.namespace + ', ' + ({why})",
            ),
            reserved(),
        ],
        variables=ADDED,
        selector={"matchExpressions": [named("In", settings)]},
    )
    if profile != "hardened":
        return policy, protected
    unlabelled = {"key": TOOLS_LABEL, "operator": "NotIn", "values": ["enabled"]}
    bound = protected["spec"] | {
        "matchResources": {"namespaceSelector": {"matchExpressions": [named("NotIn", settings), unlabelled]}}
    }
    return policy, protected, obj("ValidatingAdmissionPolicyBinding", f"{NAME_PREFIX}unopened", bound)


def only_injector(settings: Settings, controller: str) -> Refusal:
    """Returns the rule that no account of the system namespace injects but the one of the CEL ``controller``."""
    return Refusal(
        f"{controller} || !({is_ours(settings)})",
        f"of the accounts of {settings.system_namespace} only {CONTROLLER} adds containers to pods",
    )


def token(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that accepts writes of toe's accounts only with a token that is bound to a pod.

    The catalog's policy asks the same of injections. Whoever impersonates one of the accounts must send the extra too.
    """
    rules = [
        own(_STATUS, "UPDATE"),
        own(_CATALOG, *_EVERY_WRITE),
        rule("coordination.k8s.io", ["leases"], *_EVERY_WRITE),
    ]
    return validating(
        "token",
        rules,
        [BOUND],
        only={"ours": is_ours(settings)},
    )


def mint(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that lets only nodes make tokens of toe's accounts, and nobody a Secret that holds one.

    A node mints for the pods that run on it (admission plug-in NodeRestriction); what a node may do, its root may.
    """
    return validating(
        "mint",
        [rule("", ["serviceaccounts/token"], "CREATE"), rule("", ["secrets"], "CREATE")],
        [
            Refusal(
                "request.resource.resource != 'serviceaccounts' || "
                "'system:nodes' in request.userInfo.?groups.orValue([])",
                f"only nodes mint tokens of accounts of {settings.system_namespace}, for pods that run on them",
            ),
            Refusal(
                "request.resource.resource != 'secrets' || "
                "object.?type.orValue('') != 'kubernetes.io/service-account-token'",
                f"no Secret holds a token of an account of {settings.system_namespace}: it would never expire",
            ),
        ],
        selector={"matchLabels": {"kubernetes.io/metadata.name": settings.system_namespace}},
    )


def writers(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that separates who writes what: status, the catalog, and the configs.

    A thief of one account needs another one to change what may be injected.
    """
    controller, webhook = (quoted(account(settings, name)) for name in (CONTROLLER, WEBHOOK))
    user, resource = "request.userInfo.username", "request.resource.resource"
    return validating(
        "writers",
        [own(_STATUS, "UPDATE"), own((*_CATALOG, "powertoolconfigs"), *_EVERY_WRITE)],
        [
            Refusal(
                f"{resource} == {quoted(PLURAL)} || request.?subResource.orValue('') != 'status' "
                f"|| {user} == {controller}",
                f"status is written by {CONTROLLER} only",
            ),
            Refusal(
                f"{resource} != {quoted(PLURAL)} || !{user}.startsWith({quoted(accounts(settings))}) "
                f"|| {user} == {webhook}",
                f"of toe's accounts only {WEBHOOK} writes the catalog",
            ),
            Refusal(
                f"{resource} != 'powertoolconfigs' || request.?subResource.orValue('') == 'status' "
                f"|| !{user}.startsWith({quoted(accounts(settings))})",
                "toe's accounts never write a PowerToolConfig: that is the administrator's",
            ),
        ],
    )
