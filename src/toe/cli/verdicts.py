"""A verdict as a person reads it: each refusal with what would be accepted, said once."""

from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.policy.arguments import describe
from toe.policy.request import Request
from toe.policy.verdict import Denied, Undecided, Unmet, Violation


def refusals(denied: Denied, config: PowerToolConfig | None) -> tuple[list[str], list[str]]:
    """Returns one sentence for each violation, and the ways out."""
    errors, hints = [], []
    accepts = describe(config.spec.arguments) if config else ""
    for violation in denied.violations:
        message = violation.message
        if violation.reason is Reason.ARGUMENT_NOT_ALLOWED and accepts:
            message = message.removesuffix(f"; it accepts {accepts}")
            hint = f"it accepts: {accepts}"
            hints += [hint] if hint not in hints else []
        errors.append(f"{message} ({violation.field})" if violation.field else message)
    return errors, hints


def missing(undecided: Undecided, request: Request, program: str) -> tuple[list[str], list[str]]:
    """Returns one sentence for each thing that is missing, and the ways out."""
    errors, hints = [], []
    for unmet in undecided.unmet:
        message, way = _missing(unmet, program)
        errors.append(message)
        hints += [way] if way and way not in hints else []
    return errors, hints


def _missing(unmet: Unmet, program: str) -> tuple[str, str]:
    match unmet.reason:
        case Reason.TOOL_NOT_FOUND:
            message, _, meant = unmet.message.partition(" (did you mean ")
            near = meant.rstrip("?)")
            return message, f"did you mean {near}? ({program} tools)" if near else f"`{program} tools` lists them"
        case Reason.AMBIGUOUS_TOOL | Reason.TOOL_NOT_READY | Reason.TOOL_SUSPENDED:
            return unmet.message, "the administrator of the PowerToolConfigs can mend it"
        case Reason.NO_MATCHING_PODS:
            return unmet.message, "`kubectl get pods --show-labels` shows the labels; is the namespace right? (-n)"
        case Reason.PRIVILEGED_NOT_ALLOWED:
            return unmet.message, "whether it is labelled for privileged tools could not be read"
        case _:
            return unmet.message, ""


def short(answer: Violation | Unmet, config: PowerToolConfig) -> str:
    """Says in a few words why a tool is not for somebody, for a cell of a table."""
    match answer.reason:
        case Reason.NAMESPACE_NOT_ALLOWED:
            return f"only in {', '.join(config.spec.allowed_namespaces or ()) or 'no namespace'}"
        case Reason.NAMESPACE_PROTECTED:
            return "the namespace is protected"
        case Reason.PRIVILEGED_NOT_ALLOWED if isinstance(answer, Unmet):
            return "whether the namespace is labelled for privileged tools could not be read"
        case Reason.PRIVILEGED_NOT_ALLOWED:
            return "the namespace is not labelled for privileged tools"
        case Reason.TOOL_SUSPENDED:
            return "suspended by the administrator"
        case _:
            return answer.message
