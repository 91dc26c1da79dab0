"""The fence's catalog policy once more, in Python: written from its documentation, not from its CEL.

tests/plan/test_catalog.py asks it about random configs and runs; tests/cluster/test_fence.py asks it and a real API
server about the same containers and compares the answers.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import re2

from toe.api.powertoolcatalog import CatalogArguments, CatalogTool
from toe.plan.catalog import default_pull_policy
from toe.plan.container import ToolContainer

Raw = dict[str, Any]

FORM = re.compile(r"toe-([a-z0-9](?:[-a-z0-9]{0,38}[a-z0-9])?)-[0-9a-f]{10}")
FIELDS = {
    *("name", "image", "imagePullPolicy", "command", "args", "env", "volumeMounts", "securityContext"),
    *("targetContainerName", "terminationMessagePath", "terminationMessagePolicy", "resources"),
}
SECURITY = {
    *("privileged", "allowPrivilegeEscalation", "capabilities", "runAsUser", "runAsGroup", "runAsNonRoot"),
    "seccompProfile",
}


def as_stored(container: ToolContainer) -> Raw:
    """Returns a rendered container as the API server hands it to policies."""
    raw: Raw = msgspec.json.decode(msgspec.json.encode(container))
    return as_sent(raw)


def as_sent(container: Raw) -> Raw:
    """Returns a container as the API server hands it to policies: what is not stated has its default."""
    default = default_pull_policy(container["image"])
    termination = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    return {"imagePullPolicy": default, **termination, "resources": {}} | container


def broken(
    tools: Mapping[str, CatalogTool], new: Raw, pod: Raw, namespace: str, labels: Mapping[str, str]
) -> list[str]:
    """Lists the rules that a new container breaks; ``pod`` is the pod before it, ``labels`` are the namespace's."""
    form = FORM.fullmatch(new["name"])
    tool = tools.get(form[1]) if form else None
    if tool is None:
        return ["tool"]
    security, spec = new.get("securityContext") or {}, pod["spec"]
    target = new.get("targetContainerName", "")
    rules = {
        "room": sum(c["name"].startswith("toe-") for c in spec.get("ephemeralContainers") or ()) < 16,
        "namespace": tool.all_namespaces or namespace in tool.namespaces,
        "target": _joinable(spec, target) is not None
        and (tool.all_containers or target in tool.containers)
        and target not in tool.except_containers,
        "labels": all(_requirement(r, (pod["metadata"].get("labels") or {})) for r in tool.pod_labels),
        "running": (pod.get("status") or {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"],
        "hostPID": tool.allow_host_pid or not spec.get("hostPID"),
        "image": new["image"] == tool.image,
        "imagePullPolicy": new.get("imagePullPolicy") == tool.image_pull_policy,
        "command": tuple(new.get("command") or ()) == tool.command,
        "args": _args(tool, tuple(new.get("args") or ())),
        "security fields": set(security) <= SECURITY and set(security.get("capabilities") or ()) <= {"add", "drop"},
        "privileged": security.get("privileged") is tool.privileged
        and security.get("allowPrivilegeEscalation") is tool.privileged,
        "privileged namespace": not tool.privileged or labels.get("toe.run/allow-privileged-tools") == "true",
        "capabilities": _lists(security.get("capabilities")) == (tool.add, tool.drop),
        "seccomp": security.get("seccompProfile") == (None if tool.privileged else {"type": tool.seccomp_profile}),
        "identity": _identity(tool, security, pod, target),
        "runAsNonRoot": security.get("runAsNonRoot")
        is (
            tool.identity == "NonRoot"
            if _is_image_user(tool, security, pod, target)
            else security.get("runAsUser") != 0
        ),
        "env": _env(tool, new.get("env") or []),
        "mounts": all(_mount(tool, mount, spec) for mount in new.get("volumeMounts") or ()),
        "fields": set(new) <= FIELDS,
        "termination": new.get("terminationMessagePath") == "/dev/termination-log"
        and new.get("terminationMessagePolicy") == "File",
    }
    return [name for name, holds in rules.items() if not holds]


def _joinable(spec: Raw, name: str) -> Raw | None:
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return next((c for c in [*spec["containers"], *sidecars] if c["name"] == name), None)


def _requirement(requirement: Any, labels: Mapping[str, str]) -> bool:
    has = requirement.key in labels
    is_listed = has and labels[requirement.key] in (requirement.values or ())
    return {"In": is_listed, "NotIn": not is_listed, "Exists": has, "DoesNotExist": not has}[requirement.operator]


def _args(tool: CatalogTool, args: tuple[str, ...]) -> bool:
    fixed = len(tool.fixed_args)
    return args[:fixed] == tool.fixed_args and all(_word(tool.args, word) for word in args[fixed:])


def _word(rule: CatalogArguments | None, sent: str) -> bool:
    if rule is None or sent == "--user-args--" or "$" in sent.replace("$$", ""):
        return False
    word = sent.replace("$$", "$")
    if rule.any:
        return True
    if not word or not (word.isascii() and word.isprintable()):
        return False
    if word.startswith("-"):
        return word in rule.flags
    return not word.startswith("@") and rule.pattern != "" and re2.fullmatch(rule.pattern, word) is not None


def _lists(capabilities: Raw | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    stated = capabilities or {}
    return tuple(stated.get("add") or ()), tuple(stated.get("drop") or ())


def _identity(tool: CatalogTool, security: Raw, pod: Raw, target: str) -> bool:
    have = security.get("runAsUser"), security.get("runAsGroup")
    match tool.identity:
        case "Root":
            return have == (0, 0)
        case "Fixed":
            return have == (tool.user, tool.group)
        case _ if _is_image_user(tool, security, pod, target):
            return True
        case _:
            known = _target(pod, target)
            return None not in known and have == known and (tool.identity == "Target" or known[0] != 0)


def _is_image_user(tool: CatalogTool, security: Raw, pod: Raw, target: str) -> bool:
    """Tells whether a container has no ids, and may: nobody knows those of its target."""
    return tool.image_user and None in _target(pod, target) and not {"runAsUser", "runAsGroup"} & set(security)


def _target(pod: Raw, name: str) -> tuple[int | None, int | None]:
    status = pod.get("status") or {}
    for told in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        linux = (told.get("user") or {}).get("linux")
        if told["name"] == name and linux:
            return linux["uid"], linux["gid"]
    own = (_joinable(pod["spec"], name) or {}).get("securityContext") or {}
    whole = pod["spec"].get("securityContext") or {}
    return own.get("runAsUser", whole.get("runAsUser")), own.get("runAsGroup", whole.get("runAsGroup"))


def _env(tool: CatalogTool, env: list[Raw]) -> bool:
    constants = {variable.name: variable.value for variable in tool.env}
    names = [variable["name"] for variable in env]
    return set(constants) <= set(names) and all(
        set(variable) <= {"name", "value"} and _variable(tool, constants, variable) for variable in env
    )


def _variable(tool: CatalogTool, constants: Mapping[str, str], variable: Raw) -> bool:
    name, value = variable["name"], variable.get("value", "")
    if name == "TOE_COLLECTOR":
        return tool.collector is not None and value == tool.collector
    return name in tool.env_names or (name in constants and value == constants[name])


def _mount(tool: CatalogTool, mount: Raw, spec: Raw) -> bool:
    volume: Raw = next((v for v in spec.get("volumes") or () if v["name"] == mount["name"]), {})
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    is_listed = any(c.claim_name == claim and c.path == mount["mountPath"] for c in tool.claims)
    return set(mount) <= {"name", "mountPath"} and is_listed
