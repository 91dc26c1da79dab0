"""Who asked: the stamp that the API server writes into a PowerTool, its twin that checks it, and the right to use.

There is no exception for toe's own accounts: a stolen token must not name somebody else.
"""

from toe.api.fence.policy import NAME_PREFIX, Object, Refusal, obj, own, quoted, validating
from toe.api.meta import GROUP
from toe.api.settings import Settings


def stamp() -> tuple[Object, Object]:
    """Returns the MutatingAdmissionPolicy (stable since Kubernetes 1.36) that writes the caller, and its binding.

    JSONPatch, since ApplyConfiguration refuses lists that are atomic. Where there is no spec, or a word in its place,
    the schema says so better. Lists and maps of the request are copied by macros: as they are, 1.37 cannot write them
    ("could not marshal to JSON", k8s.io/apiserver/pkg/cel/common, ``typedMap.ConvertToNative``).
    """
    value = (
        "Object.spec.requester{username: request.userInfo.username, uid: request.userInfo.?uid.orValue(''), "
        "groups: request.userInfo.?groups.orValue([]).map(group, group)}"
    )
    extra = "request.userInfo.extra.transformMap(key, values, values.map(value, value))"
    patch = (
        "!has(object.spec) || type(object.spec) != map ? [] : "
        f'[JSONPatch{{op: "add", path: "/spec/requester", value: {value}}}] + (has(request.userInfo.extra) '
        f'? [JSONPatch{{op: "add", path: "/spec/requester/extra", value: {extra}}}] : [])'
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


def use(settings: Settings) -> tuple[Object, Object]:
    """Returns the policy that asks for the verb ``use`` on the tool, where tools of every tier need it.

    The tier is the judge's to know: here one of the two rights is enough, the one in the run's namespace or the one for
    tier Extreme in the system namespace under ``<namespace>.<tool>``. The controller asks for the right one.
    """
    tool = "object.?spec.?tool.?name.orValue('')"
    resource = f"authorizer.group({quoted(GROUP)}).resource('powertoolconfigs')"
    extreme = f"request.namespace + '.' + {tool}"
    return validating(
        "use",
        [own(["powertools"], "CREATE")],
        [
            Refusal(
                f"{resource}.namespace(request.namespace).name({tool}).check('use').allowed() || "
                f"{resource}.namespace({quoted(settings.system_namespace)}).name({extreme}).check('use').allowed()",
                "a run needs the verb use on the tool",
                "request.userInfo.username + ' needs the verb use on powertoolconfigs named ' + "
                f"{tool} + ' in the namespace ' + request.namespace",
            )
        ],
    )
