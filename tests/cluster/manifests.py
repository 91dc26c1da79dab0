"""Good and bad manifests, each with a name: what people write, and what they should not.

The API server's verdict on each is asked for by test_schema.py; nothing here says what it is.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tests.builders import Raw, config_manifest, powertool_manifest

_SERVER_FIELDS = {"uid": None, "generation": None, "creationTimestamp": None}


class Null:
    """Stands for a null in a difference, where None takes a field away."""


def _nulls(value: Any) -> Any:
    if value is Null:
        return None
    if isinstance(value, dict):
        return {key: _nulls(item) for key, item in value.items()}
    return [_nulls(item) for item in value] if isinstance(value, list) else value


def a_run(**spec: Any) -> Raw:
    """Returns the manifest of a run as a user writes it."""
    manifest: Raw = _nulls(powertool_manifest(_SERVER_FIELDS, **spec))
    return manifest


def a_tool(**spec: Any) -> Raw:
    """Returns the manifest of a config as an administrator writes it."""
    manifest: Raw = _nulls(config_manifest(_SERVER_FIELDS, **spec))
    return manifest


NAMES = {
    "canonical": ["SYS_PTRACE"],
    "two": ["SYS_PTRACE", "NET_ADMIN"],
    "none": [],
    "null": Null,
    "prefix": ["CAP_SYS_PTRACE"],
    "lower": ["sys_ptrace"],
    "mixed": ["Sys_Ptrace"],
    "blank-before": [" SYS_PTRACE"],
    "tab-after": ["SYS_PTRACE\t"],
    "newline-after": ["SYS_PTRACE\n"],
    "empty": [""],
    "all": ["ALL"],
    "all-lower": ["all"],
    "star": ["*"],
    "unknown": ["SYS_ADMN"],
    "number": [21],
    "null-inside": [Null],
    "nested": [["SYS_PTRACE"]],
    "mapping": [{"name": "SYS_PTRACE"}],
    "thousand": [f"CAP{i}" for i in range(1000)],
    "twice": ["SYS_PTRACE", "SYS_PTRACE"],
    "cyrillic": ["SYS_PTRАCE"],
    "zero-width": ["SYS_PTRACE\u200b"],
    "joined": ["SYS_ADMIN,NET_ADMIN"],
    "long": ["S" * 33],
    "text": "SYS_PTRACE",
    "boolean": [True],
}

FLAGS: dict[str, Any] = {"true": True, "false": False, "text": "true", "yes": "yes", "one": 1, "null": Null, "list": []}

IMAGES = {
    "digest": "registry.example/toe/aperf@sha256:" + "0" * 64,
    "tag": "registry.example/toe/aperf:v1.0.5",
    "port": "localhost:32000/toe/aperf:v1.0.5",
    "latest": "registry/aperf:latest",
    "bare": "aperf",
    "empty": "",
    "blank": " ",
    "blank-before": " aperf",
    "blank-inside": "ape rf",
    "newline": "aperf\n",
    "four-kib": "a" * 4096,
    "longest": "a" * 512,
    "too-long": "a" * 513,
    "unicode": "aperf\u00e9",
    "number": 7,
    "null": Null,
    "variable": "$(X)",
    "tag-and-digest": "registry.example/aperf:v1@sha256:" + "0" * 64,
    "sha512": "registry.example/aperf@sha512:" + "0" * 128,
    "digest-short": "registry.example/aperf@sha256:" + "0" * 63,
    "digest-long": "registry.example/aperf@sha256:" + "0" * 65,
    "digest-upper": "registry.example/aperf@sha256:" + "A" * 64,
    "digest-md5": "registry.example/aperf@md5:" + "0" * 32,
    "digest-empty": "registry.example/aperf@sha256:",
    "digest-first": "sha256:" + "0" * 64 + "/aperf",
    "digest-twice": "a@sha256:" + "0" * 64 + "@sha256:" + "0" * 64,
    "tag-empty": "registry.example/aperf:",
    "tag-long": "registry.example/aperf:" + "a" * 129,
    "tag-longest": "registry.example/aperf:" + "a" * 128,
    "tag-dash": "registry.example/aperf:-v1",
    "tag-twice": "registry.example/aperf:a:b",
    "upper-repository": "registry.example/Aperf",
    "upper-registry": "Registry.Example/aperf",
    "port-only": "registry.example:5000",
    "port-empty": "registry.example:/aperf",
    "port-letters": "registry.example:port/aperf",
    "port-in-path": "registry.example/a:5000/b",
    "ipv6": "[2001:db8::1]:5000/aperf",
    "http": "http://registry.example/aperf",
    "https": "https://registry.example/aperf",
    "user": "user:secret@registry.example/aperf",
    "traversal": "registry.example/../aperf",
    "dots": "..",
    "slash-first": "/aperf",
    "slash-last": "aperf/",
    "slashes": "registry.example//aperf",
    "query": "registry.example/aperf?x=1",
    "semicolon": "aperf;reboot",
    "blank-after": "aperf ",
    "tab": "aperf\t",
    "nul": "aperf\0",
    "separators": "a._-b/c",
    "dashes": "a---b/c__d.e",
    "cyrillic": "ареrf",
    "boolean": True,
    "list": ["aperf"],
    "mapping": {"repository": "aperf"},
}

NAMESPACES = {
    "two": ["production", "staging"],
    "one-letter": ["a"],
    "empty": [],
    "null": Null,
    "star": ["*"],
    "regex": ["prod.*"],
    "empty-name": [""],
    "upper": ["Production"],
    "long": ["a" * 64],
    "longest": ["a" * 63],
    "twice": ["a", "a"],
    "dash-first": ["-a"],
    "dash-last": ["a-"],
    "newline": ["a\n"],
    "underscore": ["a_b"],
    "protected": ["kube-system"],
    "many": [f"n{i}" for i in range(257)],
    "most": [f"n{i}" for i in range(256)],
    "number": [1],
    "text": "production",
    "ten-thousand": [f"n{i}" for i in range(10_000)],
    "blank": ["production "],
    "tab-first": ["\tproduction"],
    "unicode": ["prodυction"],
    "dotted": ["a.b"],
    "slash": ["a/b"],
    "null-inside": [Null],
    "nested": [["a"]],
}

TOOL_NAMES = {
    "plain": "aperf",
    "longest": "a" * 40,
    "long": "a" * 41,
    "empty": "",
    "path": "../aperf",
    "slash": "toe-system/aperf",
    "upper": "Aperf",
    "blank": "aperf ",
    "newline": "aperf\n",
    "escape": "\x1b[2Japerf",
    "unicode": "аperf",
    "number": 1,
    "null": Null,
    "dash-first": "-aperf",
    "dash-last": "aperf-",
    "dotted": "aperf.config",
    "percent": "%2e%2e",
    "list": ["aperf"],
    "sixty-four": "a" * 64,
}

SELECTORS: dict[str, Any] = {
    "empty": {"matchLabels": None},
    "null": Null,
    "text": "app=web",
    "no-labels": {"matchLabels": {}, "matchExpressions": []},
    "null-labels": {"matchLabels": Null},
    "null-value": {"matchLabels": {"app": Null}},
    "number-value": {"matchLabels": {"app": 1}},
    "long-value": {"matchLabels": {"app": "a" * 64}},
    "many-labels": {"matchLabels": {f"l{i}": "x" for i in range(65)}},
    "in": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
    "only-in": {"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
    "only-exists": {"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "Exists"}]},
    "only-not-in": {"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]},
    "only-absent": {"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
    "unknown-operator": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]},
    "lower-operator": {"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]},
    "no-operator": {"matchExpressions": [{"key": "a"}]},
    "no-key": {"matchExpressions": [{"operator": "Exists"}]},
    "empty-key": {"matchExpressions": [{"key": "", "operator": "Exists"}]},
    "in-without-values": {"matchExpressions": [{"key": "a", "operator": "In"}]},
    "in-empty-values": {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]},
    "in-null-values": {"matchExpressions": [{"key": "a", "operator": "In", "values": Null}]},
    "exists-with-values": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
    "exists-empty-values": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]},
    "thousand": {"matchExpressions": [{"key": f"k{i}", "operator": "Exists"} for i in range(1000)]},
    "expression-text": {"matchExpressions": ["a"]},
    "expressions-mapping": {"matchExpressions": {"a": "b"}},
    "list": [{"app": "web"}],
    "value-list": {"matchLabels": {"app": ["web"]}},
    "unknown-field": {"matchLabel": {"app": "web"}},
}

CONTAINERS = {
    "plain": "app",
    "empty": "",
    "null": Null,
    "long": "a" * 64,
    "number": 1,
    "list": ["app"],
    "mapping": {"name": "app"},
    "boolean": True,
}

DURATIONS = {
    "seconds": "30s",
    "minutes": "1m",
    "mixed": "1h30m5s",
    "decimal": "1.5s",
    "millis": "1500ms",
    "one": "1s",
    "less": "999ms",
    "almost": "0.9999999999s",
    "zero": "0s",
    "empty": "",
    "bare": "30",
    "bare-zero": "0",
    "trailing": "1h30",
    "minus": "-5s",
    "plus": "+5s",
    "exponent": "1e9s",
    "nan": "NaN",
    "infinity": "\u221e",
    "years": "10y",
    "days": "1d",
    "nanos": "5000000000ns",
    "blank-before": " 30s",
    "newline": "30s\n",
    "upper": "30S",
    "iso": "PT30S",
    "year": "8784h",
    "above-a-year": "8785h",
    "century": "876000h",
    "overflow": "9999999999h",
    "long": "1" * 40 + "s",
    "integer": 30,
    "float": 30.5,
    "null": Null,
    "arabic": "\u0663\u0660s",
    "dot": "1.s",
}

ARGS: dict[str, Any] = {
    "words": ["-c", "5"],
    "none": [],
    "null": Null,
    "empty-word": [""],
    "text": "-c 5",
    "mapping": {"-c": "5"},
    "number": [5],
    "boolean": [True],
    "null-word": [Null],
    "newline": ["a\nb"],
    "nul": ["a\0b"],
    "variable": ["$(TOE_RUN)", "$$("],
    "dashes": ["--"],
    "file": ["@file"],
    "ansi": ["\x1b[31m"],
    "longest-word": ["a" * 1024],
    "long-word": ["a" * 1025],
    "wide-word": ["\U0001f600" * 1024],
    "most": ["a"] * 64,
    "many": ["a"] * 65,
    "ten-thousand": ["a"] * 10_000,
    "128-kib": ["a" * 131_073],
    "nested": [["-c"]],
    "float": 1.5,
    "twice": ["-c", "-c"],
}

OUTPUTS: dict[str, Any] = {
    "ephemeral": {"mode": "ephemeral"},
    "empty": {},
    "null": Null,
    "null-mode": {"mode": Null},
    "pvc": {"mode": "pvc"},
    "pvc-claim": {"mode": "pvc", "pvc": {"claimName": "data", "path": "x"}},
    "collector": {"mode": "collector"},
    "endpoint": {"mode": "collector", "collector": {"endpoint": "https://user:pass@169.254.169.254/"}},
    "claim-only": {"pvc": {"claimName": "data"}},
    "claim-text": {"pvc": "data"},
    "claim-null": {"pvc": Null},
    "s3": {"mode": "s3"},
    "upper": {"mode": "Ephemeral"},
    "empty-mode": {"mode": ""},
    "list": {"mode": ["ephemeral", "pvc"]},
    "text": "ephemeral",
    "compress": {"compress": "gzip"},
    "compress-boolean": {"compress": True},
    "retention": {"retentionDays": -1},
    "retention-text": {"retentionDays": "7"},
    "rolling": {"rollingInterval": "1m"},
    "unknown": {"endpoint": "file:///etc"},
    **{
        f"endpoint-{name}": {"mode": "collector", "collector": {"endpoint": url}}
        for name, url in {
            "number": 1,
            "long": "https://" + "a" * 512,
            "list": ["https://a"],
            "null": Null,
        }.items()
    },
    "endpoint-unknown-field": {"mode": "collector", "collector": {"url": "https://a"}},
    "endpoint-without-mode": {"collector": {"endpoint": "https://a"}},
    "two-modes": {"mode": "collector", "pvc": {"claimName": "data"}},
    **{
        f"path-{name}": {"mode": "pvc", "pvc": {"claimName": "data", "path": path}}
        for name, path in {
            "up": "../x",
            "up-inside": "a/../b",
            "dot": ".",
            "hidden": ".ssh",
            "absolute": "/etc",
            "blank": "a b",
            "newline": "a\n",
            "nul": "a\0",
            "percent": "%2e%2e/x",
            "backslash": "..\\x",
            "slashes": "a//b",
            "variable": "$(TOE_RUN)",
            "number": 7,
            "long": "a" * 513,
        }.items()
    },
    "claim-empty": {"mode": "pvc", "pvc": {"claimName": ""}},
    "claim-missing": {"mode": "pvc", "pvc": {"path": "x"}},
    "claim-of-another-kind": {"mode": "pvc", "pvc": {"secretName": "data"}},
    **{
        f"retention-{name}": {"mode": "collector", "retentionDays": days}
        for name, days in {"zero": 0, "huge": 2**63, "float": 0.5, "most": 3650, "above": 3651}.items()
    },
}

NUMBERS: dict[str, Any] = {
    "one": 1,
    "most": 500,
    "above": 501,
    "zero": 0,
    "minus": -1,
    "minus-int64": -(2**63),
    "exponent": 1e18,
    "int32": 2**31,
    "int64": 2**63 - 1,
    "beyond-int64": 2**63,
    "text": "5",
    "float": 1.5,
    "whole-float": 5.0,
    "null": Null,
    "boolean": True,
}

FORBIDDEN: dict[str, Any] = {
    "security": {"allowPrivileged": True},
    "securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}},
    "image": "evil:latest",
    "command": ["sh", "-c", "id"],
    "env": [{"name": "LD_PRELOAD", "value": "/x.so"}],
    "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
    "privileged": True,
    "hostPID": True,
    "serviceAccountName": "admin",
    "podSpecPatch": '{"hostPID":true}',
    "resources": {"limits": {"cpu": "8"}},
    "requester": {"username": "system:admin"},
    "budgets": {"maxConcurrentPods": 3},
    "failurePolicy": {"onError": "continue"},
    "ttlSecondsAfterFinished": 60,
    "schedule": "* * * * *",
}

CONFIGS: dict[str, Raw] = {
    "both-securities": {"securityContext": {"allowPrivileged": True}},
    "no-security": {"security": None},
    "null-security": {"security": Null},
    "go-security": {"security": None, "securityContext": {"runAsRoot": True, "capabilities": {"add": ["SYS_ADMIN"]}}},
    "null-capabilities": {"security": {"capabilities": Null}},
    "root-and-user": {"security": {"runAsRoot": True, "runAsUser": 0, "runAsGroup": 0}},
    "not-root-but-root": {"security": {"runAsRoot": False, "runAsUser": 0, "runAsGroup": 0}},
    "not-root-user": {"security": {"runAsRoot": False, "runAsUser": 7, "runAsGroup": 0}},
    "user-alone": {"security": {"runAsUser": 7}},
    "group-alone": {"security": {"runAsGroup": 7}},
    "null-user": {"security": {"runAsUser": Null, "runAsGroup": Null}},
    "minus-user": {"security": {"runAsUser": -1, "runAsGroup": 0}},
    "seccomp-localhost": {"security": {"seccompProfile": "Localhost"}},
    "seccomp-mapping": {"security": {"seccompProfile": {"type": "RuntimeDefault"}}},
    "host-network": {"security": {"hostNetwork": True}},
    "kubernetes-privileged": {"security": {"privileged": True}},
    "supervised-without-command": {"command": None, "supervised": True},
    "unsupervised": {"command": None, "supervised": False},
    "unsupervised-command": {"supervised": False},
    "empty-command": {"command": []},
    "operator-env": {"env": [{"name": "TOE_RUN", "value": "x"}]},
    "good-env": {"env": [{"name": "JAVA_HOME", "value": "/opt"}, {"name": "EMPTY"}]},
    "env-twice": {"env": [{"name": "A"}, {"name": "A"}]},
    "env-name": {"env": [{"name": "1A"}]},
    "env-name-newline": {"env": [{"name": "A\n"}]},
    "env-from": {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
    "env-without-name": {"env": [{"value": "x"}]},
    "option": {"arguments": {"options": [{"flag": "-c", "value": {"integer": {"min": 1, "max": 9}}}, {"flag": "-n"}]}},
    "option-twice": {"arguments": {"options": [{"flag": "-c"}, {"flag": "-c"}]}},
    "option-no-dash": {"arguments": {"options": [{"flag": "c"}]}},
    "option-dash": {"arguments": {"options": [{"flag": "-"}]}},
    "option-blank": {"arguments": {"options": [{"flag": "-c x"}]}},
    "option-two-values": {"arguments": {"options": [{"flag": "-c", "value": {"enum": ["a"], "pattern": "a"}}]}},
    "option-no-value": {"arguments": {"options": [{"flag": "-c", "value": {}}]}},
    "option-null-value": {"arguments": {"options": [{"flag": "-c", "value": Null}]}},
    "option-null-rules": {"arguments": {"options": [{"flag": "-c", "value": {"enum": Null, "pattern": "a"}}]}},
    "option-empty-enum": {"arguments": {"options": [{"flag": "-c", "value": {"enum": []}}]}},
    "option-range": {"arguments": {"options": [{"flag": "-c", "value": {"integer": {"min": 2, "max": 1}}}]}},
    "option-half-range": {"arguments": {"options": [{"flag": "-c", "value": {"integer": {"min": 2}}}]}},
    "operands": {"arguments": {"operands": {"max": 24, "pattern": "[a-z]+"}}},
    "operands-zero": {"arguments": {"operands": {"max": 0, "pattern": "[a-z]+"}}},
    "operands-no-pattern": {"arguments": {"operands": {"max": 1}}},
    "any": {"arguments": {"any": True}},
    "any-and-options": {"arguments": {"any": True, "options": [{"flag": "-c"}]}},
    "any-and-no-options": {"arguments": {"any": True, "options": []}},
    "any-and-operands": {"arguments": {"any": True, "operands": {"max": 1, "pattern": "a"}}},
    "targets": {"allowedTargets": {"podSelector": {"matchLabels": {"a": "b"}}, "exceptContainers": ["vault"]}},
    "targets-nobody": {"allowedTargets": {"containers": []}},
    "max-duration": {"limits": {"maxDuration": "0s"}},
    "max-duration-overflow": {"limits": {"maxDuration": "9999999999h"}},
    "memory": {"limits": {"memory": "256Mi", "cpuPercent": 50}},
    "memory-word": {"limits": {"memory": "lots"}},
    "memory-decimal": {"limits": {"memory": "1.5Gi"}},
    "go-resources": {"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "512Mi"}}},
    "go-resources-number": {"resources": {"limits": {"cpu": 1}}},
    "modes": {"output": {"modes": ["ephemeral"]}},
    "modes-later": {"output": {"modes": ["ephemeral", "pvc"]}},
    "modes-empty": {"output": {"modes": []}},
    "modes-twice": {"output": {"modes": ["ephemeral", "ephemeral"]}},
    "volumes": {"output": {"volumes": [{"claimName": "a", "path": "/a"}]}},
    "volumes-empty": {"output": {"volumes": []}},
    "stop-signal": {"stopSignal": "SIGKILL"},
    "stop-term": {"stopSignal": "SIGTERM"},
    "pull-policy": {"imagePullPolicy": "Sometimes"},
    "pull-always": {"imagePullPolicy": "Always"},
    "unknown-field": {"allowedNamespace": ["a"]},
    "many-default-args": {"defaultArgs": ["a"] * 65},
    "description": {"description": "d" * 1025},
    "version-number": {"version": 1},
    "suspended-text": {"suspended": "yes"},
}


def manifests() -> Iterator[tuple[str, Raw]]:
    """Yields every manifest with its name."""
    for name, value in NAMES.items():
        yield f"capabilities/add/{name}", a_tool(security={"capabilities": {"add": value}})
        yield f"capabilities/drop/{name}", a_tool(security={"capabilities": {"drop": value}})
    for flag in ("allowPrivileged", "allowHostPID", "runAsRoot"):
        for name, value in FLAGS.items():
            yield f"flags/{flag}/{name}", a_tool(security={flag: value})
    for area, field, table in (("image", "image", IMAGES), ("namespaces", "allowedNamespaces", NAMESPACES)):
        for name, value in table.items():
            yield f"{area}/{name}", a_tool(**{field: value})
    for name, value in TOOL_NAMES.items():
        yield f"tool-name/config/{name}", a_tool(name=value)
        yield f"tool-name/run/{name}", a_run(tool={"name": value})
    for name, value in SELECTORS.items():
        yield f"selector/{name}", a_run(targets={"labelSelector": value})
    for name, value in CONTAINERS.items():
        yield f"container/{name}", a_run(targets={"container": value})
    for name, value in DURATIONS.items():
        yield f"duration/{name}", a_run(tool={"duration": value})
        yield f"warmup/{name}", a_run(tool={"warmup": value})
        yield f"max-duration/{name}", a_tool(limits={"maxDuration": value})
    for name, value in ARGS.items():
        yield f"args/{name}", a_run(tool={"args": value})
    for name, value in OUTPUTS.items():
        yield f"output/{name}", a_run(output=value)
    for name, value in NUMBERS.items():
        yield f"max-targets/{name}", a_tool(limits={"maxTargets": value})
        yield f"max-cpu/{name}", a_run(tool={"maxCPUPercent": value})
    for field, value in FORBIDDEN.items():
        for name, other in {"tried": value, "null": Null, "empty": type(value)(), "other": 1.5}.items():
            yield f"forbidden/{field}/{name}", a_run(**{field: other})
    for name, spec in CONFIGS.items():
        yield f"config/{name}", a_tool(**spec)
    yield "forbidden/namespaceSelector", a_run(targets={"namespaceSelector": {"matchNames": ["other"]}})
    yield "forbidden/resolutionPreset", a_run(tool={"resolutionPreset": "high"})
    yield "forbidden/unknown", a_run(hostNetwork=True)
    yield "forbidden/unknown-inside", a_run(tool={"image": "evil"})
    yield "shape/no-targets", a_run(targets=None)
    yield "shape/no-tool", a_run(tool=None)
    yield "shape/null-tool", a_run(tool=Null)
    yield "shape/cancel", a_run(cancel=True)
    yield "shape/cancel-text", a_run(cancel="true")
    yield "shape/empty-spec", {**a_run(), "spec": {}}
    yield "shape/text-spec", {**a_run(), "spec": "run"}
    yield "shape/null-spec", {**a_run(), "spec": None}
    yield "shape/list-spec", {**a_tool(), "spec": []}
    yield "shape/no-spec", {key: value for key, value in a_tool().items() if key != "spec"}


def same_fields(message: str, causes: Sequence[tuple[str, str]], paths: Sequence[str]) -> bool:
    """Tells whether a refusal of the API server's and the offline verdict speak of the same fields.

    The server stops early: it tells unknown fields before anything else, and asks no rule while a schema is broken.
    A mapping where a word belongs is an unknown field below that word to it, and a rule that cannot be computed (a
    duration beyond what CEL can hold) speaks of the struct, not of the field.
    """
    unknown = re.findall(r'unknown field "([^"]+)"', message)
    fields = [field for field, _ in causes if field != "<nil>"]
    if unknown:
        return all(any(f == path or f.startswith((path + ".", path + "[")) for path in paths) for f in unknown)
    if any(field == "<nil>" for field, _ in causes):
        return set(fields) <= set(paths)
    if "evaluating rule" in message:
        return all(any(path.startswith(field + ".") for path in paths) for field in fields)
    return set(fields) == set(paths)
