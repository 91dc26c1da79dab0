"""The rules in order."""

from pathlib import Path

import toe.policy.checks
from tests.builders import a_config, a_pod, a_powertool, a_request, a_smuggled_powertool, a_target_request
from toe.api.reasons import Reason
from toe.policy.chains import RUN, TARGET, UPLOAD, evaluate, evaluate_target
from toe.policy.request import Request
from toe.policy.verdict import Allowed, Denied, Undecided


def test_every_check_is_in_exactly_one_chain() -> None:
    """A rule that nobody asks is no rule."""
    folder = Path(next(iter(toe.policy.checks.__path__)))
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    asked = [check.__module__.rpartition(".")[2] for check in (*RUN, *TARGET, *UPLOAD)]
    assert sorted(asked) == sorted(files)


def test_a_good_run_is_allowed() -> None:
    """Nothing is violated and nothing is missing."""
    assert evaluate(RUN, a_request(matching=1)) == Allowed()


def test_all_violations_are_told_at_once_in_order() -> None:
    """A person mends everything in one go."""
    run = a_smuggled_powertool({"namespace": "kube-system"}, image="x", tool={"duration": "0s", "args": ["x"]})
    verdict = evaluate(RUN, a_request(run, a_config(allowedNamespaces=["a"]), matching=99))
    assert isinstance(verdict, Denied)
    assert [violation.reason for violation in verdict.violations] == [
        Reason.FIELD_FORBIDDEN,
        Reason.NAMESPACE_PROTECTED,
        Reason.NAMESPACE_NOT_ALLOWED,
        Reason.TOO_MANY_TARGETS,
        Reason.ARGUMENT_NOT_ALLOWED,
        Reason.DURATION_NOT_ALLOWED,
    ]


def test_what_is_missing_keeps_a_run_waiting_with_everything_it_waits_for() -> None:
    """Undecided, never a default."""
    verdict = evaluate(RUN, Request(run=a_powertool(), matching=0))
    assert isinstance(verdict, Undecided)
    assert [unmet.reason for unmet in verdict.unmet] == [Reason.TOOL_NOT_FOUND, Reason.NO_MATCHING_PODS]


def test_a_violation_outweighs_what_is_missing() -> None:
    """A run that can never be allowed does not wait."""
    run = a_powertool({"namespace": "kube-system"})
    assert isinstance(evaluate(RUN, Request(run=run)), Denied)


def test_no_config_is_preferred_among_several() -> None:
    """Ambiguity is Undecided whatever the order, even when one of them alone would allow or deny."""
    good, bad = a_config(), a_config(metadata={"name": "other"}, allowedNamespaces=["x"])
    for configs in ((good, bad), (bad, good)):
        assert isinstance(evaluate(RUN, a_request(a_powertool(), *configs, matching=1)), Undecided)


def test_a_pod_is_allowed_or_denied_with_all_violations() -> None:
    """A pod is never undecided."""
    assert evaluate_target(a_target_request()) == Allowed()
    pod = a_pod(spec={"hostPID": True}, status={"containerStatuses": []})
    verdict = evaluate_target(a_target_request(pod))
    assert isinstance(verdict, Denied)
    assert [violation.reason for violation in verdict.violations] == [
        Reason.TARGET_NOT_RUNNING,
        Reason.TARGET_IDENTITY_UNKNOWN,
        Reason.HOST_PID_NOT_ALLOWED,
    ]
