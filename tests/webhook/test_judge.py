"""What becomes of a request to create a PowerTool, or to write a PowerToolConfig."""

from typing import Any

import msgspec
import pytest

from tests.builders import APPROVED, NOW, a_config, a_powertool, a_request, config_manifest
from tests.webhook.reviews import a_config_review, a_review, a_run_review, as_bytes
from toe.api.powertool import PowerTool
from toe.api.powertoolcatalog import MAX_TOOLS
from toe.api.settings import Settings
from toe.policy.access import entry_to
from toe.policy.chains import ADMIT, RUN
from toe.policy.request import Request
from toe.webhook.judge import judge_run, judge_written_config, read_run, stamp
from toe.webhook.review import Answer, UserInfo, read_review

ALICE = UserInfo(username="alice", groups=("system:authenticated",))
EVE = UserInfo(username="eve")
SYSTEM = Settings()


def _review(review: dict[str, Any]) -> Any:
    return read_review(as_bytes(review))


def _run(**spec: Any) -> PowerTool:
    run = read_run(_review(a_run_review(**spec)))
    assert isinstance(run, PowerTool)
    return run


def test_a_run_without_violation_is_let_in_with_what_is_worth_knowing() -> None:
    """How many pods match now; where files do not leave, that they do not."""
    listed = a_config(output={"modes": ["ephemeral"]})
    answer = judge_run(a_request(_run(), listed, matching=3), ALICE)
    assert (answer.allowed, answer.warnings) == (True, ("3 pods match now",))
    answer = judge_run(a_request(_run(), matching=1), ALICE)
    withheld = "files of aperf do not leave through the container's log: it reaches memory or traffic"
    assert answer.warnings == ("1 pod matches now", withheld)


def test_all_violations_are_told_at_once() -> None:
    """With their fields."""
    request = a_request(_run(tool={"args": ["-x"], "duration": "5h"}), matching=1)
    answer = judge_run(request, ALICE)
    assert (answer.allowed, answer.code) == (False, 403)
    assert "spec.tool.args[0]" in answer.message
    assert "spec.tool.duration" in answer.message


def test_what_may_come_by_itself_is_let_in_with_a_warning() -> None:
    """No config yet, no pod yet: a directory is applied in any order."""
    answer = judge_run(Request(run=_run(), now=NOW, matching=0), ALICE)
    assert answer.allowed
    assert any("PowerToolConfig not found" in warning for warning in answer.warnings)


def test_a_right_that_was_not_answered_refuses() -> None:
    """At admission the user is there to try again."""
    high = a_config(security={"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True})
    answer = judge_run(a_request(_run(), high, access={}, matching=1), ALICE)
    assert not answer.allowed
    assert "not known yet" in answer.message


def test_a_requester_that_is_not_the_caller_is_refused() -> None:
    """A lost stamp fails closed, and a forged one too."""
    assert not judge_run(a_request(_run(), matching=1), EVE).allowed
    unstamped = msgspec.structs.replace(_run(), spec=msgspec.structs.replace(_run().spec, requester=None))
    assert not judge_run(a_request(unstamped, matching=1), ALICE).allowed


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"namespace_labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            "enforces Pod Security restricted",
        ),
        ({"access": {entry_to("production"): False}}, "aperf reaches memory, and you lack verb create on pods/exec"),
    ],
)
def test_warnings_tell_what_will_hurt(facts: dict[str, Any], words: str) -> None:
    """A level that forbids the tool, and a reach that the requester lacks."""
    root = a_config(security={"runAsRoot": "access" not in facts or None, "capabilities": {"drop": ["ALL"]}})
    answer = judge_run(a_request(_run(), root, matching=1, **facts), ALICE)
    assert answer.allowed
    assert any(words in warning for warning in answer.warnings), answer.warnings


def test_a_deputy_with_a_dangerous_tool_is_warned_about() -> None:
    """Service accounts lend their rights to whoever feeds them."""
    bot = UserInfo(username="system:serviceaccount:gitops:deployer", groups=ALICE.groups)
    high = a_config(security={"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True})
    answer = judge_run(a_request(a_powertool(requester={"username": bot.username}), high, matching=1), bot)
    assert any("lends its rights" in warning for warning in answer.warnings)


def test_the_stamp_replaces_whatever_the_user_wrote() -> None:
    """Whole; what has no spec is left to the schema."""
    (operation,) = stamp(_review(a_run_review(requester={"username": "root"}))).patch
    assert operation["path"] == "/spec/requester"
    assert operation["value"] == {"username": "alice", "groups": ("system:authenticated",)}
    assert stamp(_review(a_review({"kind": "PowerTool", "spec": 7}))).patch == ()


@pytest.mark.parametrize("obj", [None, {"kind": "PowerTool"}, {"kind": "Pod", "spec": {}}, config_manifest()])
def test_what_is_no_run_is_refused_and_not_an_error(obj: dict[str, Any] | None) -> None:
    """With what it should have been."""
    found = read_run(_review(a_review(obj)))
    assert isinstance(found, Answer)
    assert (found.allowed, found.code) == (False, 422)


def test_a_valid_config_is_let_in_with_its_findings() -> None:
    """Here: an image by tag."""
    answer = judge_written_config(_review(a_config_review(image="registry.example/tool:1")), [], SYSTEM)
    assert answer.allowed
    assert any("digest" in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    ("review", "words"),
    [
        (a_config_review(security={"capabilities": {"add": ["CAP_SYS_ADMIN"]}}), "did you mean SYS_ADMIN?"),
        (a_review(config_manifest({"namespace": "production"})), "only in the namespace toe-system"),
        (a_run_review(), "must be a PowerToolConfig"),
        (a_review(None), "no object"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(review: dict[str, Any], words: str) -> None:
    """With everything that is wrong about it."""
    answer = judge_written_config(_review(review), [], SYSTEM)
    assert not answer.allowed
    assert words in answer.message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"image": "registry.example/tool:1"}, "name the image by @sha256: digest"),
        ({"security": {"capabilities": {"drop": None, "add": ["KILL"]}, "runAsRoot": True}}, "drop ALL"),
        ({"security": {"capabilities": {"drop": ["ALL"], "add": ["KILL"]}}}, "KILL has no effect unless"),
        ({"security": {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True}}, "of tier High"),
    ],
)
def test_who_runs_a_tool_reads_what_is_known_about_it(config: dict[str, Any], words: str) -> None:
    """The findings of its config are warnings of the run; and that it is dangerous."""
    answer = judge_run(a_request(_run(), a_config(**config), matching=1), ALICE)
    assert answer.allowed
    assert any(words in warning for warning in answer.warnings), answer.warnings
    assert answer.warnings[0] == "1 pod matches now"


def test_nobody_creates_nothing() -> None:
    """A review without a user name is no caller that a stamp could equal."""
    assert not judge_run(a_request(_run(), matching=1), UserInfo()).allowed


def test_every_rule_of_the_controller_is_asked_at_admission() -> None:
    """A rule of the webhook's own would be a second law."""
    assert ADMIT is RUN


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({}, "lacks the annotations security.toe.run/risk-level"),
        ({**APPROVED["annotations"], "security.toe.run/review-date": "2026-02-28"}, "was due on 2026-02-28"),
    ],
)
def test_an_extreme_tool_that_no_run_may_use_is_written_with_a_warning(annotations: dict[str, str], words: str) -> None:
    """Its approval is missing, or its review is overdue: the administrator learns it first."""
    extreme = config_manifest(
        {"annotations": annotations},
        security={"capabilities": {"drop": ["ALL"], "add": ["SYS_MODULE"]}, "runAsRoot": True},
    )
    answer = judge_written_config(_review(a_review(extreme)), [], SYSTEM, NOW)
    assert answer.allowed
    assert any("no run of it is accepted" in w and words in w for w in answer.warnings), answer.warnings


def test_there_are_no_more_tools_than_the_catalog_holds() -> None:
    """One more could not be compiled, and nothing that is changed after it could either."""
    full = [a_config({"name": f"other-{number}"}, name=f"other-{number}") for number in range(MAX_TOOLS)]
    answer = judge_written_config(_review(a_config_review()), full, SYSTEM)
    assert "the catalog holds 256" in answer.message
    assert judge_written_config(_review(a_config_review()), full[1:], SYSTEM).allowed


def test_a_tool_name_has_one_holder() -> None:
    """A second one would make both unusable; the config itself is no second one."""
    same = a_config()
    other = a_config({"name": "other"})
    assert judge_written_config(_review(a_config_review()), [same], SYSTEM).allowed
    answer = judge_written_config(_review(a_config_review()), [same, other], SYSTEM)
    assert "held by the PowerToolConfig other" in answer.message


def test_who_approves_himself_is_told() -> None:
    """Somebody else should look at it."""
    annotations = {**APPROVED["annotations"], "security.toe.run/approved-by": "alice"}
    answer = judge_written_config(_review(a_review(config_manifest({"annotations": annotations}))), [], SYSTEM)
    assert any("names the author" in warning for warning in answer.warnings)


def test_a_config_that_is_wrong_already_can_still_be_labelled_and_removed() -> None:
    """Finalizers and labels are not judged; a change of spec or annotations is."""
    wrong = config_manifest({"namespace": "production"})
    going = config_manifest({"namespace": "production", "deletionTimestamp": "2026-03-01T12:00:00Z"}, image="other:1")
    for new, allowed in (
        (config_manifest({"namespace": "production", "labels": {"a": "b"}}), True),
        (going, True),
        (config_manifest({"namespace": "production"}, image="other:1"), False),
        (config_manifest({"namespace": "production", "annotations": {"security.toe.run/risk-level": "low"}}), False),
    ):
        review = a_review(new)
        review["request"] |= {"operation": "UPDATE", "oldObject": wrong}
        assert judge_written_config(_review(review), [], SYSTEM).allowed == allowed
