"""``plan`` shows exactly what each pod would get, and every refusal, and changes nothing."""

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from tests.builders import NOW, a_powertool, at, powertool_manifest
from tests.cli.fakecluster import CONFIGS, PODS, RUNS, FakeCluster
from tests.cli.scene import Person, a_run, a_running_pod, a_target, a_tool
from toe.api.codec import decode, to_builtins
from toe.api.pod import Pod
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.plan.container import render

PLAN = ("plan", "py-spy", "-l", "app=shop", "--for", "10s")


def test_every_pod_has_its_line_and_the_container_is_described(cluster: FakeCluster, person: Person) -> None:
    """What an administrator wrote, what the target gives, and what it is worth."""
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", defaultArgs=["--pid", "{target.pid}"]))
    ran = person(*PLAN)
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "py-spy (PowerToolConfig py-spy, generation 1) for alice in shop, 10s",
        "  shop-1  container app  toe-py-spy-xxxxxxxxxx  allowed",
        "  shop-2  container app  toe-py-spy-xxxxxxxxxx  allowed",
        "The container each allowed pod gets (-o yaml for all of it):",
        "  image         registry.example/toe/aperf@sha256:" + "0123456789abcdef" * 4,
        "  runs as       uid 1001, gid 1001 (the target's), not root",
        "  capabilities  none (drop ALL)",
        "  seccomp       RuntimeDefault",
        "  escalation    no privilege escalation",
        "  command       aperf record --pid {target.pid}",
        "  reach         memory of the target (worth as much as exec into it)",
    ]
    assert ran.err == "Nothing was changed.\n"


def test_nothing_is_written(cluster: FakeCluster, person: Person) -> None:
    """Only reads, and two questions about the person."""
    person(*PLAN)
    writes = {path for method, path, _ in cluster.requests if method != "GET"}
    assert writes == {"/apis/authentication.k8s.io/v1/selfsubjectreviews"}


def test_the_container_is_the_builders_own(cluster: FakeCluster, person: Person) -> None:
    """What is printed as YAML is what the one builder makes, but for the digits that only a real run gives."""
    (plan,) = yaml.safe_load(person(*PLAN, "-o", "yaml").out)
    config = decode(cluster.objects[f"{CONFIGS}/py-spy"])
    assert isinstance(config, PowerToolConfig)
    run = a_powertool({"name": "py-spy-xxxxx", "namespace": "shop"}, tool={"name": "py-spy", "duration": "10s"})
    expected = to_builtins(render(run, config, _pod(cluster, "shop-1"), "app", NOW, Settings()))
    shown = plan["pods"][0]["ephemeralContainer"]
    assert shown.pop("name") == "toe-py-spy-xxxxxxxxxx"
    assert expected.pop("name").startswith("toe-py-spy-")
    late = [variable for variable in shown["env"] if variable["name"] == "TOE_NOT_AFTER"]
    assert late[0]["value"] >= at(620).strftime("%Y-%m-%dT%H:%M:%SZ")
    for container in (shown, expected):
        container["env"] = [v for v in container["env"] if v["name"] != "TOE_NOT_AFTER"]
    assert shown == json.loads(json.dumps(expected))


def _pod(cluster: FakeCluster, name: str) -> Pod:
    return msgspec.convert(cluster.objects[f"{PODS}/{name}"], Pod)


def test_a_pod_that_a_rule_refuses_says_which(cluster: FakeCluster, person: Person) -> None:
    """Exit status 3 when others are allowed, 2 when none is."""
    cluster.put(f"{PODS}/shop-2", a_running_pod("shop-2", spec={"hostPID": True}))
    ran = person(*PLAN)
    assert ran.status == 3
    assert "  shop-2  -              -                      refused: the pod shares the node's processes" in ran.out
    cluster.put(f"{PODS}/shop-1", a_running_pod("shop-1", spec={"hostPID": True}))
    assert person(*PLAN).status == 2


@pytest.mark.parametrize(
    ("difference", "why"),
    [
        ({"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}}, "left out: the pod is terminating"),
        ({"status": {"phase": "Pending"}}, "left out: the pod is Pending"),
        ({"spec": {"os": {"name": "windows"}}}, "left out: tools run on Linux only"),
        (
            {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}},
            "left out: a static pod cannot be joined",
        ),
    ],
)
def test_a_pod_that_no_tool_can_enter_is_left_out(
    cluster: FakeCluster, person: Person, difference: dict[str, object], why: str
) -> None:
    """It matches and does not count: the run would not fail for it."""
    cluster.put(f"{PODS}/shop-2", a_running_pod("shop-2", **difference))
    ran = person(*PLAN)
    assert ran.status == 0
    assert why in ran.out


def test_a_refused_run_says_every_rule(cluster: FakeCluster, person: Person) -> None:
    """And that nothing was changed."""
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", allowedNamespaces=["x"], security={"allowPrivileged": True}))
    ran = person(*PLAN, "--", "-z")
    assert ran.status == 2
    assert ran.err.splitlines() == [
        "error: PowerTool namespace 'shop' is not allowed for tool 'py-spy'. Allowed namespaces: [x]",
        "error: Privileged containers are not allowed",
        "error: py-spy accepts no arguments here (spec.tool.args[0])",
        "  it accepts: no arguments",
        "Nothing was changed.",
    ]


def test_a_pod_that_another_run_holds_makes_it_wait(cluster: FakeCluster, person: Person) -> None:
    """The exact sentence, and that it would start by itself."""
    a_run(cluster, "other", a_target("shop-1", state="Running"), phase="Running")
    ran = person(*PLAN)
    assert ran.status == 1
    assert ran.err.startswith("error: Pod shop-1 is already being profiled by PowerTool other\n  the run would wait")


def test_an_older_run_that_waits_goes_first(cluster: FakeCluster, person: Person) -> None:
    """A plan does not promise a pod that is promised already."""
    path = a_run(cluster, "waiting", phase="Conflicted")
    waiting = cluster.objects[path]
    waiting["metadata"]["creationTimestamp"] = "2026-03-01T11:59:00Z"
    waiting["spec"]["targets"] = {"labelSelector": {"matchLabels": {"app": "shop"}}}
    assert "Pod shop-1 is already being profiled by PowerTool waiting" in person(*PLAN).err
    waiting["spec"]["targets"] = {"labelSelector": {"matchLabels": {"app": "another"}}}
    assert person(*PLAN).status == 0


def test_a_run_that_would_wait_says_for_what(person: Person) -> None:
    """Exit status 1: neither allowed nor refused."""
    ran = person("plan", "pyspy", "-l", "app=shop")
    assert ran.status == 1
    assert "error: PowerToolConfig not found for tool: pyspy\n  did you mean py-spy?" in ran.err


def test_what_pod_security_forbids_is_told_before_the_api_server_does(cluster: FakeCluster, person: Person) -> None:
    """The controller would try and be refused; a person reads it here."""
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    cluster.put("/api/v1/namespaces/shop", {"metadata": {"labels": labels}})
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", security={"runAsRoot": True, "capabilities": {"add": ["BPF"]}}))
    ran = person(*PLAN)
    assert ran.status == 2
    assert ran.out.count("refused: the namespace enforces Pod Security baseline, py-spy needs privileged") == 2


def test_root_and_privileged_are_said_plainly(cluster: FakeCluster, person: Person) -> None:
    """Nobody overlooks them."""
    cluster.put("/api/v1/namespaces/shop", {"metadata": {"labels": {"toe.run/allow-privileged-tools": "true"}}})
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", security={"runAsRoot": True, "allowPrivileged": True}))
    out = person(*PLAN).out
    assert "  runs as       uid 0, gid 0 (the config's), root\n" in out
    assert "  capabilities  all: privileged, root on the node\n" in out


def test_what_may_not_be_read_is_told(cluster: FakeCluster, person: Person) -> None:
    """The plan is made without it; without pods there is none."""
    cluster.forbidden |= {("get", "namespaces"), ("list", "powertools")}
    ran = person(*PLAN)
    assert ran.status == 0
    assert "warning: you may not read the labels of the namespace shop; the plan does without" in ran.err
    assert "warning: you may not read which other runs there are" in ran.err
    cluster.forbidden = {("list", "pods")}
    assert "ask for: verb list on pods in namespace shop" in person(*PLAN).err


def test_runs_of_a_file_are_planned(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """Each of them, in its own namespace; other kinds are passed over."""
    file = tmp_path / "runs.yaml"
    spec = {"targets": {"labelSelector": {"matchLabels": {"app": "shop"}}}, "tool": {"name": "py-spy"}}
    manifests = [powertool_manifest({"name": name, "namespace": None}, **spec) for name in ("a", "b")]
    file.write_text(yaml.safe_dump_all([*manifests, {"kind": "ConfigMap", "apiVersion": "v1"}]))
    found = json.loads(person("plan", "-f", str(file), "-o", "json").out)
    assert [(plan["run"], plan["answer"]) for plan in found] == [("a", "allowed"), ("b", "allowed")]
    assert [len(plan["pods"]) for plan in found] == [2, 2]


def test_a_file_of_another_namespace_needs_no_flag(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """As kubectl: the manifest's namespace counts, and another -n is a contradiction."""
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(powertool_manifest({"name": "a", "namespace": "other"}, tool={"name": "py-spy"})))
    cluster.put("/api/v1/namespaces/other", {})
    assert "no running pod in other matches app=web" in person("plan", "-f", str(file)).err
    ran = person("plan", "-f", str(file), "-n", "shop")
    assert (ran.status, ran.err) == (2, "error: the manifest is for the namespace other, -n says shop\n")


@pytest.mark.parametrize("content", ["{", "kind: ConfigMap\napiVersion: v1\n", "kind: PowerTool\n"])
def test_a_file_that_cannot_be_planned_is_wrong_usage(person: Person, tmp_path: Path, content: str) -> None:
    """No YAML, no PowerTool, or one that the API server would refuse."""
    file = tmp_path / "run.yaml"
    file.write_text(content)
    assert person("plan", "-f", str(file)).status == 2
    assert person("plan", "-f", str(tmp_path / "none.yaml")).status == 2


def test_a_plan_needs_a_tool_or_a_file(person: Person) -> None:
    """One of them, not both, and pods with the tool."""
    for words in (("plan",), ("plan", "py-spy"), ("plan", "py-spy", "-l", "a=b", "-f", "x")):
        assert person(*words).status == 2


def test_a_plan_leaves_no_run_behind(cluster: FakeCluster, person: Person) -> None:
    """There is nothing to clean up."""
    person(*PLAN)
    assert not [path for path in cluster.objects if path.startswith(RUNS)]
