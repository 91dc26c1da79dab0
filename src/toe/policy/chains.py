"""The rules in order. All of them are asked; every violation is told at once.

``LINT`` is what can be said of a manifest before anybody has created it. ``RUN`` is the law: the controller judges
with it right before each injection, for whoever admission stamped as the requester. ``ADMIT`` is the same rules asked
early, as a courtesy: the webhook lets in what may still come by itself. ``TARGET`` judges one pod of a run.
``UPLOAD`` judges each step of an upload, before its body and again before it is kept. AUDIT comes with its door.
"""

from collections.abc import Callable

from toe.policy.checks import (
    address_of_pod,
    approval_current,
    arguments_allowed,
    claim_listed,
    claim_mounted,
    collector_configured,
    container_allowed,
    container_exists,
    cpu_limit_stricter,
    duration_within_limits,
    fence_in_force,
    fields_permitted,
    host_pid_allowed,
    identity_known,
    image_pinned,
    namespace_allowed,
    namespace_has_room,
    namespace_not_protected,
    output_mode_listed,
    pod_allowed,
    pod_has_room,
    privileged_permitted,
    quota_left,
    requester_known,
    requester_may_enter,
    requester_may_use,
    room_left,
    run_live,
    selector_positive,
    service_account_permitted,
    target_running,
    target_tier_permitted,
    targets_within_limit,
    ticket_current,
    tool_known,
    tool_not_suspended,
    tool_ready,
    tool_unambiguous,
    within_limit,
)
from toe.policy.request import Request, TargetRequest
from toe.policy.upload import UploadRequest
from toe.policy.verdict import Allowed, Denied, Undecided, Unmet, Verdict, Violation

Check = Callable[[Request], tuple[Unmet | Violation, ...]]
TargetCheck = Callable[[TargetRequest], tuple[Violation, ...]]
UploadCheck = Callable[[UploadRequest], tuple[Violation, ...]]

LINT: tuple[Check, ...] = (
    fields_permitted.check,  # nothing of a user's changes security
    tool_known.check,  # an administrator wrote it down
    tool_unambiguous.check,  # exactly once
    tool_ready.check,  # and it means something
    tool_not_suspended.check,  # and it is switched on
    approval_current.check,  # and somebody approved what is Extreme
    image_pinned.check,  # and its content cannot be moved
    namespace_not_protected.check,  # not in the control plane
    namespace_allowed.check,  # where the administrator said
    privileged_permitted.check,  # privileged where the platform said
    selector_positive.check,  # aimed at something
    targets_within_limit.check,  # and at not too much
    arguments_allowed.check,  # in words the administrator accepts
    duration_within_limits.check,  # for a time that ends
    cpu_limit_stricter.check,  # not greedier than permitted
    output_mode_listed.check,  # with results leaving as permitted
    claim_listed.check,  # to where the administrator said
)

RUN: tuple[Check, ...] = (
    *LINT,
    collector_configured.check,  # by a collector that is the administrator's
    namespace_has_room.check,  # when it is its turn
    fence_in_force.check,  # behind a fence that holds without us
    requester_known.check,  # somebody answers for it
    service_account_permitted.check,  # no deputy that nobody listed
    requester_may_use.check,  # who may use the tool
    requester_may_enter.check,  # and could enter the target himself
)

ADMIT: tuple[Check, ...] = RUN  # a rule of its own would be a second law

TARGET: tuple[TargetCheck, ...] = (
    container_exists.check,  # the container that was asked for
    container_allowed.check,  # one that the tool may join
    pod_allowed.check,  # in a pod that it may join
    target_running.check,  # which is up
    identity_known.check,  # with an identity that is known and permitted
    host_pid_allowed.check,  # without the node's processes unless permitted
    target_tier_permitted.check,  # where the tool is no more than the requester may use
    claim_mounted.check,  # with the volume that the files go to
    pod_has_room.check,  # and room for one more
)

UPLOAD: tuple[UploadCheck, ...] = (
    run_live.check,  # of a run that is there
    ticket_current.check,  # with a ticket whose time is not over
    address_of_pod.check,  # from where it belongs
    within_limit.check,  # no more than it says
    quota_left.check,  # nor than its namespace may keep
    room_left.check,  # nor than there is room for
)


def evaluate(chain: tuple[Check, ...], request: Request) -> Verdict:
    """Asks every check: Denied with all violations, else Undecided with all that is missing, else Allowed."""
    answers = [answer for check in chain for answer in check(request)]
    if violations := tuple(answer for answer in answers if isinstance(answer, Violation)):
        return Denied(violations)
    if unmet := tuple(answer for answer in answers if isinstance(answer, Unmet)):
        return Undecided(unmet)
    return Allowed()


def evaluate_target(request: TargetRequest) -> Allowed | Denied:
    """Asks every target check about one pod; a pod is never undecided."""
    violations = tuple(violation for check in TARGET for violation in check(request))
    return Denied(violations) if violations else Allowed()


def evaluate_upload(request: UploadRequest) -> Allowed | Denied:
    """Asks every upload check about one step of an upload; the first violation is the one to tell."""
    violations = tuple(violation for check in UPLOAD for violation in check(request))
    return Denied(violations) if violations else Allowed()
