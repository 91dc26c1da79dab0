"""``tools`` says what there is, what it runs with, and whether it is for you here."""

import json

import pytest
import yaml

from tests.cli.fakecluster import CONFIGS, FakeCluster
from tests.cli.scene import Person, a_tool
from toe.api.powertoolconfig import Capabilities, Security
from toe.cli.tools import reach_in_words, runs_with

ROOT = {"runAsRoot": True, "capabilities": {"drop": ["ALL"], "add": ["NET_RAW", "SETGID"]}}


def test_the_answer_is_one_line_a_tool(person: Person) -> None:
    """Name, what it shows, what it runs with, tier, and yes or no."""
    assert person("tools").out.splitlines() == [
        "TOOL    WHAT IT SHOWS    RUNS WITH                        TIER  FOR YOU IN shop",
        "py-spy  where time goes  the target's uid, no capability  Low   yes",
    ]


def test_a_namespace_that_is_not_listed_is_a_reason(cluster: FakeCluster, person: Person) -> None:
    """With those that are."""
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", allowedNamespaces=["staging", "test"]))
    assert person("tools").out.rstrip().endswith("no: only in staging, test")


def test_pod_security_is_a_reason(cluster: FakeCluster, person: Person) -> None:
    """What the namespace enforces and what the tool needs."""
    cluster.put(
        "/api/v1/namespaces/shop", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    )
    cluster.put(f"{CONFIGS}/tcpdump", a_tool("tcpdump", security=ROOT))
    lines = person("tools").out.splitlines()
    assert lines[1].endswith("yes")
    assert lines[2].endswith("no: the namespace enforces Pod Security restricted, tcpdump needs privileged")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"suspended": True}, "no: suspended by the administrator"),
        ({"security": {"capabilities": {"add": ["CAP_KILL"]}}}, "'CAP_KILL' is no capability: did you mean KILL?"),
        ({"security": {"allowPrivileged": True}}, "no: the namespace is not labelled for privileged tools"),
    ],
)
def test_what_the_controller_would_refuse_is_a_reason(
    cluster: FakeCluster, person: Person, spec: dict[str, object], reason: str
) -> None:
    """The same rules, in a few words."""
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy", **spec))
    assert reason in person("tools").out


def test_a_tool_name_that_two_configs_hold_is_for_nobody(cluster: FakeCluster, person: Person) -> None:
    """Both lines say so."""
    cluster.put(f"{CONFIGS}/other", {**a_tool("py-spy"), "metadata": {"name": "other"}})
    assert person("tools").out.count("no: 2 PowerToolConfigs hold the tool name py-spy") == 2


def test_the_right_to_create_runs_is_asked_for(cluster: FakeCluster, person: Person) -> None:
    """Whoever lacks it reads how to ask for it."""
    cluster.forbidden.add(("create", "powertools"))
    assert "no: you lack the right: verb create on powertools in namespace shop" in person("tools").out


def test_labels_that_may_not_be_read_are_no_reason(cluster: FakeCluster, person: Person) -> None:
    """Except for a privileged tool, where it is said."""
    cluster.forbidden.add(("get", "namespaces"))
    cluster.put(f"{CONFIGS}/kdebug", a_tool("kdebug", security={"allowPrivileged": True}))
    lines = person("tools").out.splitlines()
    assert lines[1].endswith("could not be read")
    assert lines[2].endswith("yes")


def test_one_tool_in_detail_lists_what_it_accepts(cluster: FakeCluster, person: Person) -> None:
    """Grammar, limits, all reasons and all findings."""
    cluster.put(
        f"{CONFIGS}/py-spy",
        a_tool(
            "py-spy",
            image="a:1",
            suspended=True,
            allowedNamespaces=["x"],
            arguments={"options": [{"flag": "-c", "value": {"integer": {"min": 1, "max": 9}}}]},
            limits={"memory": "64Mi", "cpuPercent": 50},
        ),
    )
    out = person("tools", "py-spy").out
    for part in (
        "accepts     -c NUMBER (1 to 9)",
        "at most     1h, 50 pods, 1 GiB of files, 64Mi of memory, 50 % of a core",
        "in shop     no: suspended by the administrator; only in x",
        "note        spec.image: a tag can be moved",
        "reach       memory of the target (worth as much as exec into it)",
    ):
        assert part in out


def test_a_tool_that_is_not_there_is_wrong_usage(person: Person) -> None:
    """Exit status 2 and where the list is."""
    assert person("tools", "gdb") == (2, "", "error: there is no tool gdb\n  `kubectl toe tools` lists them\n")


def test_no_tools_at_all_are_told(cluster: FakeCluster, person: Person) -> None:
    """Nothing on stdout, for scripts; the reason on stderr."""
    del cluster.objects[f"{CONFIGS}/py-spy"]
    ran = person("tools")
    assert (ran.status, ran.out) == (0, "")
    assert "there is no PowerToolConfig in the namespace toe-system" in ran.err


def test_programs_get_the_same_as_json_and_yaml(person: Person) -> None:
    """One entry a tool; yes and no as a boolean, the reasons as a list."""
    found = json.loads(person("tools", "-o", "json").out)
    assert found == yaml.safe_load(person("tools", "-o", "yaml").out)
    assert [(tool["tool"], tool["forYou"], tool["obstacles"], tool["accepts"]) for tool in found] == [
        ("py-spy", True, [], "--gil")
    ]


@pytest.mark.parametrize(
    ("security", "words"),
    [
        (Security(allow_privileged=True), "privileged"),
        (Security(run_as_root=True, capabilities=Capabilities(add=("B", "A"), drop=("ALL",))), "root, A B"),
        (Security(run_as_user=0, run_as_group=0, capabilities=Capabilities(drop=("ALL",))), "root, no capability"),
        (Security(run_as_user=7, run_as_group=7, capabilities=Capabilities(drop=("ALL",))), "uid 7, no capability"),
        (Security(), "the target's uid, default capabilities"),
    ],
)
def test_what_a_tool_runs_with_is_said_in_a_few_words(security: Security, words: str) -> None:
    """Who and with what; default capabilities that stay are not called none."""
    assert runs_with(security) == words


def test_a_reach_says_what_it_is_worth() -> None:
    """Memory is as good as exec; nothing is said to be nothing."""
    assert reach_in_words(("memory", "node")) == (
        "memory of the target (worth as much as exec into it), the node, beyond the pod"
    )
    assert reach_in_words(()) == "nothing beyond itself"
