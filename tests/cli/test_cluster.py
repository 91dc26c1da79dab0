"""A cluster that cannot be used says why, each cause in its own sentence with its way out."""

from pathlib import Path

import pytest

from tests.cli.fakecluster import CONFIGS, KINDLESS, FakeCluster
from tests.cli.scene import Person
from toe.api.meta import GROUP


def _lacks_crds(cluster: FakeCluster) -> None:
    cluster.answers["GET", CONFIGS] = (404, {"message": KINDLESS, "reason": "NotFound"})


def test_a_cluster_without_toe_is_told(cluster: FakeCluster, person: Person) -> None:
    """Not "the server could not find the requested resource"."""
    _lacks_crds(cluster)
    cluster.answers["GET", f"/apis/{GROUP}"] = (404, {"message": KINDLESS, "reason": "NotFound"})
    cluster.answers["GET", "/version"] = (200, {"major": "1", "minor": "35", "gitVersion": "v1.35.0"})
    ran = person("tools")
    assert ran.status == 1
    assert ran.err.startswith("error: toe is not installed in the cluster at http://127.0.0.1:")
    assert "Helm chart" in ran.err


def test_a_cluster_that_is_too_old_is_told(cluster: FakeCluster, person: Person) -> None:
    """Its version and the one that toe needs."""
    _lacks_crds(cluster)
    cluster.answers["GET", f"/apis/{GROUP}"] = (404, {"message": KINDLESS, "reason": "NotFound"})
    cluster.answers["GET", "/version"] = (200, {"major": "1", "minor": "29+", "gitVersion": "v1.29.4"})
    assert person("tools").err.startswith("error: the cluster runs Kubernetes v1.29.4; toe needs 1.33 or later\n")


def test_another_version_of_the_api_is_told(cluster: FakeCluster, person: Person) -> None:
    """What the cluster serves and what this program speaks."""
    _lacks_crds(cluster)
    cluster.answers["GET", f"/apis/{GROUP}"] = (200, {"versions": [{"version": "v1beta1"}]})
    ran = person("tools")
    assert ran.err.startswith(f"error: the cluster serves {GROUP} in v1beta1, this program speaks v1alpha1\n")


def test_a_missing_right_is_told_as_one_asks_for_it(cluster: FakeCluster, person: Person) -> None:
    """Verb, resource and namespace."""
    cluster.forbidden.add(("list", "powertoolconfigs"))
    ran = person("tools")
    assert ran.status == 1
    assert ran.err == (
        "error: alice may not list powertoolconfigs in namespace toe-system\n"
        "  ask for: verb list on powertoolconfigs in namespace toe-system\n"
    )


def test_a_server_that_is_not_there_is_told(person: Person) -> None:
    """The cause in the system's words, and the context as the first suspect."""
    ran = person("tools", "--server", "http://127.0.0.1:9")
    assert ran.status == 1
    assert ran.err.startswith(
        "error: the cluster cannot be reached: no connection to http://127.0.0.1:9: Connection refused\n"
    )
    assert "--context" in ran.err


def test_credentials_that_are_refused_are_told(cluster: FakeCluster, person: Person) -> None:
    """A 401 is no missing right."""
    cluster.answers["GET", CONFIGS] = (401, {"message": "Unauthorized"})
    assert person("tools").err.startswith("error: the cluster does not accept these credentials (401)\n  log in again")


def test_a_server_in_trouble_is_told(cluster: FakeCluster, person: Person) -> None:
    """With its own words, after the request timeout."""
    cluster.answers["GET", CONFIGS] = (503, {"message": "etcd is away"})
    ran = person("tools", "--request-timeout", "1s")
    assert ran.err == "error: the cluster cannot answer now (503): etcd is away\n  try again in a moment\n"


@pytest.mark.parametrize("words", [("--context", "nope"), ("--kubeconfig", "/nonexistent"), ("--user", "nobody")])
def test_a_kubeconfig_that_does_not_lead_anywhere_is_wrong_usage(person: Person, words: tuple[str, str]) -> None:
    """Exit status 2, naming what there is."""
    ran = person("tools", *words)
    assert ran.status == 2
    assert words[1] in ran.err


def test_a_request_timeout_that_is_none_is_wrong_usage(person: Person) -> None:
    """Seconds without a unit are kubectl's habit and accepted."""
    assert person("tools", "--request-timeout", "soon").status == 2
    assert person("tools", "--request-timeout", "5").status == 0


def test_flags_may_come_before_the_command(cluster: FakeCluster, person: Person, tmp_path: Path) -> None:
    """As with kubectl: -n and the others anywhere before ``--``."""
    cluster.put("/api/v1/namespaces/other", {})
    kubeconfig = tmp_path / "kubeconfig"
    ran = person("--kubeconfig", str(kubeconfig), "-n", "other", "tools")
    assert ran.status == 0
    assert "FOR YOU IN other" in ran.out


def test_the_namespace_is_the_contexts_unless_it_is_given(person: Person) -> None:
    """What the kubeconfig's context says."""
    assert "FOR YOU IN shop" in person("tools").out


def test_a_config_that_this_program_does_not_understand_is_left_out(cluster: FakeCluster, person: Person) -> None:
    """One object of a later version does not hide the others."""
    cluster.put(f"{CONFIGS}/odd", {"metadata": {"name": "odd"}, "spec": {"name": 7}})
    ran = person("tools")
    assert ran.status == 0
    assert "py-spy" in ran.out
    assert "warning: a PowerToolConfig cannot be understood" in ran.err
