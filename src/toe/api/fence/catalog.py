"""What may be injected: one entry of the PowerToolCatalog, compared with the new container field by field.

Everything is positive. The entry must exist; the container, its security context, its variables and its mounts may have
the fields that :mod:`toe.plan.container` writes and no other, whatever Kubernetes adds to them later. Facts about the
pod are read from the object as it was (``oldObject``), so that nothing in the request itself can forge them.

In each rule ``t`` is the entry and ``variables.c`` the one new container; where there is no entry the rules hold, since
an earlier one has refused already.
"""

from toe.api.crd import schema_of
from toe.api.fence.policy import (
    CONTROLLER,
    EPHEMERAL,
    PRIVILEGED_LABEL,
    TOOL_NAME,
    TOOLS_LABEL,
    Object,
    Refusal,
    is_account,
    listed,
    quoted,
    validating,
)
from toe.api.meta import API_VERSION, GROUP, VERSION
from toe.api.powertoolcatalog import KIND, NAME, PLURAL, PowerToolCatalog
from toe.api.settings import Profile, Settings

MARKER = "--user-args--"
"""The supervisor's own word, which no user's word may be (:data:`toe.policy.arguments.MARKER`)."""

CONTAINER_FIELDS = (
    "name",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "env",
    "volumeMounts",
    "securityContext",
    "targetContainerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "resources",
)
"""What render() writes and what the API server adds by itself; it lets nothing be in ``resources``."""
SECURITY_FIELDS = (
    "privileged",
    "allowPrivilegeEscalation",
    "capabilities",
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "seccompProfile",
)

_VARIABLES = {
    "old": "oldObject.spec.?ephemeralContainers.orValue([]).map(c, c.name)",
    "new": "object.spec.?ephemeralContainers.orValue([]).filter(c, !(c.name in variables.old))",
    "tool": f"variables.new.map(c, c.name.matches({quoted(TOOL_NAME)}) ? c.name.substring(4, c.name.size() - 11) : '')",
    "entry": (
        "params == null || size(variables.tool) != 1 ? [] "
        ": params.spec.?tools.orValue([]).filter(t, t.name == variables.tool[0])"
    ),
    "c": "variables.new[0]",
    "security": "variables.c.?securityContext.orValue({})",
    "args": "variables.c.?args.orValue([])",
    "words": "variables.args.map(a, a.replace('$$', '$'))",
    "env": "variables.c.?env.orValue([])",
    "target": "variables.c.?targetContainerName.orValue('')",
    "joined": (
        "(oldObject.spec.containers + oldObject.spec.?initContainers.orValue([])"
        ".filter(i, i.?restartPolicy.orValue('') == 'Always')).filter(i, i.name == variables.target)"
    ),
    "told": (
        "(oldObject.?status.?containerStatuses.orValue([]) + oldObject.?status.?initContainerStatuses.orValue([]))"
        ".filter(s, s.name == variables.target && has(s.user) && has(s.user.linux)).map(s, s.user.linux)"
    ),
    "uid": (
        "size(variables.told) > 0 ? optional.of(variables.told[0].uid) : size(variables.joined) > 0 "
        "? variables.joined[0].?securityContext.?runAsUser.or(oldObject.spec.?securityContext.?runAsUser) "
        ": optional.none()"
    ),
    "gid": (
        "size(variables.told) > 0 ? optional.of(variables.told[0].gid) : size(variables.joined) > 0 "
        "? variables.joined[0].?securityContext.?runAsGroup.or(oldObject.spec.?securityContext.?runAsGroup) "
        ": optional.none()"
    ),
    "identity": (
        "variables.entry.map(t, t.identity == 'Root' ? [0, 0] : t.identity == 'Fixed' ? [t.user, t.group] "
        ": variables.uid.hasValue() && variables.gid.hasValue() && "
        "(t.identity == 'Target' || (t.identity == 'NonRoot' && variables.uid.value() != 0)) "
        "? [variables.uid.value(), variables.gid.value()] : [])"
    ),
}


def policy(settings: Settings, profile: Profile) -> tuple[Object, Object]:
    """Returns the policy that compares what the controller injects with the catalog, and its binding.

    The parameter is named, never selected, and a missing one refuses. A missing parameter refuses **everybody** who
    adds an ephemeral container, since parameters are collected before match conditions: the catalog is installed first.
    """
    return validating(
        "catalog",
        [EPHEMERAL],
        [*_which_tool(settings), *_where(settings), *_what_runs(), *_with_what_security(), *_with_what_else()],
        only={"the-controller": is_account(settings, CONTROLLER)},
        variables=_VARIABLES,
        audit={
            "run": "variables.new.map(c, c.?env.orValue([]).filter(e, e.name == 'TOE_RUN')"
            ".map(e, e.?value.orValue('')).join(' ')).join(' ')",
            "tool": "variables.tool.join(' ')",
            "tier": "variables.entry.map(t, t.tier).join(' ')",
        },
        parameters={
            "kind": {"apiVersion": API_VERSION, "kind": KIND},
            "ref": {"namespace": settings.system_namespace, "name": NAME, "parameterNotFoundAction": "Deny"},
        },
        selector=covered(settings, profile),
    )


def covered(settings: Settings, profile: Profile) -> Object:
    """Returns the selector of the namespaces in which tools may run at all; elsewhere toe may do nothing.

    Selectors have no wildcards, so the protected namespaces are named.
    """
    names = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [*settings.protected_namespaces]}
    opened = {"matchLabels": {TOOLS_LABEL: "enabled"}} if profile == "hardened" else {}
    return {**opened, "matchExpressions": [names]}


def custom_resource_definition() -> Object:
    """Returns the CRD of the catalog, ready to be applied."""
    singular = KIND.lower()
    columns = [
        {"name": name, "type": type_, "jsonPath": path} for name, type_, path in PowerToolCatalog.PRINTER_COLUMNS
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": singular,
                "shortNames": list(PowerToolCatalog.SHORT_NAMES),
                "categories": ["toe"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema_of(PowerToolCatalog)},
                }
            ],
        },
    }


def empty_catalog(settings: Settings) -> Object:
    """Returns the catalog that accepts nothing: installed before the binding, never overwritten by an upgrade."""
    metadata = {"name": NAME, "namespace": settings.system_namespace}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {"tools": []}}


def _rule(cel: str, message: str, tells: str = "") -> Refusal:
    """Makes a rule about the entry ``t``; ``tells`` is CEL for the rest of a sentence that begins with the tool."""
    sentence = f"'tool ' + variables.tool[0] + {tells or quoted(' ' + message)}"
    return Refusal(f"variables.entry.all(t, {cel})", f"the tool {message}", sentence)


def _which_tool(settings: Settings) -> list[Refusal]:
    most = settings.max_containers_per_pod
    where = f"{settings.system_namespace}/{NAME}"
    return [
        Refusal("params != null", f"the PowerToolCatalog {where} is missing"),
        Refusal("size(variables.new) <= 1", "one tool container in a request, not more"),
        Refusal("variables.tool.all(t, t != '')", "a tool container is named toe-<tool>-<10 hex digits>"),
        Refusal(
            "size(variables.new) == 0 || size(variables.entry) == 1",
            "there is no such tool in the catalog",
            f"'no tool ' + variables.tool.join(',') + {quoted(f' in the catalog {where}')}",
        ),
        Refusal(
            "size(variables.new) == 0 || "
            f"size(object.spec.ephemeralContainers.filter(c, c.name.startsWith('toe-'))) <= {most}",
            f"a pod gets at most {most} tool containers in its life",
        ),
    ]


def _where(settings: Settings) -> list[Refusal]:
    labels = "oldObject.metadata.?labels.orValue({})"
    return [
        _rule(
            "t.?allNamespaces.orValue(false) || request.namespace in t.?namespaces.orValue([])",
            "is not allowed in this namespace",
            "' is allowed in the namespaces ' + variables.entry[0].?namespaces.orValue([]).join(', ') + "
            "', not in ' + request.namespace",
        ),
        _rule(
            "size(variables.joined) == 1 && (t.?allContainers.orValue(false) "
            "|| variables.target in t.?containers.orValue([])) "
            "&& !(variables.target in t.?exceptContainers.orValue([]))",
            "may not join this container: targetContainerName must be a container of the pod that the tool may join",
            "' may not join the container ' + variables.target + ': targetContainerName must be a regular container "
            "or sidecar of the pod' + (variables.entry[0].?allContainers.orValue(false) ? '' : ', one of ' + "
            "variables.entry[0].?containers.orValue([]).join(', '))",
        ),
        _rule(
            "t.?podLabels.orValue([]).all(s, "
            f"s.operator == 'In' ? s.key in {labels} && {labels}[s.key] in s.?values.orValue([]) : "
            f"s.operator == 'NotIn' ? !(s.key in {labels} && {labels}[s.key] in s.?values.orValue([])) : "
            f"s.operator == 'Exists' ? s.key in {labels} : s.operator == 'DoesNotExist' && !(s.key in {labels}))",
            "may not join a pod with these labels",
        ),
        _rule(
            "oldObject.?status.?phase.orValue('') == 'Running' && !has(oldObject.metadata.deletionTimestamp) "
            "&& oldObject.spec.?os.?name.orValue('linux') == 'linux'",
            "may join only a Linux pod that is Running and not being deleted",
        ),
        _rule(
            "t.?allowHostPID.orValue(false) || !oldObject.spec.?hostPID.orValue(false)",
            "may not enter a pod with hostPID",
        ),
    ]


def _what_runs() -> list[Refusal]:
    accepted = (
        f"a != {quoted(MARKER)} && !a.replace('$$', '').contains('$') && has(t.args) && (t.args.?any.orValue(false) || "
        "(variables.words[i].matches('^[ -~]+$') && (variables.words[i].startsWith('-') "
        "? variables.words[i] in t.args.?flags.orValue([]) "
        ": !variables.words[i].startsWith('@') && t.args.?pattern.orValue('') != '' "
        "&& variables.words[i].matches('^(?:' + t.args.pattern + ')$'))))"
    )
    fixed = "t.?fixedArgs.orValue([])"
    return [
        _rule(
            "variables.c.image == t.image", "must use its image", "' must use the image ' + variables.entry[0].image"
        ),
        _rule(
            "variables.c.?imagePullPolicy.orValue('') == t.imagePullPolicy",
            "must keep its imagePullPolicy",
            "' must have imagePullPolicy ' + variables.entry[0].imagePullPolicy",
        ),
        _rule("variables.c.?command.orValue([]) == t.?command.orValue([])", "must keep its command"),
        _rule(
            f"size(variables.args) >= size({fixed}) && "
            f"variables.args.all(i, a, i < size({fixed}) ? a == {fixed}[i] : ({accepted}))",
            "accepts only the arguments that its config permits, each $ doubled",
        ),
    ]


def _with_what_security() -> list[Refusal]:
    privileged = "t.?privileged.orValue(false)"
    unknown = (
        "(t.?imageUser.orValue(false) && !(variables.uid.hasValue() && variables.gid.hasValue()) "
        "&& !has(variables.security.runAsUser) && !has(variables.security.runAsGroup))"
    )
    return [
        _rule(
            f"dyn(variables.security).all(k, k in {listed(SECURITY_FIELDS)}) "
            "&& dyn(variables.security.?capabilities.orValue({})).all(k, k in ['add', 'drop'])",
            f"may set in securityContext only {', '.join(SECURITY_FIELDS)}",
        ),
        _rule(
            f"has(variables.security.privileged) && variables.security.privileged == {privileged} "
            f"&& has(variables.security.allowPrivilegeEscalation) "
            f"&& variables.security.allowPrivilegeEscalation == {privileged}",
            "must state privileged and allowPrivilegeEscalation as in the catalog",
            "' must have privileged and allowPrivilegeEscalation ' + "
            "string(variables.entry[0].?privileged.orValue(false))",
        ),
        _rule(
            f"!{privileged} || namespaceObject.metadata.?labels[?{quoted(PRIVILEGED_LABEL)}].orValue('') == 'true'",
            f"is privileged: the namespace needs the label {PRIVILEGED_LABEL}=true",
        ),
        _rule(
            "variables.security.?capabilities.?add.orValue([]) == t.?add.orValue([]) "
            "&& variables.security.?capabilities.?drop.orValue([]) == t.?drop.orValue([])",
            "must have exactly the capabilities of the catalog",
            "' must add the capabilities [' + variables.entry[0].?add.orValue([]).join(', ') + '] and drop [' + "
            "variables.entry[0].?drop.orValue([]).join(', ') + ']'",
        ),
        _rule(
            f"{privileged} ? !has(variables.security.seccompProfile) "
            ": has(variables.security.seccompProfile) "
            "&& dyn(variables.security.seccompProfile).all(k, k == 'type') "
            "&& variables.security.seccompProfile.type == t.seccompProfile",
            "must have the seccompProfile of the catalog, none where it is privileged",
        ),
        _rule(
            f"{unknown} || has(variables.security.runAsUser) && has(variables.security.runAsGroup) "
            "&& [variables.security.runAsUser, variables.security.runAsGroup] == variables.identity[0]",
            "must run with the uid and gid of the catalog",
            "' must run with runAsUser and runAsGroup ' + (size(variables.identity[0]) == 2 "
            "? variables.identity[0].map(id, string(id)).join(' and ') : 'of the target, which are not known or root')",
        ),
        _rule(
            "has(variables.security.runAsNonRoot) "
            f"&& variables.security.runAsNonRoot == ({unknown} ? t.identity == 'NonRoot' "
            ": variables.security.runAsUser != 0)",
            "must state runAsNonRoot: true exactly when it is not root",
        ),
    ]


def _with_what_else() -> list[Refusal]:
    claims = "t.?claims.orValue([])"
    mounted = (
        f"{claims}.exists(k, k.path == m.mountPath && oldObject.spec.?volumes.orValue([]).exists(v, v.name == m.name "
        "&& v.?persistentVolumeClaim.?claimName.orValue('') == k.claimName))"
    )
    return [
        _rule(
            "variables.env.all(e, dyn(e).all(k, k in ['name', 'value']) "
            "&& variables.env.exists_one(o, o.name == e.name) && (e.name == 'TOE_COLLECTOR' "
            "? has(t.collector) && e.?value.orValue('') == t.collector : e.name in t.?envNames.orValue([]) "
            "|| t.?env.orValue([]).exists(o, o.name == e.name && o.?value.orValue('') == e.?value.orValue('')))) "
            "&& t.?env.orValue([]).all(o, variables.env.exists(e, e.name == o.name))",
            "may set only the variables of the catalog, each once, with plain values",
            "' may set only plain values of ' + variables.entry[0].?envNames.orValue([]).join(', ') + "
            "', and its own variables as the catalog has them: [' + "
            "variables.entry[0].?env.orValue([]).map(o, o.name).join(', ') + ']'",
        ),
        _rule(
            f"variables.c.?volumeMounts.orValue([]).all(m, dyn(m).all(k, k in ['name', 'mountPath']) && {mounted})",
            "may mount only the claims of the catalog, at their paths",
        ),
        _rule(
            f"dyn(variables.c).all(k, k in {listed(CONTAINER_FIELDS)})",
            f"may set only the fields {', '.join(CONTAINER_FIELDS[:-1])}",
        ),
        _rule(
            "variables.c.?terminationMessagePath.orValue('') == '/dev/termination-log' "
            "&& variables.c.?terminationMessagePolicy.orValue('') == 'File'",
            "must leave terminationMessagePath and terminationMessagePolicy to the API server",
        ),
    ]
