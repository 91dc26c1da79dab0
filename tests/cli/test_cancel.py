"""``cancel`` stops what has not begun, and says what goes on."""

from tests.builders import when
from tests.cli.fakecluster import FakeCluster
from tests.cli.scene import Person, a_run, a_target


def test_a_run_is_canceled_and_what_goes_on_is_told(cluster: FakeCluster, person: Person) -> None:
    """A running tool cannot be stopped from outside; its end is known."""
    targets = (a_target("shop-1", state="Running"), a_target("shop-2", state="Prepared"))
    path = a_run(cluster, "k7", *targets, phase="Running", notAfter=when(65))
    assert person("cancel", "k7") == (
        0,
        (
            "k7 canceled: no tool is added any more\n"
            "a running tool cannot be stopped from outside: "
            "it ends at its duration, at the latest 12:01:05 UTC: shop-1\n"
        ),
        "",
    )
    assert cluster.objects[path]["spec"]["cancel"] is True


def test_many_pods_are_counted(cluster: FakeCluster, person: Person) -> None:
    """Five names are enough."""
    a_run(cluster, "k7", *(a_target(f"shop-{n}", state="Running") for n in range(8)), phase="Running")
    assert person("cancel", "k7").out.endswith(": shop-0, shop-1, shop-2, shop-3, shop-4 and 3 more\n")


def test_canceling_again_says_so(cluster: FakeCluster, person: Person) -> None:
    """It is no error: what was wanted is so."""
    a_run(cluster, "k7", phase="Pending")
    person("cancel", "k7")
    assert person("cancel", "k7") == (0, "k7 is canceled already\n", "")


def test_a_run_that_is_over_is_left_as_it_is(cluster: FakeCluster, person: Person) -> None:
    """Terminal is final."""
    path = a_run(cluster, "k7", a_target("shop-1"), startedAt=when(0), finishedAt=when(3))
    assert person("cancel", "k7") == (0, "k7 is over already: Completed in 3 s, 1 of 1 pod.\n", "")
    assert "cancel" not in cluster.objects[path]["spec"]


def test_a_missing_right_is_told(cluster: FakeCluster, person: Person) -> None:
    """As everywhere."""
    a_run(cluster, "k7", phase="Pending")
    cluster.forbidden.add(("patch", "powertools"))
    assert "ask for: verb patch on powertools in namespace shop" in person("cancel", "k7").err


def test_tools_that_hold_a_lease_end_within_seconds(cluster: FakeCluster, person: Person) -> None:
    """They are told to; not-after stands behind that."""
    target = a_target("shop-1", state="Running")
    a_run(cluster, "k7", target, phase="Running", notAfter=when(65), collector="https://toe-collector.toe-system.svc")
    said = "tools that run are told to end, which takes seconds, at the latest 12:01:05 UTC: shop-1\n"
    assert person("cancel", "k7").out.endswith(said)
