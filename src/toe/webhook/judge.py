"""What becomes of a request to create a PowerTool, or to write a PowerToolConfig. Pure.

The chain ADMIT is asked with what is known now. A violation refuses; so does a right that was not answered. What may
come by itself (a config, a pod) is let in with a warning: ``kubectl apply -f dir/`` works in any order.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from toe.api.codec import decode, problems_of
from toe.api.powertool import PowerTool
from toe.api.powertoolcatalog import MAX_TOOLS
from toe.api.powertoolconfig import SECURITY_ANNOTATIONS, PowerToolConfig
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.policy.access import entry_to
from toe.policy.chains import ADMIT, evaluate
from toe.policy.checks.approval_current import shortcomings
from toe.policy.readiness import judge_config
from toe.policy.request import JudgedConfig, Request
from toe.policy.tier import withholds_files
from toe.policy.verdict import Allowed, Denied, Undecided
from toe.webhook.review import Answer, Review, UserInfo, refuse

ENFORCE = "pod-security.kubernetes.io/enforce"
LEVELS = ("restricted", "baseline", "privileged")


def read_run(review: Review) -> PowerTool | Answer:
    """Returns the run under review, in its namespace; a refusal for what is none."""
    found = _read(review)
    if isinstance(found, (Answer, PowerTool)):
        return found
    return refuse([f"must be a PowerTool, not a {review.kind.kind}"], code=422)


def judge_run(request: Request, user: UserInfo) -> Answer:
    """Returns what becomes of a run that this user creates; the request holds the answers about his rights."""
    if not user.username:
        return refuse(["nobody is named as the caller: a PowerTool is created by somebody"])
    if request.run.spec.requester != user.requester:
        return refuse(["spec.requester: must be the caller: it is written by the API server, never by the user"])
    warnings = tuple(_warnings(request))
    match evaluate(ADMIT, request):
        case Denied(violations):
            return refuse((str(violation) for violation in violations), warnings=warnings)
        case Undecided(unmet) if any(missing.reason is Reason.ACCESS_UNKNOWN for missing in unmet):
            return refuse(missing.message for missing in unmet)
        case Undecided(unmet):
            return Answer(allowed=True, warnings=(*(missing.message for missing in unmet), *warnings))
        case Allowed():
            return Answer(allowed=True, warnings=warnings)


def stamp(review: Review) -> Answer:
    """Returns the patch that writes the caller into a run, whatever the user wrote there.

    For Kubernetes before 1.36; from there on the API server does it itself.
    """
    if review.object is None or not isinstance(review.object.get("spec"), dict):
        return Answer(allowed=True)
    value = msgspec.to_builtins(review.user_info.requester)
    return Answer(allowed=True, patch=({"op": "add", "path": "/spec/requester", "value": value},))


def judge_written_config(
    review: Review, others: Sequence[PowerToolConfig], settings: Settings, now: datetime | None = None
) -> Answer:
    """Returns what becomes of a config that is created or changed; ``others`` are those of the system namespace."""
    if _is_no_change(review):
        return Answer(allowed=True)
    config = _read(review)
    if isinstance(config, Answer):
        return config
    if isinstance(config, PowerTool):
        return refuse([f"must be a PowerToolConfig, not a {review.kind.kind}"], code=422)
    judged = JudgedConfig(config=config, readiness=judge_config(config, settings))
    wrong = [str(violation) for violation in judged.readiness.violations]
    name = config.spec.name
    names = {other.spec.name for other in others if other.metadata.name != config.metadata.name}
    if name in names:
        holder = next(
            o.metadata.name for o in others if o.spec.name == name and o.metadata.name != config.metadata.name
        )
        wrong.append(f"spec.name: the tool name {name} is held by the PowerToolConfig {holder}: choose another")
    elif len(names) >= MAX_TOOLS:
        wrong.append(f"spec.name: there are {len(names)} tools already, and the catalog holds {MAX_TOOLS}")
    warnings = [f"{finding.field}: {finding.message}" for finding in judged.readiness.findings]
    warnings += [f"no run of it is accepted: {lack}" for lack in shortcomings(judged, settings, now)]
    approver = (config.metadata.annotations or {}).get(SECURITY_ANNOTATIONS + "approved-by")
    if approver and approver == review.user_info.username:
        warnings.append(f"{SECURITY_ANNOTATIONS}approved-by: names the author: somebody else should approve")
    return refuse(wrong, warnings=warnings) if wrong else Answer(allowed=True, warnings=tuple(warnings))


def _is_no_change(review: Review) -> bool:
    """Tells whether an update leaves what is judged as it was, or is of an object that is going.

    So that labels, a finalizer, or another storage version never hang on what is wrong with a config that exists.
    """
    if review.operation != "UPDATE" or review.object is None or review.old_object is None:
        return False
    new, old = (obj.get("metadata") for obj in (review.object, review.old_object))
    if not isinstance(new, dict) or not isinstance(old, dict):
        return False
    if new.get("deletionTimestamp"):
        return True
    same = review.object.get("spec") == review.old_object.get("spec")
    return same and new.get("annotations") == old.get("annotations")


def _read(review: Review) -> PowerTool | PowerToolConfig | Answer:
    raw = review.object
    if raw is None:
        return refuse(["there is no object to judge"], code=422)
    raw = {**raw, "metadata": _placed(raw.get("metadata"), review)}
    if problems := problems_of(raw):
        return refuse((str(problem) for problem in problems), code=422)
    return decode(raw)


def _placed(metadata: Any, review: Review) -> dict[str, Any]:
    """Returns metadata with the namespace of the request; before creation there may be no name yet."""
    found = metadata if isinstance(metadata, dict) else {}
    return {**found, "namespace": review.namespace, "name": found.get("name") or review.name or "unnamed"}


def _warnings(request: Request) -> Iterable[str]:
    if len(request.configs) != 1:
        return
    judged = request.configs[0]
    name, tier = judged.config.spec.name, judged.readiness.tier
    if request.matching:
        yield f"{request.matching} pod{'s match' if request.matching != 1 else ' matches'} now"
    if why := _forbidden_by_level(judged, (request.namespace_labels or {}).get(ENFORCE, "privileged")):
        yield why
    right = entry_to(request.run.metadata.namespace)
    if request.settings.require_target_access == "warn" and request.access.get(right) is False:
        yield f"{name} reaches {', '.join(judged.readiness.reach)}, and you lack {right}"
    if tier in ("High", "Extreme"):
        yield f"{name} is of tier {tier}"
        requester = request.run.spec.requester
        if requester is not None and requester.is_service_account and request.settings.service_accounts == "warn":
            yield "a service account lends its rights to whoever feeds it manifests"
    if request.run.spec.output.mode == "ephemeral" and withholds_files(judged.config.spec):
        yield f"files of {name} do not leave through the container's log: it reaches memory or traffic"
    for finding in judged.readiness.findings:
        yield f"{name}: {finding.message}"


def _forbidden_by_level(judged: JudgedConfig, enforced: str) -> str:
    needs = judged.readiness.pod_security_level
    if enforced not in LEVELS or LEVELS.index(needs) <= LEVELS.index(enforced):
        return ""
    return f"the namespace enforces Pod Security {enforced}, {judged.config.spec.name} needs {needs}"
