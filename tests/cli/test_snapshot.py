"""The command line sees what the controller sees, as far as the person may."""

import pytest

from tests.builders import a_config, a_pod, judged
from tests.cli.fakecluster import PODS, FakeCluster
from tests.cli.scene import Person
from toe.cli.snapshot import forbidden_by_pod_security, why_left_out

RESTRICTED, BASELINE, PRIVILEGED = (
    {"capabilities": {"drop": ["ALL"]}},
    {"capabilities": {"add": ["CHOWN"]}},
    {"allowPrivileged": True},
)


@pytest.mark.parametrize(
    ("security", "enforced", "permitted"),
    [
        (RESTRICTED, "restricted", True),
        (BASELINE, "restricted", False),
        (BASELINE, "baseline", True),
        (PRIVILEGED, "baseline", False),
        (PRIVILEGED, "privileged", True),
        (PRIVILEGED, None, True),
        (PRIVILEGED, "misspelt", True),
    ],
)
def test_pod_security_is_a_ladder(security: dict[str, object], enforced: str | None, permitted: bool) -> None:
    """A namespace without the label, or with one that means nothing, enforces nothing."""
    (config,) = judged(a_config(security=security))
    labels = {"pod-security.kubernetes.io/enforce": enforced} if enforced else {}
    assert (forbidden_by_pod_security(config, labels) == "") is permitted
    assert forbidden_by_pod_security(config, None) == ""


def test_a_pod_is_left_out_for_a_reason() -> None:
    """Each kind its own."""
    assert why_left_out(a_pod(metadata={"deletionTimestamp": "2026-03-01T12:00:00Z"})) == "the pod is terminating"
    assert why_left_out(a_pod(status={"phase": ""})) == "the pod is not running"
    assert why_left_out(a_pod(spec={"os": {"name": "windows"}})) == "tools run on Linux only"
    assert why_left_out(a_pod()) == "a static pod cannot be joined"


def test_the_server_selects_the_pods(cluster: FakeCluster, person: Person) -> None:
    """Not every pod of the namespace is read."""
    person("plan", "py-spy", "-l", "app in (shop),tier!=a")
    (params,) = [params for _, path, params in cluster.requests if path == PODS]
    assert params["labelSelector"] == "app in (shop),tier notin (a)"
