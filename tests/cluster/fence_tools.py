"""The tools and pods of the fence's tests, and every way to change one field of what is injected."""

import copy
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from tests.builders import NOW, a_config, a_powertool, judged
from tests.cluster.fenced import (
    APPLY,
    CONTROLLER,
    JSON,
    MERGE,
    PATCH,
    SETTINGS,
    STRATEGIC,
    Answer,
    Caller,
    Fenced,
    Raw,
)
from toe.api.pod import Pod
from toe.api.powertoolcatalog import CatalogClaim, CatalogTool
from toe.api.settings import PROFILES
from toe.plan.catalog import compile_catalog, indexed
from toe.plan.container import render
from toe.policy.capabilities import BY_NAME

Layer = Literal["fence", "api", "dropped", "open"]
"""Who stops a change: the catalog's policy, the API's validation, nobody as the API drops it, nobody at all."""

DIGEST = "registry.example/toe/{}@sha256:" + "0123456789abcdef" * 4

_CONFIGS: dict[str, Raw] = {
    "peek": {"arguments": {"options": [{"flag": "-f"}, {"flag": "-e", "value": {"enum": ["trace", "$all"]}}]}},
    "trace": {"security": {"runAsRoot": True, "capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}}},
    "dump": {
        "security": {"runAsRoot": True, "capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "NET_ADMIN"]}},
        "command": ["tcpdump"],
        "defaultArgs": ["-i", "any", "-w", "{output}/$capture.pcap"],
        "arguments": {
            "options": [
                {"flag": "-c", "value": {"integer": {"min": 1, "max": 100000}}},
                {"flag": "-n"},
                {"flag": "--proto", "value": {"enum": ["tcp", "udp"]}},
            ],
            "operands": {"max": 24, "pattern": "[-A-Za-z0-9.:/$]+"},
        },
        "env": [{"name": "TZ", "value": "UTC"}, {"name": "PRICE", "value": "5$"}],
    },
    "deep": {
        "security": {"allowPrivileged": True, "runAsRoot": True, "allowHostPID": True},
        "allowedNamespaces": ["fence-open", "fence-plain"],
    },
    "fixed": {"security": {"runAsUser": 4000, "runAsGroup": 4001, "seccompProfile": "Unconfined"}},
    "loose": {
        "command": None,
        "image": "registry.example/toe/loose",
        "defaultArgs": ["--once", "--to=$HOME"],
        "arguments": {"any": True},
        "allowedTargets": {"exceptContainers": ["vault"]},
    },
    "careful": {
        "security": {"runAsRoot": False, "capabilities": {"drop": ["ALL"]}},
        "allowedNamespaces": ["fence-open"],
        "imagePullPolicy": "Always",
        "allowedTargets": {
            "containers": ["app", "sidecar"],
            "podSelector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [
                    {"key": "tier", "operator": "NotIn", "values": ["db"]},
                    {"key": "app", "operator": "Exists"},
                    {"key": "secret", "operator": "DoesNotExist"},
                ],
            },
        },
    },
}
_CONFIGS |= {
    "legacy": {"arguments": {"any": True}, "env": [{"name": "DURATION", "value": "9"}]},
    "modest": {"security": {"runAsRoot": False, "capabilities": {"drop": ["ALL"]}}},
}
COMPAT = PROFILES["compat"]
ARGUMENTS: dict[str, list[str]] = {
    "peek": ["-f", "-e", "$all"],
    "dump": ["-c", "100", "-n", "--proto", "tcp", "host", "10.0.0.1", "$x"],
    "loose": ["--any", "thing", "-- $(X) é", ""],
    "legacy": ["$(TOE_RUN)", "two words"],
}

CONFIGS = {
    name: a_config({"name": f"{name}-config"}, None, **({"name": name, "image": DIGEST.format(name)} | spec))
    for name, spec in _CONFIGS.items()
}
_OLD = {tool.name: tool for tool in compile_catalog(judged(*CONFIGS.values()), COMPAT).tools}
_COMPILED = {tool.name: tool for tool in compile_catalog(judged(*CONFIGS.values())).tools}
TOOLS: dict[str, CatalogTool] = _COMPILED | {
    # As the profile compat has them: the Go implementation's variables, and the image's user where nobody knows better.
    **{name: tool for name, tool in _OLD.items() if name in ("legacy", "modest")},
    # What configs cannot say yet: a collector, and a claim that the pod mounts.
    "keep": msgspec.structs.replace(
        _COMPILED["peek"],
        name="keep",
        image=DIGEST.format("keep"),
        collector="https://collector.toe-system:8443",
        claims=(CatalogClaim(claim_name="results", path="/results"),),
    ),
}
CATALOG: Raw = msgspec.to_builtins({"spec": indexed(list(TOOLS.values()))})


def pod(name: str, **spec: Any) -> Raw:
    """Returns a pod on a node that does not exist, with a target, neighbours, and a volume of each kind."""
    container = {"image": "shop:1"}
    volumes = [
        {"name": "claim", "persistentVolumeClaim": {"claimName": "results"}},
        {"name": "other-claim", "persistentVolumeClaim": {"claimName": "payroll"}},
        {"name": "results", "secret": {"secretName": "results"}},
        {"name": "host", "hostPath": {"path": "/"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "facts", "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    whole = {
        "nodeName": "node-none",
        "automountServiceAccountToken": False,
        "containers": [{"name": "app", **container}, {"name": "vault", **container}, {"name": "rooted", **container}],
        "initContainers": [
            {"name": "setup", **container},
            {"name": "sidecar", **container, "restartPolicy": "Always"},
        ],
        "volumes": volumes,
    }
    metadata = {"name": name, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole | spec}


def pod_status(**users: tuple[int, int]) -> Raw:
    """Returns the kubelet's report: who the containers run as."""
    known = {"app": (1000, 1001), "vault": (1000, 1001), "rooted": (0, 0)} | users
    told = [
        {
            "name": name,
            "image": "shop:1",
            "imageID": "x",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": "2026-03-01T11:00:00Z"}},
            "user": {"linux": {"uid": uid, "gid": gid}},
        }
        for name, (uid, gid) in known.items()
    ]
    return {"status": {"phase": "Running", "containerStatuses": told}}


def rendered(tool: str, live: Raw, *, container: str = "app", args: list[str] | None = None) -> Raw:
    """Returns what the controller would inject into ``live``, a pod as the API server has it."""
    spec: Raw = {"name": tool, "duration": "30s", "args": ARGUMENTS.get(tool, []) if args is None else args}
    base = "peek" if tool == "keep" else tool
    a_run = a_powertool(tool=spec)
    settings = COMPAT if tool in ("legacy", "modest") else SETTINGS
    built = render(a_run, CONFIGS[base], msgspec.convert(live, Pod), container, NOW + timedelta(hours=1), settings)
    raw: Raw = msgspec.to_builtins(built)
    raw = msgspec.json.decode(msgspec.json.encode(raw))
    if tool == "keep":
        raw["name"] = raw["name"].replace("toe-peek-", "toe-keep-")
        raw["image"] = TOOLS["keep"].image
        raw["args"] = []
        raw["env"].append({"name": "TOE_COLLECTOR", "value": TOOLS["keep"].collector})
        raw["volumeMounts"] = [{"name": "claim", "mountPath": "/results"}]
    return raw


KINDS = ("strategic", "merge", "json", "apply", "put")
"""The ways to add an ephemeral container."""


def make_pod(fenced: Fenced, place: str, name: str, users: dict[str, Any] | None = None, **spec: Any) -> None:
    """Makes a running pod."""
    live = pod(name, **spec)
    live["metadata"]["namespace"] = place
    fenced.server.make(live)
    path = f"/api/v1/namespaces/{place}/pods/{name}/status"
    answer = fenced.server.send("PATCH", path, pod_status(**(users or {})), STRATEGIC)
    assert answer.is_accepted, answer


def live_pod(fenced: Fenced, place: str = "fence-open", name: str = "web") -> Raw:
    """Returns the pod as it is now."""
    return fenced.server.send("GET", f"/api/v1/namespaces/{place}/pods/{name}").body


def inject(
    fenced: Fenced,
    containers: list[Raw],
    *,
    place: str = "fence-open",
    name: str = "web",
    kind: str = "strategic",
    live: Raw | None = None,
    by: Caller = CONTROLLER,
    dry: bool = True,
    **more: Any,
) -> Answer:
    """Adds containers to a pod, in one of five ways; ``more`` is merged into the request beside them."""
    path = f"/api/v1/namespaces/{place}/pods/{name}/ephemeralcontainers"
    # An applier that no longer sends what it applied before removes it: each container has a manager of its own.
    path += f"?fieldManager={containers[0].get('name', 'toe') if containers else 'toe'}"[:128]
    path += "&dryRun=All" if dry else ""
    live = live or {}
    before = live.get("spec", {}).get("ephemeralContainers") or []
    spec = more.pop("spec", {}) | {"ephemeralContainers": containers}
    match kind:
        case "strategic":
            return fenced.server.send("PATCH", path, {"spec": spec, **more}, STRATEGIC, by=by)
        case "merge":
            whole = spec | {"ephemeralContainers": [*before, *containers]}
            return fenced.server.send("PATCH", path, {"spec": whole, **more}, MERGE, by=by)
        case "json":
            listed = [{"op": "add", "path": "/spec/ephemeralContainers/-", "value": c} for c in containers]
            start = [] if before else [{"op": "add", "path": "/spec/ephemeralContainers", "value": []}]
            return fenced.server.send("PATCH", path, [*start, *listed], PATCH, by=by)
        case "apply":
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec, **more}
            return fenced.server.send("PATCH", path + "&force=true", body, APPLY, by=by)
        case _:
            whole = copy.deepcopy(live)
            whole["spec"]["ephemeralContainers"] = [*before, *containers]
            for key, value in more.items():
                whole[key] = whole.get(key, {}) | value
            return fenced.server.send("PUT", path, whole, JSON, by=by)


class Mutant(NamedTuple):
    """Is one changed container, and who must stop it."""

    label: str
    container: Raw
    layer: Layer


def mutants(base: Raw, tool: CatalogTool) -> Iterator[Mutant]:
    """Yields every change of one field; those that change nothing for this tool are left out."""
    seen = [base]
    for label, container, layer in _all(base, tool):
        if container not in seen:
            seen.append(container)
            yield Mutant(label, container, layer)


def _all(base: Raw, tool: CatalogTool) -> Iterator[Mutant]:
    yield from _names(base)
    yield from _programs(base, tool)
    yield from _variables(base, tool)
    yield from _securities(base, tool)
    yield from _capabilities(base)
    yield from _mounts(base)
    yield from _others(base)


def _with(base: Raw, **fields: Any) -> Raw:
    changed = copy.deepcopy(base)
    for key, value in fields.items():
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
    return changed


def _secured(base: Raw, fields: Mapping[str, Any] | None = None, *, without: str = "") -> Raw:
    changed = copy.deepcopy(base)
    changed["securityContext"] |= fields or {}
    changed["securityContext"].pop(without, None)
    return changed


def _names(base: Raw) -> Iterator[Mutant]:
    name = base["name"]
    stem, digits = name[:-10], name[-10:]
    others = {"peek", "trace", "dump", "deep", "fixed", "loose", "careful", "keep"} - {stem[4:-1]}
    wrong = {
        "unknown tool": f"toe-zzz-{digits}",
        "tool and more": f"{stem}x-{digits}",
        "nine digits": f"{stem}{digits[:9]}",
        "eleven digits": f"{stem}{digits}0",
        "no hexadecimal": f"{stem}{'g' * 10}",
        "no prefix": name[4:],
        "another prefix": f"tow-{name[4:]}",
        "prefix twice": f"toe-{name}",
        "no tool": f"toe-{digits}",
        "empty tool": f"toe--{digits}",
        "a debugger": "debugger-1",
        **{f"tool {other}": f"toe-{other}-{digits}" for other in others},
    }
    for label, value in wrong.items():
        yield Mutant(f"name: {label}", _with(base, name=value), "fence")
    for label, value in {"upper case": name.upper(), "dot": f"{name}.", "long": name + "0" * 64}.items():
        yield Mutant(f"name: {label}", _with(base, name=value), "api")
    yield Mutant("name: absent", _with(base, name=None), "api")


def _programs(base: Raw, tool: CatalogTool) -> Iterator[Mutant]:
    image = base["image"]
    for label, value in {
        "another": "registry.example/evil@sha256:" + "0" * 64,
        "a tag": image.partition("@")[0] + ":latest",
        "digest": image[:-1] + ("0" if image[-1] != "0" else "1"),
        "suffix": image + "x",
        "prefix": "evil.example/" + image,
        "cut": image[:-1],
        "upper case": image.upper(),
    }.items():
        yield Mutant(f"image: {label}", _with(base, image=value), "fence")
    yield Mutant("image: absent", _with(base, image=None), "api")
    yield Mutant("image: blank before", _with(base, image=" " + image), "api")
    for value in ("Always", "IfNotPresent", "Never"):
        layer: Layer = "open" if value == tool.image_pull_policy else "fence"
        yield Mutant(f"imagePullPolicy: {value}", _with(base, imagePullPolicy=value), layer)
    yield Mutant("imagePullPolicy: unknown", _with(base, imagePullPolicy="Sometimes"), "api")
    command = base.get("command") or []
    for label, words in {
        "absent": None,
        "a shell": ["/bin/sh", "-c", "id"],
        "one more": [*command, "more"],
        "one before": ["/bin/sh", *command],
        "reversed": command[::-1],
        "joined": [" ".join(command)],
        "empty word": [*command, ""],
        **{f"without word {i}": [*command[:i], *command[i + 1 :]] for i in range(len(command))},
        **{f"word {i} replaced": [*command[:i], "x", *command[i + 1 :]] for i in range(len(command))},
    }.items():
        if (words or []) != command:
            yield Mutant(f"command: {label}", _with(base, command=words), "fence")
    args, fixed = base.get("args") or [], len(tool.fixed_args)
    for word in ("--user-args--", "$(TOE_RUN)", "a$b", "$$$"):
        yield Mutant(f"args: {word}", _with(base, args=[*args, word]), "fence")
    hostile = [
        "-z",
        "--c=5",
        "-c5",
        "--",
        "@file",
        "",
        "a b",
        "é",
        "a\nb",
        "x\0",
        "-Z",
        "root;id",
        "`id`",
        "-w",
        "..\\",
    ]
    for word in hostile:
        layer = "open" if tool.args and tool.args.any else "fence"
        yield Mutant(f"args: {word!r}", _with(base, args=[*args, word]), layer)
    for i in range(fixed):
        yield Mutant(f"args: without fixed word {i}", _with(base, args=[*args[:i], *args[i + 1 :]]), "fence")
        yield Mutant(f"args: fixed word {i} replaced", _with(base, args=[*args[:i], "x", *args[i + 1 :]]), "fence")
    if fixed:
        yield Mutant("args: absent", _with(base, args=None), "fence")


def _variables(base: Raw, tool: CatalogTool) -> Iterator[Mutant]:
    env = base["env"]
    for name in ("LD_PRELOAD", "PATH", "TOE_TOKEN", "TOE_EVIL", "toe_run", "PROFILER_TOOL", "HOME"):
        layer: Layer = "open" if name in tool.env_names else "fence"
        yield Mutant(f"env: {name}", _with(base, env=[*env, {"name": name, "value": "x"}]), layer)
    collector = [*(e for e in env if e["name"] != "TOE_COLLECTOR"), {"name": "TOE_COLLECTOR", "value": "https://evil"}]
    yield Mutant("env: TOE_COLLECTOR", _with(base, env=collector), "fence")
    yield Mutant("env: given twice", _with(base, env=[*env, {"name": "TOE_RUN", "value": "other"}]), "open")
    for own in tool.env:
        again = [*env, {"name": own.name, "value": "other"}]
        yield Mutant(f"env: {own.name} given twice", _with(base, env=again), "fence")
    sources = {
        "fieldRef": {"fieldPath": "metadata.name"},
        "secretKeyRef": {"name": "s", "key": "k"},
        "configMapKeyRef": {"name": "s", "key": "k"},
        "resourceFieldRef": {"resource": "limits.cpu"},
    }
    for kind, source in sources.items():
        variable = {"name": "TOE_RUN", "valueFrom": {kind: source}}
        yield Mutant(f"env: {kind}", _with(base, env=[variable, *env[1:]]), "fence")
    both = {"name": "TOE_RUN", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    yield Mutant("env: value and valueFrom", _with(base, env=[both, *env[1:]]), "api")
    yield Mutant("env: no name", _with(base, env=[*env, {"value": "x"}]), "api")
    for own in tool.env:
        rest = [e for e in env if e["name"] != own.name]
        yield Mutant(f"env: without {own.name}", _with(base, env=rest), "fence")
        yield Mutant(f"env: other {own.name}", _with(base, env=[*rest, {"name": own.name, "value": "x"}]), "fence")
        yield Mutant(f"env: empty {own.name}", _with(base, env=[*rest, {"name": own.name}]), "fence")
    for kind in ("secretRef", "configMapRef"):
        yield Mutant(f"envFrom: {kind}", _with(base, envFrom=[{kind: {"name": "settings"}}]), "fence")
    yield Mutant("env: another value", _with(base, env=[{"name": "TOE_RUN", "value": "other"}, *env[1:]]), "open")


def _securities(base: Raw, tool: CatalogTool) -> Iterator[Mutant]:
    stated = base["securityContext"]
    yield Mutant("securityContext: absent", _with(base, securityContext=None), "fence")
    yield Mutant("securityContext: empty", _with(base, securityContext={}), "fence")
    for field in ("privileged", "allowPrivilegeEscalation", "runAsUser", "runAsGroup", "runAsNonRoot"):
        absent = _secured(base, without=field)
        yield Mutant(f"{field}: absent", absent, "fence")
    for field in ("privileged", "allowPrivilegeEscalation", "runAsNonRoot"):
        flipped = _secured(base, {field: not stated[field]})
        # The API refuses a privileged container that may not escalate.
        is_contradiction = field == ("allowPrivilegeEscalation" if stated["privileged"] else "privileged")
        yield Mutant(f"{field}: flipped", flipped, "api" if is_contradiction else "fence")
    both = not stated["privileged"]
    changed = {"privileged": both, "allowPrivilegeEscalation": both}
    yield Mutant("privileged: with escalation", _secured(base, changed), "fence")
    for field in ("runAsUser", "runAsGroup"):
        for value in (0, 1, 999, 1000, 1001, 4000, 4001, 65534, 2**31 - 1):
            other = _secured(base, {field: value})
            if stated[field] != value:
                yield Mutant(f"{field}: {value}", other, "fence")
    root = {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
    if stated["runAsUser"] != 0:
        yield Mutant("identity: root", _secured(base, root), "fence")
    yield Mutant("runAsUser: negative", _secured(base, {"runAsUser": -1}), "api")
    for kind in ("RuntimeDefault", "Unconfined"):
        if tool.privileged or kind != tool.seccomp_profile:
            profile = {"type": kind}
            yield Mutant(f"seccomp: {kind}", _secured(base, {"seccompProfile": profile}), "fence")
    local = {"type": "Localhost", "localhostProfile": "x.json"}
    yield Mutant("seccomp: Localhost", _secured(base, {"seccompProfile": local}), "fence")
    if "seccompProfile" in stated:
        yield Mutant("seccomp: absent", _secured(base, without="seccompProfile"), "fence")
    strange: Mapping[str, tuple[Any, Layer]] = {
        "readOnlyRootFilesystem: true": ({"readOnlyRootFilesystem": True}, "fence"),
        "readOnlyRootFilesystem: false": ({"readOnlyRootFilesystem": False}, "fence"),
        "procMount: Default": ({"procMount": "Default"}, "fence"),
        "procMount: Unmasked": ({"procMount": "Unmasked"}, "api"),
        "seLinuxOptions: type": ({"seLinuxOptions": {"type": "spc_t"}}, "fence"),
        "seLinuxOptions: empty": ({"seLinuxOptions": {}}, "fence"),
        "appArmorProfile: Unconfined": ({"appArmorProfile": {"type": "Unconfined"}}, "fence"),
        "appArmorProfile: RuntimeDefault": ({"appArmorProfile": {"type": "RuntimeDefault"}}, "fence"),
        "windowsOptions: user": ({"windowsOptions": {"runAsUserName": "ContainerAdministrator"}}, "fence"),
        "windowsOptions: hostProcess": ({"windowsOptions": {"hostProcess": False}}, "fence"),
        "hostPID: true": ({"hostPID": True}, "dropped"),
    }
    for label, (fields, layer) in strange.items():
        yield Mutant(label, _secured(base, fields), layer)


def _capabilities(base: Raw) -> Iterator[Mutant]:
    stated = base["securityContext"]["capabilities"]
    have, dropped = stated["add"], stated["drop"]
    lists: list[tuple[str, list[str], list[str]]] = [
        *((f"add {name}", [*have, name], dropped) for name in (*BY_NAME, "ALL", "CAP_SYS_TIME", "sys_time", "NOPE")),
        *((f"without {name}", [n for n in have if n != name], dropped) for name in have),
        ("drop nothing", have, []),
        ("drop KILL only", have, ["KILL"]),
        ("drop ALL and more", have, ["ALL", "KILL"]),
        ("drop all", have, ["all"]),
        ("reversed", have[::-1], dropped),
        ("swapped", dropped, have),
    ]
    for label, add, drop in lists:
        if (add, drop) != (have, dropped):
            changed = {"capabilities": {"add": add, "drop": drop}}
            yield Mutant(f"capabilities: {label}", _secured(base, changed), "fence")
    if have or dropped:
        yield Mutant("capabilities: absent", _secured(base, without="capabilities"), "fence")


def _mounts(base: Raw) -> Iterator[Mutant]:
    def mounts(label: str, layer: Layer, *listed: Raw) -> Mutant:
        return Mutant(f"volumeMounts: {label}", _with(base, volumeMounts=list(listed)), layer)

    good = {"name": "claim", "mountPath": "/results"}
    for name in ("other-claim", "results", "host", "scratch", "settings", "token", "facts"):
        yield mounts(name, "fence", {"name": name, "mountPath": "/results"})
    if base.get("volumeMounts") != [good]:
        yield mounts("the claim", "fence", good)
    for path in ("/", "/results/x", "/results/", "/tmp"):
        yield mounts(f"at {path}", "fence", good | {"mountPath": path})
    yield mounts("twice", "fence", good, {"name": "claim", "mountPath": "/again"})
    yield mounts("readOnly", "fence", good | {"readOnly": True})
    yield mounts("propagation", "fence", good | {"mountPropagation": "HostToContainer"})
    yield mounts(
        "both ways",
        "fence" if base["securityContext"]["privileged"] else "api",
        good | {"mountPropagation": "Bidirectional"},
    )
    yield mounts("subPath", "api", good | {"subPath": "x"})
    yield mounts("subPathExpr", "api", good | {"subPathExpr": "$(TOE_RUN)"})
    yield mounts("no such volume", "api", {"name": "nothing", "mountPath": "/results"})
    yield Mutant("volumeDevices", _with(base, volumeDevices=[{"name": "other-claim", "devicePath": "/dev/x"}]), "fence")


def _others(base: Raw) -> Iterator[Mutant]:
    get = {"httpGet": {"port": 80}}
    fields: dict[str, tuple[Any, Layer]] = {
        "stdin": (True, "fence"),
        "stdinOnce": (True, "fence"),
        "tty": (True, "fence"),
        "workingDir": ("/proc/1/root", "fence"),
        "terminationMessagePath": ("/etc/passwd", "fence"),
        "terminationMessagePolicy": ("FallbackToLogsOnError", "fence"),
        "ports": ([{"containerPort": 80}], "api"),
        "livenessProbe": (get, "api"),
        "readinessProbe": (get, "api"),
        "startupProbe": (get, "api"),
        "lifecycle": ({"postStart": {"exec": {"command": ["id"]}}}, "api"),
        "resources": ({"limits": {"cpu": "1"}}, "api"),
        "restartPolicy": ("Always", "api"),
        "resizePolicy": ([{"resourceName": "cpu", "restartPolicy": "NotRequired"}], "api"),
        "targetContainerName": ("nobody", "api"),
        "hostPID": (True, "dropped"),
        "privileged": (True, "dropped"),
        "runAsUser": (0, "dropped"),
        "serviceAccountName": ("root", "dropped"),
    }
    for field, (value, layer) in fields.items():
        yield Mutant(field, _with(base, **{field: value}), layer)
    yield Mutant("targetContainerName: absent", _with(base, targetContainerName=None), "fence")
    yield Mutant("targetContainerName: an init container", _with(base, targetContainerName="setup"), "fence")
