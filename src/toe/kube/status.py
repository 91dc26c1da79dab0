"""Turns what the API server says when it refuses into toe's errors."""

from email.utils import parsedate_to_datetime

import msgspec

from toe.errors import (
    ClusterError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)


class Cause(msgspec.Struct, frozen=True):
    """Is one reason of a refusal, with the field it is about."""

    field: str = ""
    message: str = ""


class Details(msgspec.Struct, frozen=True, rename="camel"):
    """Is the machine-readable part of a Status."""

    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: int = 0


class Status(msgspec.Struct, frozen=True):
    """Is Kubernetes' answer when there is no object to answer with.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
    """

    code: int = 0
    message: str = ""
    reason: str = ""
    details: Details | None = None


_DECODER = msgspec.json.Decoder(Status)
_SNIPPET = 200


def refusal(code: int, body: bytes | msgspec.Raw, *, retry_after: str = "") -> ClusterError:
    """Is the error for an answer with HTTP status ``code``; ``retry_after`` is the header of that name.

    The body is a Status, or the plain text of something between us and the API server, of which 200 characters are
    kept. A ``code`` of 0 means that the Status itself tells it, as in a watch's ERROR event.
    """
    try:
        status = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = Status(code=code, message=" ".join(bytes(body).decode(errors="replace").split())[:_SNIPPET])
    code = code or status.code or 500
    details = status.details or Details()
    return _class(code, status.reason)(
        status.message or f"the API server answered {code}",
        status=code,
        reason=status.reason,
        retry_after=_seconds(retry_after) or float(details.retry_after_seconds) or None,
        causes=tuple((cause.field, cause.message) for cause in details.causes or ()),
    )


def _class(code: int, reason: str) -> type[ClusterError]:
    if reason in ("Expired", "Gone"):
        return ExpiredError
    match code:
        case 401 | 403:
            return ForbiddenError
        case 404:
            return NotFoundError
        case 409:
            return ConflictError
        case 410:
            return ExpiredError
        case 408 | 429:
            return UnavailableError
        case _ if 400 <= code < 500:
            return InvalidError
        case _:
            return UnavailableError


def _seconds(header: str) -> float | None:
    """Reads Retry-After: whole seconds. A date (RFC 9110 allows it, Kubernetes never sends it) counts as one second."""
    if not header:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        parsedate_to_datetime(header)
    except ValueError:
        return None
    return 1.0
