"""How people are refused: Kubernetes' own Status, which kubectl prints as a sentence."""

from typing import Any

from toe.errors import ToeError
from toe.report.artifacts import GROUP, PLURAL

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    410: "Expired",
    412: "PreconditionFailed",
    416: "RangeNotSatisfiable",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class RefusedError(ToeError):
    """Is a refusal: the HTTP status, a sentence, and the headers that go with it."""

    def __init__(self, status: int, message: str, *, name: str = "", headers: dict[str, str] | None = None) -> None:
        self.status, self.message, self.name = status, message, name
        self.headers = headers or {}
        super().__init__(message)

    def answer(self) -> dict[str, Any]:
        """Returns the Status to send.

        Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
        """
        found: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": _REASONS[self.status],
            "code": self.status,
        }
        if self.name:
            found["details"] = {"name": self.name, "group": GROUP, "kind": PLURAL}
        return found


def unknown_caller() -> RefusedError:
    """Says that nobody knows who asks, and nothing more."""
    return RefusedError(401, "Unauthorized")


def not_found(name: str) -> RefusedError:
    """Says that there is no artifact of this name, as the API server says it of its own."""
    return RefusedError(404, f'{PLURAL}.{GROUP} "{name}" not found', name=name)


def no_such_path() -> RefusedError:
    """Says that nothing is served there."""
    return RefusedError(404, "the server could not find the requested resource")


def forbidden(user: str, verb: str, resource: str, namespace: str, name: str) -> RefusedError:
    """Says which right is missing, in the words of RBAC, so that programs read it as one of its own."""
    what = f'{PLURAL}.{GROUP} "{name}"' if name else f"{PLURAL}.{GROUP}"
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    right = f'User "{user}" cannot {verb} resource "{resource}" in API group "{GROUP}" {where}'
    return RefusedError(403, f"{what} is forbidden: {right}", name=name)


def later(message: str, seconds: int = 1) -> RefusedError:
    """Says that it may go well another time."""
    return RefusedError(503, message, headers={"Retry-After": str(seconds)})
