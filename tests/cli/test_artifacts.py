"""``kubectl toe artifacts`` lists what the collector keeps."""

import json

import yaml

from tests.cli.fakecluster import FakeCluster
from tests.cli.scene import Person


def test_what_is_kept_is_listed(cluster: FakeCluster, person: Person) -> None:
    """Of all runs of the namespace."""
    cluster.keep("k7", "shop-1", "profile.folded", b"x" * 48 * 1024)
    cluster.keep("k8", "shop-2", "core", b"")
    cluster.keep("k9", "web-1", "other", b"1", namespace="staging")
    ran = person("artifacts")
    header, *rows = ran.out.splitlines()
    assert ran.status == 0
    assert header.split("  ")[0] == "NAME"
    assert header.endswith("KEPT UNTIL")
    assert [row.split()[1:6] for row in rows] == [
        ["k7", "shop-1", "profile.folded", "48", "KiB"],
        ["k8", "shop-2", "core", "0", "B"],
    ]


def test_one_run_is_asked_for_by_its_label(cluster: FakeCluster, person: Person) -> None:
    """And how to save it is said."""
    cluster.keep("k7", "shop-1", "a", b"1")
    cluster.keep("k7", "shop-1", "b", b"1")
    cluster.keep("k8", "shop-2", "c", b"1")
    ran = person("artifacts", "k7")
    assert len(ran.out.splitlines()) == 3
    assert ran.err == "  kubectl toe get k7 saves 2 files\n"
    assert cluster.requests[-1][2]["labelSelector"] == "toe.run/run=k7"


def test_all_namespaces_have_a_column(cluster: FakeCluster, person: Person) -> None:
    """As kubectl shows it."""
    cluster.keep("k9", "web-1", "other", b"1", namespace="staging")
    assert [line.split()[0] for line in person("artifacts", "-A").out.splitlines()] == ["NAMESPACE", "staging"]


def test_programs_read_the_objects(cluster: FakeCluster, person: Person) -> None:
    """As JSON or YAML; the true name of a file is in it, the row shows a safe one."""
    cluster.keep("k7", "shop-1", "a\x1b[2J", b"1")
    as_json = json.loads(person("artifacts", "-o", "json").out)
    assert as_json == yaml.safe_load(person("artifacts", "-o", "yaml").out)
    assert as_json[0]["file"] == "a\x1b[2J"
    assert "\x1b" not in person("artifacts").out


def test_nothing_is_said_to_be_nothing(cluster: FakeCluster, person: Person) -> None:
    """Which is no error."""
    cluster.kept = {}
    assert person("artifacts") == (0, "", "no file is kept in namespace shop\n")
    assert person("artifacts", "k7", "-A").err == "no file of k7 is kept anywhere\n"


def test_a_missing_right_is_named(cluster: FakeCluster, person: Person) -> None:
    """As one asks an administrator for it."""
    cluster.kept = {}
    cluster.forbidden.add(("list", "artifacts"))
    assert person("artifacts").err.splitlines() == [
        "error: alice may not list artifacts in namespace shop",
        "  ask for: verb list on artifacts in namespace shop",
    ]
