"""``doctor`` says what is wrong line by line, and what it could not try; tests/cluster/test_doctor.py plants faults."""

import json

import pytest

from tests.cli.fakecluster import FakeCluster
from tests.cli.hospital import ADMISSION, MAKE_POD, PLURALS, empty, installed, listed
from tests.cli.scene import Person, Ran
from toe.cli.doctor import unexplained
from toe.policy.attacks import ATTACKS
from toe.report.sheet import Line


def _outcomes(ran: Ran) -> dict[str, str]:
    return {line["name"]: line["outcome"] for line in json.loads(ran.out)["lines"]}


def _answers(ran: Ran) -> dict[str, str]:
    return {line["name"]: line["answer"] for line in json.loads(ran.out)["lines"]}


def test_every_attack_has_its_line(cluster: FakeCluster, person: Person) -> None:
    """Also where nothing is installed; those that cannot be tried say why, and none passes."""
    empty(cluster)
    ran = person("doctor", "-o", "json")
    outcomes = _outcomes(ran)
    assert set(outcomes) > {attack.name for attack in ATTACKS}
    assert {outcomes[attack.name] for attack in ATTACKS} == {"not tried"}
    assert {name for name, outcome in outcomes.items() if outcome == "FAIL"} >= {
        *("missing policy", "lost catalog", "webhook")
    }
    assert ran.status == 1


def test_what_is_not_installed_comes_with_the_way_out(cluster: FakeCluster, person: Person) -> None:
    """A line, not a stack of errors."""
    empty(cluster)
    ran = person("doctor")
    assert "way out: install the fence of this version" in ran.out
    assert "way out: install the webhook" in ran.out
    assert "not tried" in ran.err
    assert "Nothing was changed." in ran.err


def test_an_attack_that_its_policy_refuses_passes(cluster: FakeCluster, person: Person) -> None:
    """And one that another one refuses does not."""
    installed(cluster)
    outcomes = _outcomes(person("doctor", "-o", "json"))
    assert {outcomes[name] for name in ("foreign image", "mounts", "privileged", "Pod Security exemptions")} == {"PASS"}
    assert outcomes["own tool"] == outcomes["minted token"] == "FAIL"
    assert {outcomes[name] for name in ("missing policy", "lost catalog", "webhook", "accounts of toe")} == {"PASS"}
    assert outcomes["host PID"] == "not tried"


def test_every_write_is_a_dry_run_or_names_what_is_not_there(cluster: FakeCluster, person: Person) -> None:
    """Nothing is left behind."""
    installed(cluster)
    before = dict(cluster.objects)
    person("doctor")
    for method, path, params in cluster.requests:
        harmless = method == "GET" or "review" in path or path.endswith("/exec")
        assert harmless or params.get("dryRun") == "All", (method, path)
    assert cluster.objects == before


def test_who_may_not_impersonate_is_told_so(cluster: FakeCluster, person: Person) -> None:
    """Before anything is tried."""
    cluster.forbidden.add(("impersonate", "groups"))
    ran = person("doctor")
    assert (ran.status, ran.out) == (2, "")
    assert "ask an administrator to run it" in ran.err


def test_nobody_acts_as_two_at_once(cluster: FakeCluster, person: Person) -> None:
    """The credentials' rights are not those of whom --as names."""
    ran = person("doctor", "--as", "ann")
    assert (ran.status, ran.out) == (2, "")
    assert "leave out --as" in ran.err


@pytest.mark.parametrize(
    ("answer", "outcome", "says"),
    [
        ((201, {}), "FAIL", "enforces nothing"),
        ((403, {"message": 'User "x" cannot create resource "pods" in API group ""'}), "not tried", "RBAC"),
    ],
)
def test_pod_security_must_be_the_one_to_refuse(
    cluster: FakeCluster, person: Person, answer: tuple[int, dict[str, str]], outcome: str, says: str
) -> None:
    """Accepted means exempt, or not enforced; another answer proves nothing."""
    installed(cluster)
    cluster.answers[MAKE_POD] = answer
    ran = person("doctor", "-o", "json")
    assert _outcomes(ran)["Pod Security exemptions"] == outcome
    assert says in _answers(ran)["Pod Security exemptions"]


def test_a_cluster_without_nodes_is_not_tried(cluster: FakeCluster, person: Person) -> None:
    """Whose Yama is then not known."""
    installed(cluster)
    listed(cluster, "/api/v1/nodes")
    assert _outcomes(person("doctor", "-o", "json"))["nodes with Yama"] == "not tried"


def test_before_mutating_policies_the_stamp_is_not_looked_for(cluster: FakeCluster, person: Person) -> None:
    """Kubernetes knows them since 1.36."""
    installed(cluster)
    for kind in ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"):
        cluster.answers["GET", f"{ADMISSION}/{PLURALS[kind]}"] = (404, {"message": "not served"})
    assert _outcomes(person("doctor", "-o", "json"))["missing policy"] == "PASS"


def test_a_changed_policy_is_told_once() -> None:
    """By the attack that got through, else by its own line."""
    changed = ("ValidatingAdmissionPolicy toe-fence-catalog",)
    passed, failed = (Line("foreign image", outcome, "") for outcome in ("PASS", "FAIL"))  # type: ignore[arg-type]
    assert unexplained(changed, [passed]) == ("ValidatingAdmissionPolicy toe-fence-catalog (not as generated)",)
    assert unexplained(changed, [failed]) == ()
