"""``kubectl toe doctor`` on a real API server with everything installed, and with each of its findings planted."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import Cluster
from tests.cluster.fenced import MERGE, SYSTEM, Caller, Raw, grant, path_of
from tests.cluster.patient import CATALOG, CONFIGS, Patient, a_node, a_pod, installed
from toe.api.fence.deletion import NAMESPACE_CONTROLLER

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEVEL = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="module")
def patient(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    """The session's API server with everything installed."""
    with installed(control_plane, tmp_path_factory.mktemp("webhook")) as found:
        found.recover(60)
        yield found


def test_a_healthy_cluster_passes_every_line_in_time(patient: Patient) -> None:
    """All pass, none is left untried, in less than 20 seconds."""
    began = time.monotonic()
    status, outcomes, answers = patient.examined()
    assert {name: answers[name] for name, outcome in outcomes.items() if outcome != "PASS"} == {}
    assert status == 0
    assert time.monotonic() - began < 20


def _without(*fragments: str) -> Callable[[Raw], None]:
    """Returns what makes every rule of a policy pass whose message has one of these words; without words, all."""

    def weaken(policy: Raw) -> None:
        found = [
            rule
            for rule in policy["spec"]["validations"]
            if not fragments or any(fragment in rule["message"] for fragment in fragments)
        ]
        assert found
        for rule in found:
            rule["expression"] = "true"

    return weaken


def _altered(*changes: tuple[str, str]) -> Callable[[Raw], None]:
    """Returns what puts one piece of CEL in the place of another, in the one rule that has it."""

    def weaken(policy: Raw) -> None:
        for old, new in changes:
            (rule,) = (rule for rule in policy["spec"]["validations"] if old in rule["expression"])
            rule["expression"] = rule["expression"].replace(old, new)

    return weaken


OWN = "variables.c.securityContext."
PRIVILEGED = "t.?privileged.orValue(false)"
FOUND = "size(variables.entry) == 1"
WEAKENED: dict[str, tuple[str, Callable[[Raw], None]]] = {
    "foreign image": ("catalog", _altered(("variables.c.image == t.image", "true"))),
    "foreign command": (
        "catalog",
        _altered(("variables.c.?command.orValue([]) == t.?command.orValue([])", "true")),
    ),
    "foreign argument": ("catalog", _without("accepts only the arguments")),
    "extra capability": ("catalog", _altered(("t.?add", f"{OWN}?capabilities.?add"))),
    "privileged": (
        "catalog",
        _altered(
            (f"'privileged': dyn({PRIVILEGED})", f"'privileged': dyn({OWN}privileged)"),
            (f"'allowPrivilegeEscalation': {PRIVILEGED}", f"'allowPrivilegeEscalation': {OWN}allowPrivilegeEscalation"),
        ),
    ),
    "host PID": ("catalog", _altered(("!oldObject.spec.?hostPID.orValue(false)", "true"))),
    "envFrom a Secret": ("catalog", _without("only the fields")),
    "mounts": ("catalog", _without("only the claims")),
    "two containers": (
        "catalog",
        _altered(("size(variables.tool) == 1 && ", ""), (FOUND, f"{FOUND} || size(variables.tool) == 2")),
    ),
    "too many containers": ("catalog", _without("in its life")),
    "foreign name": (
        "catalog",
        _altered((" && variables.tool[0] != ''", ""), (FOUND, f"{FOUND} || variables.tool[0] == ''")),
    ),
    "foreign namespace": ("catalog", _without("not allowed in this namespace")),
    "a tool's name": ("catalog", _without("names of the form")),
    "uncovered namespace": ("uncovered", _without()),
    "webhook injects": ("catalog", _without("of the accounts of")),
    "unbound token": ("catalog", _without("bound to one of")),
    "unbound status": ("token", _without()),
    "minted token": ("mint", _without()),
    "forged status": ("writers", _without("status is written")),
    "forged catalog": ("writers", _without("writes the catalog")),
    "exec into a tool": ("exec", _without()),
    "relabelled namespace": ("labels", _without()),
    "deleted catalog": ("deletion", _without()),
}
"""What is taken out of which policy so that one line fails."""


@pytest.mark.parametrize("line", WEAKENED)
def test_what_a_policy_no_longer_refuses_fails_its_own_line(patient: Patient, line: str) -> None:
    """And no other line."""
    name, weaken = WEAKENED[line]
    policy = next(o for o in patient.fenced.objects if path_of(o).endswith(f"policies/toe-fence-{name}"))
    weak = json.loads(json.dumps(policy))
    weaken(weak)
    patient.planted([line], lambda: patient.server.make(weak), lambda: patient.server.make(policy))


def _gone(patient: Patient, *names: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Returns what takes objects of the fence away, and what brings them back in their order."""
    objects = [obj for obj in patient.fenced.objects if path_of(obj).rpartition("/")[0].rpartition("/")[2] in names[1:]]
    objects = [obj for obj in objects if obj["metadata"]["name"] == f"toe-fence-{names[0]}"]
    assert len(objects) == len(names) - 1
    server = patient.server
    return (lambda: [server.remove(obj) for obj in reversed(objects)], lambda: [server.make(obj) for obj in objects])


def test_a_missing_policy_and_a_binding_without_policy_are_one_line_each(patient: Patient) -> None:
    """What they would have refused is not tried, and not failed a second time."""
    policies, bindings = "validatingadmissionpolicies", "validatingadmissionpolicybindings"
    told = patient.planted(["missing policy"], *_gone(patient, "exec", policies, bindings))
    assert told["exec into a tool"] == "exec is not in force: see below"
    assert "ValidatingAdmissionPolicyBinding toe-fence-exec" in told["missing policy"]
    told = patient.planted(["missing policy"], *_gone(patient, "mint", bindings))
    assert told["missing policy"] == "ValidatingAdmissionPolicyBinding toe-fence-mint"
    told = patient.planted(["binding without policy"], *_gone(patient, "catalog", policies))
    assert told["binding without policy"] == "ValidatingAdmissionPolicyBinding toe-fence-catalog"
    assert told["foreign image"] == "catalog is not in force: see below"


def test_a_stray_binding_and_a_changed_policy_are_found(patient: Patient) -> None:
    """Neither lets an attack through; both are no longer what was generated."""
    stray = json.loads(json.dumps(patient.fenced.binding("exec")))
    stray["metadata"]["name"], stray["spec"]["policyName"] = "toe-fence-old", "toe-fence-gone"
    patient.planted(
        ["binding without policy"], lambda: patient.server.make(stray), lambda: patient.server.remove(stray)
    )
    policy = next(o for o in patient.fenced.objects if path_of(o).endswith("policies/toe-fence-exec"))
    changed = json.loads(json.dumps(policy))
    changed["spec"]["validations"][0]["message"] = "toe fence: another sentence"
    told = patient.planted(
        ["missing policy"], lambda: patient.server.make(changed), lambda: patient.server.make(policy)
    )
    assert told["missing policy"] == "ValidatingAdmissionPolicy toe-fence-exec (not as generated)"


def test_a_lost_and_a_changed_catalog_are_found(patient: Patient) -> None:
    """While it is lost nothing can be tried on pods, and that is said once."""
    kept = {key: patient.server.send("GET", CATALOG).body[key] for key in ("apiVersion", "kind", "spec")}
    kept["metadata"] = {"name": "catalog", "namespace": SYSTEM}
    cleaner = Caller(NAMESPACE_CONTROLLER, ("fence-testers",))
    told = patient.planted(
        ["lost catalog"],
        lambda: patient.server.send("DELETE", CATALOG, by=cleaner),
        lambda: patient.server.make(kept),
    )
    assert told["foreign image"] == "the catalog is not in force: see below"
    evil = json.loads(json.dumps(kept))
    evil["spec"]["tools"][0]["image"] = "registry.example/evil:1"
    told = patient.planted(["lost catalog"], lambda: patient.server.make(evil), lambda: patient.server.make(kept))
    assert "is another one than its PowerToolConfig says" in told["lost catalog"]


def test_a_webhook_that_is_not_asked_is_found(patient: Patient) -> None:
    """Not installed at all, and installed but asked about nothing."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/toe"
    hooks = patient.server.send("GET", path).body
    hooks = {key: hooks[key] for key in ("apiVersion", "kind", "webhooks")} | {"metadata": {"name": "toe"}}
    told = patient.planted(["webhook"], lambda: patient.server.remove(hooks), lambda: patient.server.make(hooks))
    assert told["duplicate tool"] == "the webhook is not in force: see below"
    deaf = json.loads(json.dumps(hooks))
    for hook in deaf["webhooks"]:
        hook["matchConditions"] = [{"name": "never", "expression": "false"}]

    def mend() -> None:
        patient.server.remove(deaf)
        patient.server.make(hooks)

    patient.planted(["duplicate tool"], lambda: patient.server.make(deaf), mend)


def test_a_config_elsewhere_and_a_forged_requester_are_found(patient: Patient) -> None:
    """The webhook refuses the first too, the stamp's twin the second: the wrong layer is no pass."""
    place = next(o for o in patient.fenced.objects if path_of(o).endswith("policies/toe-fence-place"))
    weak = json.loads(json.dumps(place))
    _without()(weak)
    patient.planted(["config elsewhere"], lambda: patient.server.make(weak), lambda: patient.server.make(place))
    (stamp,) = (obj for obj in patient.fenced.objects if obj["kind"] == "MutatingAdmissionPolicy")
    idle = json.loads(json.dumps(stamp))
    patch = idle["spec"]["mutations"][0]["jsonPatch"]
    patch["expression"] = patch["expression"].replace("!has(object.spec)", "true")
    patient.planted(["forged requester"], lambda: patient.server.make(idle), lambda: patient.server.make(stamp))


def test_a_tool_that_is_refused_though_it_is_as_it_should_be_is_found(patient: Patient) -> None:
    """A policy of somebody else keeps the operator from its work, and only from that."""
    names = next(o for o in patient.fenced.objects if path_of(o).endswith("policies/toe-fence-uncovered"))
    theirs, bound = (json.loads(json.dumps(obj)) for obj in (names, patient.fenced.binding("uncovered")))
    theirs["metadata"] = bound["metadata"] = {"name": "theirs"}
    bound["spec"]["policyName"] = "theirs"
    del bound["spec"]["matchResources"]
    (image,) = {config["spec"]["image"] for config in CONFIGS if config["metadata"]["name"] == "peek"}
    plain = "!has(c.envFrom) && !has(c.volumeMounts) && !has(c.args) && c.command[0] == '/toe-run'"
    security = "c.securityContext.privileged == false && !has(c.securityContext.capabilities.add)"
    new = "object.spec.ephemeralContainers.filter(c, c.name.startsWith('toe-peek-'))"
    theirs["spec"]["matchConditions"] = [
        {
            "name": "bound",
            "expression": "'authentication.kubernetes.io/pod-name' in request.userInfo.?extra.orValue({})",
        },
        {"name": "web", "expression": "object.metadata.name == 'web'"},
    ]
    theirs["spec"]["variables"] = []
    cel = f"size({new}) != 1 || !{new}.exists(c, c.image == '{image}' && {plain} && {security})"
    theirs["spec"]["validations"] = [{"expression": cel, "message": "no tools today"}]

    def plant() -> None:
        patient.server.make(theirs)
        patient.server.make(bound)

    def mend() -> None:
        patient.server.remove(bound)
        patient.server.remove(theirs)

    assert "no tools today" in patient.planted(["own tool"], plant, mend)["own tool"]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("accounts of toe", ("", ["secrets"], ["get"])),
        ("admin, edit, wildcards", ("*", ["*"], ["*"])),
    ],
)
def test_a_right_too_many_is_found(patient: Patient, line: str, rule: Any) -> None:
    """Of an account of toe's, and of a role that reaches toe's kinds by a wildcard."""
    role, bound = grant("planted", rule)
    account = {"kind": "ServiceAccount", "name": "toe-controller", "namespace": SYSTEM}
    objects = [role]
    if line == "accounts of toe":
        objects.append(bound | {"subjects": [account]})
    told = patient.planted(
        [line],
        lambda: [patient.server.make(obj) for obj in objects],
        lambda: [patient.server.remove(obj) for obj in objects],
    )
    assert "planted" in told[line]


def test_admin_and_edit_that_reach_our_kinds_are_found(patient: Patient) -> None:
    """As a chart that aggregates into them would make it."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/edit"
    role = patient.server.send("GET", path).body
    rule = {"apiGroups": ["codriverlabs.ai.toe.run"], "resources": ["powertools"], "verbs": ["create"]}
    told = patient.planted(
        ["admin, edit, wildcards"],
        lambda: patient.server.send("PATCH", path, {"rules": [*(role["rules"] or []), rule]}, MERGE),
        lambda: patient.server.send("PATCH", path, {"rules": role["rules"] or []}, MERGE),
    )
    assert told["admin, edit, wildcards"] == "ClusterRole edit (create)"


def test_pod_security_that_enforces_nothing_is_found(patient: Patient) -> None:
    """Then no exemption can be seen either."""
    path = f"/api/v1/namespaces/{SYSTEM}"
    told = patient.planted(
        ["Pod Security exemptions"],
        lambda: patient.server.send("PATCH", path, {"metadata": {"labels": {LEVEL: "privileged"}}}, MERGE),
        lambda: patient.server.send("PATCH", path, {"metadata": {"labels": {LEVEL: "restricted"}}}, MERGE),
    )
    assert "enforces nothing" in told["Pod Security exemptions"]


EXEMPTIONS: dict[str, tuple[dict[str, list[str]], str]] = {
    "accounts": (
        {
            "usernames": [
                f"system:serviceaccount:{SYSTEM}:toe-controller",
                "system:serviceaccount:kube-system:replicaset-controller",
            ]
        },
        "exempt from Pod Security",
    ),
    "the namespace": ({"namespaces": [SYSTEM]}, "enforces nothing"),
}
"""What an API server's AdmissionConfiguration exempts, and what the sheet says of it."""


@pytest.mark.parametrize("exempt", EXEMPTIONS)
def test_who_is_exempt_from_pod_security_is_found(exempt: str, tmp_path: Path) -> None:
    """As an API server is started with it: that line fails, it names them and nobody else, and no other line fails."""
    exemptions, words = EXEMPTIONS[exempt]
    file = tmp_path / "admission.yaml"
    level = {"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration"}
    plugin = {"name": "PodSecurity", "configuration": level | {"exemptions": exemptions}}
    whole = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": [plugin]}
    file.write_text(yaml.safe_dump(whole))
    flags = (f"--admission-control-config-file={file}",)
    name = f"toe-test-{os.getpid()}"
    with (
        Cluster(name, node=False, extra_apiserver_args=flags, report=lambda _: None) as cluster,
        installed(cluster, tmp_path) as found,
    ):
        line = "Pod Security exemptions"
        assert words in found.recover(60, but=(line,))[line]
        status, outcomes, _ = found.examined()
        assert (status, outcomes[line]) == (1, "FAIL")
        if "usernames" in exemptions:
            assert found.who(line) == ", ".join(exemptions["usernames"])


def test_a_node_with_yama_is_found(patient: Patient) -> None:
    """By its system."""
    path = "/api/v1/nodes/node-none/status"
    told = patient.planted(
        ["nodes with Yama"],
        lambda: patient.server.send("PATCH", path, a_node("Ubuntu 24.04.1 LTS"), MERGE),
        lambda: patient.server.send("PATCH", path, a_node("Debian GNU/Linux 12"), MERGE),
    )
    assert told["nodes with Yama"] == "node-none (Ubuntu 24.04.1 LTS)"


def test_what_is_not_there_to_attack_is_not_tried(patient: Patient) -> None:
    """And never passed: exit status 3. Pods that never run can be made for it, and are removed."""
    pod = a_pod("fence-open", "node", hostPID=True)
    patient.server.send("DELETE", f"{path_of(pod)}?gracePeriodSeconds=0")
    try:
        status, outcomes, answers = patient.examined()
        assert status == 3
        assert {name for name, outcome in outcomes.items() if outcome != "PASS"} == {"host PID"}
        assert answers["host PID"] == "no running pod that a tool may join has hostPID"
        status, outcomes, answers = patient.examined("--make-pods-in", "fence-open")
        assert {name: answers[name] for name, outcome in outcomes.items() if outcome != "PASS"} == {}
        assert status == 0
        left = patient.server.send("GET", "/api/v1/pods?labelSelector=toe.run/doctor").body["items"]
        assert left == []
    finally:
        patient.running(pod)
