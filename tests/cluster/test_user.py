"""Somebody who has the role ``powertool-user`` and nothing else, in front of everything that is installed.

What he tries is the tables of bad input, sent as himself to a real API server with webhook, stamp and fence. Each
verdict is asked for four times: of the API server, of ``kubectl toe lint``, of the webhook without the API server
before it, and of the controller's judgement, as far as an object could be stored at all.
"""

import json
import re
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devcluster import Cluster
from tests.builders import a_pod, judged, merged
from tests.cluster import manifests
from tests.cluster.fenced import JSON, MERGE, SETTINGS, SYSTEM, Answer, Caller, Raw, until
from tests.cluster.manifests import FORBIDDEN, same_fields
from tests.cluster.patient import CONFIGS, Patient, a_config, installed
from tests.webhook.reviews import a_review
from toe.api.codec import decode, problems_of
from toe.api.meta import API_VERSION
from toe.api.powertool import SECURITY_FIELDS, PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.time import format_time
from toe.main import surroundings
from toe.plan.actions import WriteStatus
from toe.plan.planner import plan
from toe.plan.snapshot import Snapshot
from toe.policy.readiness import judge_config
from toe.policy.request import Request

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NOW = datetime.fromtimestamp(time.time(), UTC)
PLACE = "fence-open"
ANN = Caller("ann", ("system:authenticated",))
STAMP = {"username": "ann", "groups": ["system:authenticated"]}
BOB = Caller("bob", ("system:authenticated",))
RUNS = f"/apis/{API_VERSION}/namespaces/{PLACE}/powertools"
TOOLS_PATH = f"/apis/{API_VERSION}/namespaces/{SYSTEM}/powertoolconfigs"

TOOLS = (
    *CONFIGS,
    a_config(
        "aperf",
        arguments={
            "options": [
                {"flag": "-c", "value": {"integer": {"min": 1, "max": 100}}},
                {"flag": "--proto", "value": {"enum": ["tcp", "udp"]}},
                {"flag": "-n"},
            ],
            "operands": {"max": 3, "pattern": "[a-z0-9.]+"},
        },
        defaultArgs=["-w", "{output}/x"],
        limits={"maxDuration": "1m", "cpuPercent": 50},
        allowedTargets={"exceptContainers": ["vault"]},
        output={"modes": ["ephemeral"]},
    ),
    a_config("closed", allowedNamespaces=["fence-plain"]),
    a_config("idle", suspended=True),
)
"""The tools that there are; a run of the tables asks for ``aperf``."""

WORDS: dict[str, list[str]] = {
    "joined": ["-c5"],
    "equals": ["--proto=tcp"],
    "abbreviated": ["--prot", "tcp"],
    "joined-short": ["-nc", "5"],
    "dashes": ["--"],
    "dash": ["-"],
    "unknown": ["-z", "reboot"],
    "above": ["-c", "101"],
    "below": ["-c", "0"],
    "minus": ["-c", "-1"],
    "octal": ["-c", "05"],
    "plus": ["-c", "+5"],
    "exponent": ["-c", "1e1"],
    "huge": ["-c", "9" * 30],
    "no-value": ["-c"],
    "flag-as-value": ["-c", "-n"],
    "upper-value": ["--proto", "TCP"],
    "list-value": ["--proto", "tcp,udp"],
    "file": ["@file"],
    "file-as-value": ["--proto", "@/etc/shadow"],
    "own-flag": ["-w"],
    "own-flag-and-value": ["-w", "x"],
    "too-many": ["a", "b", "c", "d"],
    "blank": ["a b"],
    "newline": ["a\nb"],
    "ansi": ["\x1b[31m"],
    "accent": ["\u00e9"],
    "cyrillic": ["\u0430"],
    "bidi": ["a\u202eb"],
    "empty": [""],
    "variable": ["$(TOE_RUN)"],
    "double-dollar": ["$$(TOE_RUN)"],
    "marker": ["--user-args--"],
    "path": ["/proc/1/root/etc/shadow"],
    "up": ["../../x"],
    "pipe": ["a|b"],
    "backtick": ["`id`"],
    "semicolon": ["a;id"],
    "redirect": [">x"],
    "quote": ["'"],
    "equals-sign": ["a=b"],
    "exec": ["-exec", "sh"],
    "script": ["-ex", "shell"],
    "option-in-operand": ["a", "-o/x"],
    "second-bad": ["-n", "-q"],
}
"""What no word of a user may be, for a tool that accepts three options and three words."""


def _run(**spec: Any) -> Raw:
    manifest = manifests.a_run(**spec)
    manifest["metadata"] = {**manifest["metadata"], "namespace": PLACE}
    return manifest


def _everywhere() -> Iterator[tuple[str, Raw]]:
    """Yields every field that only an administrator may set, at every depth of a run."""
    for field in SECURITY_FIELDS:
        value = FORBIDDEN[field]
        depths: dict[str, Raw] = {
            "spec": {field: value},
            "spec.targets": {"targets": {field: value}},
            "spec.targets.labelSelector": {"targets": {"labelSelector": {field: value}}},
            "spec.tool": {"tool": {field: value}},
            "spec.output": {"output": {"mode": "ephemeral", field: value}},
            "spec.output.pvc": {"output": {"mode": "pvc", "pvc": {"claimName": "data", field: value}}},
            "spec.output.collector": {"output": {"mode": "collector", "collector": {field: value}}},
            "spec.requester": {"requester": {"username": "ann", field: value}},
        }
        for depth, spec in depths.items():
            yield f"{depth}.{field}", _run(**spec)


def _judged() -> Iterator[tuple[str, Raw]]:
    """Yields runs that the schema accepts and a rule refuses."""
    for name, words in WORDS.items():
        yield f"words/{name}", _run(tool={"args": words})
        yield f"words/without-grammar/{name}", _run(tool={"name": "peek", "args": words})
    yield "rule/too-long", _run(tool={"duration": "61s"})
    yield "rule/warmup-too-long", _run(tool={"duration": "50s", "warmup": "20s"})
    yield "rule/cpu", _run(tool={"maxCPUPercent": 51})
    yield "rule/container", _run(targets={"container": "vault"})
    yield "rule/mode-pvc", _run(output={"mode": "pvc", "pvc": {"claimName": "data"}})
    yield "rule/mode-collector", _run(output={"mode": "collector"})
    yield "rule/namespace", _run(tool={"name": "closed"})
    yield "rule/all-at-once", _run(tool={"duration": "9h", "args": ["-q", "-c", "0"]}, targets={"container": "vault"})


def _all() -> dict[str, Raw]:
    """Returns everything that is tried, by name; names are files of lint's."""
    tables = {
        f"table/{name}": merged(raw, {"metadata": {"namespace": PLACE}})
        for name, raw in manifests.manifests()
        if raw["kind"] == "PowerTool"
    }
    return {**tables, **dict(_everywhere()), **dict(_judged())}


REPLACED = "table/forbidden/requester/other"
"""A requester that is none: the stamp replaces it before anybody looks, so it is let in, and lint alone says so."""


class Doors:
    """Is everybody who may be asked about a run."""

    def __init__(self, patient: Patient, directory: Path) -> None:
        self._patient, self._directory = patient, directory
        self._configs = judged(*(c for c in map(decode, TOOLS) if isinstance(c, PowerToolConfig)), settings=SETTINGS)
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def send(self, method: str, path: str, body: Raw, by: Caller = ANN, content: str = JSON) -> Answer:
        """Sends a dry run as somebody."""
        return self._patient.server.send(method, f"{path}{'&' if '?' in path else '?'}dryRun=All", body, content, by=by)

    def server(self, raw: Raw, validation: str = "Strict") -> Answer:
        """Sends a run as the user, a config as the administrator; nothing is stored."""
        named = merged(raw, {"metadata": {"name": "tried"}})
        path, caller = (RUNS, ANN) if raw["kind"] == "PowerTool" else (TOOLS_PATH, BOB)
        return self.send("POST", f"{path}?fieldValidation={validation}", named, caller)

    def webhook(self, raw: Raw) -> tuple[bool, str]:
        """Asks the webhook as the API server would, were there no schema before it."""
        is_run = raw["kind"] == "PowerTool"
        obj, place = (_stamped(raw), PLACE) if is_run else (merged(raw, {"metadata": {"name": "tried"}}), SYSTEM)
        review = a_review(obj, userInfo=STAMP, namespace=place)
        request = urllib.request.Request(
            f"https://127.0.0.1:{self._patient.port}/validate-{raw['kind'].lower()}?timeout=5s",
            json.dumps(review).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self._context) as answer:
            response = json.load(answer)["response"]
        return response["allowed"], (response.get("status") or {}).get("message", "")

    def lint(self, runs: dict[str, Raw]) -> dict[str, list[str]]:
        """Returns the fields that lint complains about, by name of the run: one file each, beside the tools."""
        (self._directory / "tools.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": TOOLS}))
        files = {str(self._directory / f"run-{number}.json"): name for number, name in enumerate(runs)}
        for file, name in files.items():
            Path(file).write_text(json.dumps(runs[name]))
        code = "from toe.main import kubectl_plugin; kubectl_plugin()"
        words = ("lint", str(self._directory), "-o", "json")
        ran = subprocess.run(
            [sys.executable, "-c", code, *words], env=surroundings().environment, capture_output=True, text=True
        )
        found: dict[str, list[str]] = {name: [] for name in runs}
        for remark in json.loads(ran.stdout):
            source = re.sub(r" document \d+.*$", "", remark["source"])
            if remark["kind"] == "problem" and source in files:
                found[files[source]].append(remark["field"])
        return found

    def controller(self, raw: Raw) -> tuple[bool, str]:
        """Returns whether the controller lets a run go on that came past the webhook, and what it says of it."""
        run = decode(_stamped(raw))
        assert isinstance(run, PowerTool)
        holders = tuple(c for c in self._configs if c.config.spec.name == run.spec.tool.name)
        names = tuple(c.config.spec.name for c in self._configs)
        request = Request(run=run, configs=holders, tool_names=names, settings=SETTINGS, namespace_labels={}, now=NOW)
        pods = (a_pod("web", metadata={"namespace": PLACE}),)
        snapshot = Snapshot(now=NOW, request=request, matching=pods, pods={}, rivals=())
        (write, *_) = [action for action in plan(snapshot).actions if isinstance(action, WriteStatus)]
        refusals = [c.message for c in write.status.conditions if (c.type, c.status) == ("Accepted", "False")]
        is_refused = write.status.phase == "Failed" and bool(refusals)
        return not is_refused, "".join(refusals)


def _stamped(raw: Raw) -> Raw:
    """Returns a run as it is after the stamp, where there is a spec to stamp."""
    if not isinstance(raw.get("spec"), dict):
        return raw
    return merged(raw, {"metadata": {"creationTimestamp": format_time(NOW)}, "spec": {"requester": STAMP}})


@pytest.fixture(scope="module")
def doors(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Everything installed, and a user and an administrator of tools, each with one role in one namespace."""
    bindings = (_binding(ANN, "powertool-user", PLACE), _binding(BOB, "powertoolconfig-admin", SYSTEM))
    with installed(control_plane, tmp_path_factory.mktemp("webhook"), TOOLS) as patient:
        for binding in bindings:
            patient.server.make(binding)
        found = Doors(patient, tmp_path_factory.mktemp("lint"))
        try:
            good = _run()
            until(
                lambda: found.server(good).is_accepted and found.webhook(_run(tool={"duration": "61s"}))[0] is False,
                "the webhook knows the tools",
                60,
            )
            yield found
        finally:
            for binding in bindings:
                patient.server.remove(binding)


def _binding(who: Caller, role: str, place: str) -> Raw:
    rbac = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{who.name}-{role}", "namespace": place},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": who.name}],
    }


def test_what_a_user_tries_is_refused_by_field_and_every_door_says_the_same(doors: Doors) -> None:
    """Some 450 runs: the API server's refusal names the field, and lint, webhook and controller agree with it."""
    runs = {name: raw for name, raw in _all().items() if name != REPLACED}
    linted = doors.lint(runs)
    wrong, refused = [], 0
    for name, raw in runs.items():
        answer, (let_in, told) = doors.server(raw), doors.webhook(raw)
        refused += not answer.is_accepted
        verdicts = {"server": answer.is_accepted, "lint": not linted[name], "webhook": let_in}
        if not problems_of(_stamped(raw)):
            verdicts["controller"], said = doors.controller(raw)
            if not let_in and told[:200] != said[:200]:
                wrong.append(f"{name}: the webhook says {told!r}, the controller {said!r}")
        if len(set(verdicts.values())) != 1:
            wrong.append(f"{name}: {verdicts}; {answer}; {told}; {linted[name]}")
        elif not answer.is_accepted and not _names_fields(answer, linted[name], told):
            wrong.append(f"{name}: {answer} does not name {linted[name]}")
    assert not wrong, "\n".join(wrong)
    assert refused > 300, refused


def test_what_an_administrator_writes_wrong_is_refused_by_field_and_every_door_says_the_same(doors: Doors) -> None:
    """Some 340 configs, 200 of them bad; what the controller would use is what was let in."""
    wrong, refused = [], 0
    for name, raw in manifests.manifests():
        if raw["kind"] != "PowerToolConfig":
            continue
        own = {} if name.startswith("tool-name") or not isinstance(raw.get("spec"), dict) else {"spec": {"name": "new"}}
        raw = merged(raw, {"metadata": {"namespace": SYSTEM}, **own})
        answer, (let_in, told) = doors.server(raw), doors.webhook(raw)
        if "is held by the PowerToolConfig" in told:
            assert name == "tool-name/config/plain"
            continue
        problems = [problem.path for problem in problems_of(raw)]
        if not problems:
            config = decode(raw)
            assert isinstance(config, PowerToolConfig)
            problems = [violation.field for violation in judge_config(config, SETTINGS).violations]
        refused += not answer.is_accepted
        if len({answer.is_accepted, let_in, not problems}) != 1:
            wrong.append(f"{name}: {answer}; webhook {let_in} {told}; lint and controller {problems}")
        elif problems and not _names_fields(answer, problems, told):
            wrong.append(f"{name}: {answer} does not name {problems}")
    assert not wrong, "\n".join(wrong)
    assert refused > 200, refused


def _names_fields(answer: Answer, fields: list[str], told: str) -> bool:
    """Tells whether a refusal names the fields: the webhook's all of them, the schema's as far as it came."""
    if "denied the request" in answer.message:
        return told in answer.message and all(field in answer.message for field in fields)
    return same_fields(answer.message, answer.causes, fields)


@pytest.mark.parametrize("validation", ["Ignore", "Warn", "Strict"])
def test_no_forbidden_field_gets_past_any_field_validation(doors: Doors, validation: str) -> None:
    """Declared fields are refused by name; below them a field is pruned, unless the client wants to know."""
    for name, raw in _everywhere():
        answer = doors.server(raw, validation)
        depth = name.rpartition(".")[0]
        if depth == "spec" or validation == "Strict":
            assert name in answer.message, (name, answer)
        elif answer.is_accepted:
            assert not _holds(answer.body["spec"], name.removeprefix("spec.").split(".")), name


def _holds(part: Any, path: list[str]) -> bool:
    return isinstance(part, dict) and path[0] in part and (len(path) == 1 or _holds(part[path[0]], path[1:]))


def test_the_user_is_who_asks_whatever_he_writes(doors: Doors) -> None:
    """A forged requester is replaced, in every field."""
    for forged in (
        {"username": "system:admin"},
        {"username": "ann", "groups": ["system:masters"]},
        {"username": "ann", "uid": "0", "extra": {"scopes": ["all"]}},
        1.5,
    ):
        answer = doors.server(_run(requester=forged))
        assert answer.is_accepted, answer
        assert answer.body["spec"]["requester"] == {**STAMP, "uid": ""}


def test_the_role_reaches_nothing_else(doors: Doors) -> None:
    """Not a config, not a catalog, not a status, not another namespace, not a pod: RBAC says so by the resource."""
    kinds = f"/apis/{API_VERSION}/namespaces"
    config, tool = manifests.a_tool(), f"{kinds}/{PLACE}/powertoolconfigs"
    tried = (
        ("create", "powertoolconfigs", TOOLS_PATH, config),
        ("create", "powertoolconfigs", tool, merged(config, {"metadata": {"namespace": PLACE}})),
        ("patch", "powertoolconfigs", f"{TOOLS_PATH}/aperf", {"spec": {"suspended": False}}),
        ("patch", "powertoolcatalogs", f"{kinds}/{SYSTEM}/powertoolcatalogs/catalog", {"spec": {"tools": []}}),
        ("patch", "powertools/status", f"{RUNS}/x/status", {"status": {"phase": "Completed"}}),
        ("create", "powertools", f"{kinds}/fence-plain/powertools", merged(_run(), {"metadata": {"namespace": None}})),
        ("patch", "pods/ephemeralcontainers", f"/api/v1/namespaces/{PLACE}/pods/web/ephemeralcontainers", {}),
    )
    for verb, resource, path, body in tried:
        method, content = ("POST", JSON) if verb == "create" else ("PATCH", MERGE)
        answer = doors.send(method, path, body, content=content)
        assert answer.status == 403, (resource, answer)
        assert f'User "ann" cannot {verb} resource "{resource}"' in answer.message
