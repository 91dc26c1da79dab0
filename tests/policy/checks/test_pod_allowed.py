"""The tool may join this pod."""

from tests.builders import a_config, a_pod, a_target_request
from toe.api.reasons import Reason
from toe.policy.checks.pod_allowed import check

JAVA = a_config(allowedTargets={"podSelector": {"matchLabels": {"runtime": "java"}}})


def test_allows_a_pod_that_the_selector_matches() -> None:
    """The administrator thought of this pod."""
    assert check(a_target_request(a_pod(metadata={"labels": {"runtime": "java"}}), config=JAVA)) == ()


def test_allows_every_pod_where_there_is_no_selector() -> None:
    """No selector means any pod."""
    assert check(a_target_request()) == ()
    assert check(a_target_request(config=a_config(allowedTargets={"containers": ["app"]}))) == ()


def test_denies_every_other_pod() -> None:
    """A pod without the label is out of reach, and the message says which label it lacks."""
    (violation,) = check(a_target_request(config=JAVA))
    assert violation.reason is Reason.POD_NOT_ALLOWED
    assert str(violation) == "spec.targets.labelSelector: aperf may join only pods with runtime=java"
