"""``rbac``: what to hand out so that somebody may run a tool, as YAML for ``kubectl apply -f -``."""

import asyncio

import msgspec
import yaml

from toe.api.powertool import PowerTool
from toe.api.reasons import Reason
from toe.api.settings import Profile
from toe.cli.call import Call
from toe.cli.cluster import Cluster, manifest, reach
from toe.cli.installed import installed_settings
from toe.cli.request import as_run
from toe.cli.sentences import ComplaintError
from toe.cli.verdicts import missing
from toe.kube.access_review import review
from toe.policy.access import Answers, Question, use_of
from toe.policy.chains import evaluate
from toe.policy.checks import (
    approval_current,
    namespace_allowed,
    namespace_not_protected,
    privileged_permitted,
    service_account_permitted,
    tool_known,
    tool_not_suspended,
    tool_ready,
    tool_unambiguous,
)
from toe.policy.request import JudgedConfig, Request
from toe.policy.verdict import Allowed, Denied, Undecided
from toe.report.grants import Grant, Subject, grants, results

_CHAIN = (
    tool_known.check,
    tool_unambiguous.check,
    namespace_not_protected.check,
    namespace_allowed.check,
    tool_ready.check,
    tool_not_suspended.check,
    approval_current.check,
    privileged_permitted.check,
    service_account_permitted.check,
)
"""What no right helps against."""
_USELESS = (Reason.TOOL_NOT_FOUND, Reason.AMBIGUOUS_TOOL, Reason.NAMESPACE_PROTECTED, Reason.NAMESPACE_NOT_ALLOWED)
"""Where a right would be of no use at all, so that none is handed out."""


def subject_of(user: str | None, group: str | None, account: str | None) -> Subject:
    """Returns the one subject that was named; ComplaintError for none, several, or half of a service account."""
    given = [word for word in (user, group, account) if word]
    if len(given) != 1:
        hint = "--user NAME, --group NAME or --service-account NAMESPACE:NAME"
        raise ComplaintError("for whom? name one user, group or service account", hints=[hint], status=2)
    if user:
        if user.startswith("system:serviceaccount:"):
            return subject_of(None, None, user.removeprefix("system:serviceaccount:"))
        return Subject("User", user)
    if group:
        return Subject("Group", group)
    namespace, _, name = given[0].partition(":")
    if not namespace or not name or ":" in name:
        message = f"--service-account {given[0]}: NAMESPACE:NAME is wanted"
        raise ComplaintError(message, hints=["--service-account shop:profiler"], status=2)
    return Subject("ServiceAccount", name, namespace)


def rbac(call: Call, tool: str, subject: Subject, profile: Profile | None) -> int:
    """Prints the objects that give a subject what it lacks, and nothing else, on stdout; all talk is on stderr."""
    return reach(call, lambda cluster: _rbac(cluster, tool, subject, profile))


async def _rbac(cluster: Cluster, tool: str, subject: Subject, profile: Profile | None) -> int:
    screen, namespace = cluster.call.screen, cluster.namespace
    cluster.settings = await installed_settings(cluster, profile)
    judged = await _judged(cluster, tool, subject)
    wanted = grants(judged, subject, namespace, cluster.settings)
    answers = await _ask(cluster, subject, wanted)
    handed: list[Grant] = []
    for grant in wanted:
        found = [answers[right] for right in grant.rights]
        if all(found):
            screen.say(f"# left out: {subject} may {grant.purpose} already")
            continue
        unasked = "; whether that is there already could not be asked" if None in found else ""
        screen.say(f"# {subject} may {grant.purpose}{unasked}")
        handed.append(grant)
    for right in results(namespace):
        if answers[right] is False:
            screen.say(f"# not handed out: {right}; choosing pods and reading results takes it")
    if use_of(tool, judged.readiness.tier, namespace, cluster.settings) is None:
        screen.say(f"# {tool} is of tier {judged.readiness.tier} by itself; some pods raise that, `plan` says which")
    if not handed:
        screen.say(f"{subject} has everything that {tool} takes in {namespace}: there is nothing to apply")
        return 0
    objects = [obj for grant in handed for obj in grant.objects]
    screen.document(yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True))
    return 0


async def _ask(cluster: Cluster, subject: Subject, wanted: tuple[Grant, ...]) -> Answers:
    """Asks what the subject may do already; None for what the person may not ask."""
    questions: list[Question] = [right for grant in wanted for right in grant.rights]
    questions += results(cluster.namespace)
    user = msgspec.to_builtins(subject.identity)
    found = await asyncio.gather(*(review(cluster.client, user, msgspec.to_builtins(right)) for right in questions))
    return dict(zip(questions, found, strict=True))


async def _judged(cluster: Cluster, tool: str, subject: Subject) -> JudgedConfig:
    """Returns the tool; ComplaintError where no right would help, a warning for what else is in the way."""
    configs = await cluster.configs()
    request = Request(
        run=_run_of(tool, subject, cluster.namespace),
        configs=tuple(judged for judged in configs if judged.config.spec.name == tool),
        tool_names=tuple(judged.config.spec.name for judged in configs),
        settings=cluster.settings,
        namespace_labels=await cluster.namespace_labels(),
        now=cluster.call.now(),
    )
    match evaluate(_CHAIN, request):
        case Denied(violations):
            if useless := [violation.message for violation in violations if violation.reason in _USELESS]:
                raise ComplaintError(*useless, hints=["no right helps against that: nothing is handed out"], status=2)
            for violation in violations:
                cluster.call.screen.warn(f"no right helps against this: {violation.message}")
        case Undecided(unmet) as undecided:
            errors, hints = missing(undecided, request, cluster.call.program)
            if any(missed.reason in _USELESS for missed in unmet):
                raise ComplaintError(*errors, hints=hints, status=2)
            for error in errors:
                cluster.call.screen.warn(f"no right helps against this: {error}")
        case Allowed():
            pass
    return request.configs[0]


def _run_of(tool: str, subject: Subject, namespace: str) -> PowerTool:
    targets = {"labelSelector": {"matchLabels": {"app": "any"}}}
    run = as_run(manifest("any", {"targets": targets, "tool": {"name": tool, "duration": "1s"}}), namespace)
    spec = msgspec.structs.replace(run.spec, requester=subject.identity)
    return msgspec.structs.replace(run, spec=spec)
