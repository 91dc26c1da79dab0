"""Who asked: the stamp that the API server writes into a PowerTool, its twin that checks it, and the right to use.

Today's PowerTool refuses ``spec.requester``; :class:`Requester` is the type that it will have when the stamp is
installed. There is no exception for toe's own accounts: a stolen token must not name somebody else.
"""

from typing import Annotated

from toe.api.fence.policy import NAME_PREFIX, Object, Refusal, obj, own, quoted, validating
from toe.api.meta import GROUP, Struct
from toe.api.schema import entries, items, text


class Requester(Struct, frozen=True):
    """Is the caller who created a run, as the API server authenticated it (authentication.k8s.io/v1 UserInfo)."""

    username: Annotated[str, text("name of the user", most=1024, least=1)]
    uid: Annotated[str, text("what tells users of one name apart in time", most=1024)] = ""
    groups: Annotated[
        tuple[Annotated[str, text("name of a group", most=1024)], ...], items("groups of the user", most=1024)
    ] = ()
    extra: Annotated[
        dict[str, Annotated[tuple[Annotated[str, text("value", most=4096)], ...], items("values", most=64)]] | None,
        entries("what else the authenticator said", most=64),
    ] = None


def stamp() -> tuple[Object, Object]:
    """Returns the MutatingAdmissionPolicy (stable since Kubernetes 1.36) that writes the caller, and its binding.

    JSONPatch, since ApplyConfiguration refuses lists that are atomic. Where there is no spec the schema says so better.
    """
    value = (
        "Object.spec.requester{username: request.userInfo.username, uid: request.userInfo.?uid.orValue(''), "
        "groups: request.userInfo.?groups.orValue([])}"
    )
    patch = (
        "!has(object.spec) ? [] : "
        f'[JSONPatch{{op: "add", path: "/spec/requester", value: {value}}}] + (has(request.userInfo.extra) '
        '? [JSONPatch{op: "add", path: "/spec/requester/extra", value: request.userInfo.extra}] : [])'
    )
    name = NAME_PREFIX + "requester"
    policy = obj(
        "MutatingAdmissionPolicy",
        name,
        {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [own(["powertools"], "CREATE")]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
        },
    )
    return policy, obj("MutatingAdmissionPolicyBinding", name, {"policyName": name})


def twin() -> tuple[Object, Object]:
    """Returns the policy that refuses a run whose stamp is not its caller: a lost stamp fails closed."""
    stated, caller = "object.spec.requester", "request.userInfo"
    is_caller = (
        f"has(object.spec) && has({stated}) && {stated}.username == {caller}.username "
        f"&& {stated}.?uid.orValue('') == {caller}.?uid.orValue('') "
        f"&& {stated}.?groups.orValue([]) == {caller}.?groups.orValue([]) "
        f"&& {stated}.?extra.orValue({{}}) == {caller}.?extra.orValue({{}})"
    )
    return validating(
        "requester",
        [own(["powertools"], "CREATE", "UPDATE")],
        [
            Refusal(
                f"request.operation != 'CREATE' || ({is_caller})",
                "spec.requester is written by the API server and must be the caller: leave it out",
            ),
            Refusal(
                "request.operation == 'CREATE' || object.?spec.?requester == oldObject.?spec.?requester",
                "spec.requester never changes: delete this object and create a new one",
            ),
        ],
    )


def use() -> tuple[Object, Object]:
    """Returns the policy that asks for the verb ``use`` on the tool, for profiles in which every tool needs it."""
    return validating(
        "use",
        [own(["powertools"], "CREATE")],
        [
            Refusal(
                f"authorizer.group({quoted(GROUP)}).resource('powertoolconfigs').namespace(request.namespace)"
                ".name(object.?spec.?tool.?name.orValue('')).check('use').allowed()",
                "a run needs the verb use on the tool",
                "request.userInfo.username + ' needs the verb use on powertoolconfigs named ' + "
                "object.?spec.?tool.?name.orValue('') + ' in the namespace ' + request.namespace",
            )
        ],
    )
