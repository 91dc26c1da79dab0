"""What may be injected: one entry of the PowerToolCatalog, compared with the new container field by field.

Everything is positive. The entry must exist; the container, its security context, its variables and its mounts may have
the fields that :mod:`toe.plan.container` writes and no other, whatever Kubernetes adds to them later. Facts about the
pod are read from the object as it was (``oldObject``), so that nothing in the request itself can forge them.

In each rule ``t`` is the entry and ``variables.c`` the one new container; where there is no entry the rules hold, since
an earlier one has refused already, or somebody else than the controller asks.

It is paid by everybody who adds an ephemeral container, so it is written to be cheap (``bench/fence.py``). The API
server turns the pod into plain maps once for match conditions, once for rules, once for messages and once for
audit annotations, of each policy: so one policy holds everything that is asked of an injection, without match
conditions. Messages are constant, since expressions for them are evaluated for requests that pass, too.
"""

from toe.api.crd import schema_of
from toe.api.fence.accounts import BOUND, only_injector
from toe.api.fence.names import ADDED, reserved
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
    named,
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

_VARIABLES = {
    **ADDED,
    "tool": (
        f"variables.mine ? variables.new.map(c, c.name.matches({quoted(TOOL_NAME)}) "
        "? c.name.substring(4, c.name.size() - 11) : '') : []"
    ),
    "place": "params == null || size(variables.tool) != 1 ? -1 : params.spec.?index[?variables.tool[0]].orValue(-1)",
    "entry": (
        "params == null || size(variables.tool) != 1 ? [] "
        ": variables.place >= 0 && variables.place < size(params.spec.?tools.orValue([])) "
        "&& params.spec.tools[variables.place].name == variables.tool[0] ? [params.spec.tools[variables.place]] "
        ": params.spec.?tools.orValue([]).filter(t, t.name == variables.tool[0])"
    ),
    "c": "variables.new[0]",
    "args": "variables.c.?args.orValue([])",
    "fixed": "size(variables.entry[0].?fixedArgs.orValue([]))",
    "own": "variables.fixed == 0 ? variables.args : variables.args.transformList(i, a, i >= variables.fixed, a)",
    "lines": "variables.own.join('\\n').replace('$$', '$')",
    "words": "variables.lines.split('\\n')",
    "env": "variables.c.?env.orValue([])",
    "target": "variables.c.?targetContainerName.orValue('')",
    "joined": (
        "oldObject.spec.containers.filter(i, i.name == variables.target) + oldObject.spec.?initContainers.orValue([])"
        ".filter(i, i.name == variables.target && i.?restartPolicy.orValue('') == 'Always')"
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
        "? [variables.uid.value(), variables.gid.value()] : [])[0]"
    ),
    "unknown": (
        "variables.identity == [] && variables.entry[0].?imageUser.orValue(false) "
        "&& !(variables.uid.hasValue() && variables.gid.hasValue())"
    ),
}
"""Evaluated once where they are used. ``mine`` (is it the controller?) comes before them.

``place`` is where the catalog's index says that the entry is; an index that is not there or wrong costs time only.
``own`` are the user's words as they are sent; ``lines`` has each of them on a line, with its ``$`` undone, and
``words`` are these lines.
"""


def policy(settings: Settings, profile: Profile) -> tuple[Object, Object]:
    """Returns the policy that compares what the controller injects with the catalog, and its binding.

    The parameter is named, never selected, and a missing one refuses. A missing parameter refuses **everybody** who
    adds an ephemeral container, since parameters are collected before rules: the catalog is installed first.
    """
    return validating(
        "catalog",
        [EPHEMERAL],
        [
            only_injector(settings, "variables.mine"),
            reserved("variables.mine"),
            Refusal(f"!variables.mine || {BOUND.unless}", BOUND.message),
            *_which_tool(settings),
            *_where(),
            *_what_runs(),
            *_with_what_security(),
            *_with_what_else(),
        ],
        variables={"mine": is_account(settings, CONTROLLER), **_VARIABLES},
        audit={
            "run": "!variables.mine ? '' : variables.new.map(c, c.?env.orValue([]).filter(e, e.name == 'TOE_RUN')"
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

    :func:`toe.api.fence.accounts.uncovered` takes all others.
    """
    opened = {"matchLabels": {TOOLS_LABEL: "enabled"}} if profile == "hardened" else {}
    return {**opened, "matchExpressions": [named("NotIn", settings)]}


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


def _rule(cel: str, message: str) -> Refusal:
    """Makes a rule about the entry ``t``."""
    return Refusal(f"variables.entry.all(t, {cel})", f"the tool {message}")


def _which_tool(settings: Settings) -> list[Refusal]:
    most = settings.max_containers_per_pod
    return [
        Refusal(
            "variables.tool == [] || size(variables.tool) == 1 && variables.tool[0] != ''",
            "one tool container in a request, not more, and it is named toe-<tool>-<10 hex digits>",
        ),
        Refusal(
            "variables.tool == [] || size(variables.entry) == 1",
            f"there is no such tool in the PowerToolCatalog {settings.system_namespace}/{NAME}",
        ),
        Refusal(
            "variables.tool == [] || "
            f"size(object.spec.ephemeralContainers.filter(c, c.name.startsWith('toe-'))) <= {most}",
            f"a pod gets at most {most} tool containers in its life",
        ),
    ]


def _where() -> list[Refusal]:
    labels = "oldObject.metadata.?labels.orValue({})"
    return [
        _rule(
            "t.?allNamespaces.orValue(false) || request.namespace in t.?namespaces.orValue([])",
            "is not allowed in this namespace",
        ),
        _rule(
            "size(variables.joined) == 1 && (t.?allContainers.orValue(false) "
            "|| variables.target in t.?containers.orValue([])) "
            "&& !(variables.target in t.?exceptContainers.orValue([]))",
            "may not join this container: targetContainerName must be a regular container or sidecar of the pod that "
            "the tool may join",
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
            "&& oldObject.spec.?os.?name.orValue('linux') == 'linux' "
            "&& (t.?allowHostPID.orValue(false) || !oldObject.spec.?hostPID.orValue(false))",
            "may join only a Linux pod that is Running and not being deleted, and one with hostPID only where the "
            "catalog allows it",
        ),
    ]


def _what_runs() -> list[Refusal]:
    fixed = "t.?fixedArgs.orValue([])"
    # Loops of CEL and compiling a pattern cost most: so all words are asked at once, each on a line of its own. Where a
    # pattern eats line ends it does not find exactly these words, and is asked word by word.
    flags = "variables.lines.findAll('(?m)^-.*$')"
    operand = "(?:' + t.args.pattern + ')"
    permitted = (
        "size(variables.words) == size(variables.own) && variables.lines.matches('^[ -~\\n]*$') "
        "&& !('\\n' + variables.lines + '\\n').matches('\\n[@\\n]') "
        f"&& sets.contains(t.args.?flags.orValue([]), {flags}) && (t.args.?pattern.orValue('') == '' "
        f"? size({flags}) == size(variables.words) "
        f": variables.lines.findAll('(?m)^(?:-.*|{operand})$') == variables.words "
        f"|| variables.words.all(w, w.startsWith('-') || w.matches('^{operand}$')))"
    )
    return [
        _rule(
            "variables.c.image == t.image && variables.c.?imagePullPolicy.orValue('') == t.imagePullPolicy "
            "&& variables.c.?command.orValue([]) == t.?command.orValue([])",
            "must keep the image, imagePullPolicy and command of the catalog",
        ),
        _rule(
            f"(variables.fixed == 0 || size(variables.args) >= variables.fixed && {fixed} "
            "== variables.args.transformList(i, a, i < variables.fixed, a)) && (variables.own == [] "
            f"|| has(t.args) && !({quoted(MARKER)} in variables.own) "
            "&& !variables.own.join(' ').replace('$$', '').contains('$') "
            f"&& (t.args.?any.orValue(false) || {permitted}))",
            "accepts only the arguments that its config permits, each $ doubled",
        ),
    ]


def _with_what_security() -> list[Refusal]:
    privileged = "t.?privileged.orValue(false)"
    return [
        _rule(
            f"!{privileged} || namespaceObject.metadata.?labels[?{quoted(PRIVILEGED_LABEL)}].orValue('') == 'true'",
            f"is privileged: the namespace needs the label {PRIVILEGED_LABEL}=true",
        ),
        _rule(
            "(size(variables.identity) == 2 || variables.unknown) "
            f"&& variables.c.?securityContext == optional.of({{'privileged': dyn({privileged}), "
            f"'allowPrivilegeEscalation': {privileged}, 'capabilities': dyn({{?'add': t.?add, ?'drop': t.?drop}}), "
            f"?'seccompProfile': {privileged} ? optional.none() : optional.of(dyn({{'type': t.seccompProfile}})), "
            "?'runAsUser': variables.identity[?0], ?'runAsGroup': variables.identity[?1], "
            "'runAsNonRoot': dyn(variables.unknown ? t.identity == 'NonRoot' : variables.identity[0] != 0)})",
            "must have exactly the securityContext of the catalog: privileged, allowPrivilegeEscalation, capabilities, "
            "seccompProfile, runAsNonRoot, and runAsUser and runAsGroup, the target's where it says so (they must be "
            "known, and not root's where the tool must not be root)",
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
            "variables.env.all(e, e.name in t.?envNames.orValue([]) ? size(e) == (has(e.value) ? 2 : 1) "
            ": e in t.?env.orValue([]) || has(t.collector) && e.name == 'TOE_COLLECTOR' "
            "&& e == {'name': e.name, 'value': t.collector}) "
            "&& sets.contains(variables.env, t.?env.orValue([]))",
            "may set only the variables of the catalog, with plain values, and has its own as the catalog says",
        ),
        _rule(
            f"variables.c.?volumeMounts.orValue([]).all(m, dyn(m).all(k, k in ['name', 'mountPath']) && {mounted})",
            "may mount only the claims of the catalog, at their paths",
        ),
        _rule(
            f"dyn(variables.c).all(k, k in {listed(CONTAINER_FIELDS)}) "
            "&& variables.c.?terminationMessagePath.orValue('') == '/dev/termination-log' "
            "&& variables.c.?terminationMessagePolicy.orValue('') == 'File'",
            f"may set only the fields {', '.join(CONTAINER_FIELDS[:-1])}, and leaves terminationMessagePath and "
            "terminationMessagePolicy as the API server writes them",
        ),
    ]
