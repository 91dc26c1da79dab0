"""What a person is told when something goes wrong: the thing, the rule, and on a line of its own the way out."""

import os
import re
from collections.abc import Sequence

from toe.api.meta import GROUP
from toe.cli.screen import Screen
from toe.errors import (
    ClusterError,
    ConflictError,
    DecodeError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SettingsError,
    ToeError,
    UnavailableError,
)

_RIGHT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| at the cluster scope)?'
)
_OBJECT = re.compile(r'^(?P<resource>[a-z]+)[a-z.]* "(?P<name>[^"]*)" not found$')
KINDS = {
    "powertools": "run",
    "powertoolconfigs": "PowerToolConfig",
    "namespaces": "namespace",
    "pods": "pod",
    "artifacts": "artifact",
}


class ComplaintError(ToeError):
    """Is what a person is told instead of a traceback: sentences, ways out, and the exit status."""

    def __init__(self, *errors: str, hints: Sequence[str] = (), status: int = 1) -> None:
        self.errors = errors
        self.hints = tuple(hints)
        self.status = status
        super().__init__("; ".join(errors))

    def tell(self, screen: Screen) -> int:
        """Prints it and returns the exit status."""
        for error in self.errors:
            screen.error(error)
        for hint in self.hints:
            screen.hint(hint)
        return self.status


def explain(error: ToeError) -> ComplaintError:
    """Turns an error into sentences; those of the cluster each have their own."""
    match error:
        case ComplaintError():
            return error
        case ForbiddenError():
            return _forbidden(error)
        case NotFoundError():
            return _not_found(error)
        case ConflictError():
            return ComplaintError(error.message)
        case InvalidError():
            return _invalid(error)
        case UnavailableError():
            return _unavailable(error)
        case DecodeError():
            return ComplaintError(f"an answer of the cluster cannot be understood: {error}", hints=[UPGRADE])
        case SettingsError():
            return ComplaintError(str(error), hints=["`kubectl config get-contexts` lists what there is"], status=2)
        case _:
            return ComplaintError(str(error))


UPGRADE = "the CRDs in the cluster and this program may be of different versions: upgrade the older one"


def right(verb: str, resource: str, namespace: str | None) -> str:
    """Names a right as one asks an administrator for it."""
    where = f"in namespace {namespace}" if namespace else "in the whole cluster"
    return f"verb {verb} on {resource} {where}"


def no_log(error: ClusterError, pod: str) -> str:
    """Says why a log cannot be read. The API server answers 404 for a node that is gone too, and calls it a pod."""
    found = _OBJECT.match(error.message) if isinstance(error, NotFoundError) else None
    if found is not None and found["name"] == pod:
        return "the pod is gone, and its log with it"
    if found is not None:
        return f"its node {found['name']} is gone, and the log with it"
    return f"its log cannot be read: {explain(error)}"


def lacks_kind(error: ToeError) -> bool:
    """Tells whether the API server does not know the kind at all (no CRD), rather than lacking one object."""
    return isinstance(error, NotFoundError) and not _OBJECT.match(error.message)


def not_installed(server: str) -> ComplaintError:
    """Says that toe's CRDs are missing."""
    return ComplaintError(
        f"toe is not installed in the cluster at {server}: it does not know PowerTools",
        hints=["an administrator installs toe with its Helm chart; is this the right context? (--context)"],
    )


def other_version(served: Sequence[str], wanted: str) -> ComplaintError:
    """Says that the cluster speaks another version of the API."""
    return ComplaintError(
        f"the cluster serves {GROUP} in {', '.join(served)}, this program speaks {wanted}",
        hints=["use the program of the version that is installed in the cluster"],
    )


def too_old(version: str, wanted: str) -> ComplaintError:
    """Says that the Kubernetes version is below what toe needs."""
    return ComplaintError(
        f"the cluster runs Kubernetes {version}; toe needs {wanted} or later",
        hints=["upgrade the cluster, or choose another (--context)"],
    )


def _forbidden(error: ForbiddenError) -> ComplaintError:
    if error.status == 401:
        return ComplaintError(
            "the cluster does not accept these credentials (401)",
            hints=["log in again, or choose another user (--context, --user, --token)"],
        )
    found = _RIGHT.search(error.message)
    if found is None:
        return ComplaintError(error.message, hints=["an administrator set this rule"])
    words = found.groupdict()
    where = f" in namespace {words['namespace']}" if words["namespace"] else ""
    return ComplaintError(
        f"{words['user']} may not {words['verb']} {words['resource']}{where}",
        hints=[f"ask for: {right(words['verb'], words['resource'], words['namespace'])}"],
    )


def _not_found(error: NotFoundError) -> ComplaintError:
    found = _OBJECT.match(error.message)
    if found is None:
        return ComplaintError(error.message)
    kind = KINDS.get(found["resource"], found["resource"])
    if kind == "run":
        hints = ["`kubectl get powertools` lists the runs; is the namespace right? (-n)"]
    else:
        hints = ["is the namespace right? (-n)"] if kind == "namespace" else []
    return ComplaintError(f"there is no {kind} {found['name']}", hints=hints, status=2)


def _invalid(error: InvalidError) -> ComplaintError:
    if error.causes:
        return ComplaintError(
            *(f"{message} ({field})" if field else message for field, message in error.causes), status=2
        )
    return ComplaintError(error.message, status=2)


def _unavailable(error: UnavailableError) -> ComplaintError:
    if error.status:
        return ComplaintError(
            f"the cluster cannot answer now ({error.status}): {error.message}", hints=["try again in a moment"]
        )
    hints = ["is the cluster up, and is this the right context? (kubectl config current-context, --context)"]
    return ComplaintError(f"the cluster cannot be reached: {_why_unreachable(error)}", hints=hints)


def _why_unreachable(error: UnavailableError) -> str:
    """Returns the cause as the system names it, where it is known: ``Connection refused``."""
    cause = getattr(error.__cause__, "certificate_error", None) or getattr(error.__cause__, "os_error", None)
    if cause is None:
        return error.message
    number = getattr(cause, "errno", None)
    message = getattr(cause, "verify_message", "") or (os.strerror(number) if number and number > 0 else str(cause))
    return f"{error.message.partition(': ')[0]}: {message}"
