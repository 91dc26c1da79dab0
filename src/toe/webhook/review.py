"""An AdmissionReview and its answer (admission.k8s.io/v1). Nothing that comes in is trusted to be one.

Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#webhook-request-and-response
"""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from toe.api.powertool import Requester
from toe.errors import DecodeError
from toe.plan.summary import printable

API_VERSION = "admission.k8s.io/v1"
MAX_BYTES = 7 * 1024 * 1024
"""Two objects of 3 MiB, the most that the API server takes, and what is around them."""
MAX_DEPTH = 128
MAX_ENTRIES = 16_384
"""Commas and opened brackets: more than both objects of a review can have, few enough to be judged in time."""
MAX_MESSAGE = 16 * 1024
MAX_WARNING = 256
MAX_WARNINGS = 4096
"""What the API server shows of all warnings together, in bytes."""


class UserInfo(msgspec.Struct, frozen=True):
    """Is the caller as the API server authenticated it."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] | None = None

    @property
    def requester(self) -> Requester:
        """Is the caller as a run is stamped with it."""
        return Requester(username=self.username, uid=self.uid, groups=self.groups, extra=self.extra or None)


class Kind(msgspec.Struct, frozen=True):
    """Names what is under review."""

    group: str = ""
    version: str = ""
    kind: str = ""


class Review(msgspec.Struct, frozen=True, rename="camel"):
    """Is the part of an AdmissionReview's request that is judged."""

    uid: str
    kind: Kind
    operation: str
    user_info: UserInfo = UserInfo()
    namespace: str = ""
    name: str = ""
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None
    dry_run: bool = False


class Answer(msgspec.Struct, frozen=True):
    """Is what becomes of a request: allowed, or refused with 403 or 422 and everything that is wrong."""

    allowed: bool
    message: str = ""
    code: int = 200
    warnings: tuple[str, ...] = ()
    patch: tuple[dict[str, Any], ...] = ()


def refuse(messages: Iterable[str], *, code: int = 403, warnings: Iterable[str] = ()) -> Answer:
    """Makes a refusal of everything that is wrong, one sentence after the other; past 16 KiB the rest is counted."""
    told: list[str] = []
    size = left = 0
    for message in messages:
        size += len(message) + 2
        if told and size > MAX_MESSAGE:
            left += 1
        else:
            told.append(message[:MAX_MESSAGE])
    if left:
        told.append(f"and {left} more")
    return Answer(allowed=False, message="; ".join(told), code=code, warnings=tuple(warnings))


def read_review(body: bytes) -> Review:
    """Reads a review.

    DecodeError for what is none: too large, too deep, too many entries, a key given twice, not UTF-8, another version,
    no uid, no request. It takes time in proportion to the length of the body, whatever is in it.
    """
    if len(body) > MAX_BYTES:
        raise DecodeError(f"is larger than {MAX_BYTES} bytes", source="AdmissionReview")
    bare = _STRINGS.sub(b"", body)
    if sum(map(bare.count, (b",", b"[", b"{"))) > MAX_ENTRIES:
        raise DecodeError(f"has more than {MAX_ENTRIES} entries", source="AdmissionReview")
    if _depth(bare) > MAX_DEPTH:
        raise DecodeError(f"is nested deeper than {MAX_DEPTH}", source="AdmissionReview")
    try:
        raw = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        if _SURROGATE.search(body):
            json.dumps(raw, ensure_ascii=False).encode()  # half a pair is no text, and nothing can be sent on with it
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"is no JSON that can be read: {error}", source="AdmissionReview") from None
    if not isinstance(raw, dict) or raw.get("apiVersion") != API_VERSION or raw.get("kind") != "AdmissionReview":
        raise DecodeError(f"must be an AdmissionReview of {API_VERSION}", source="AdmissionReview")
    try:
        review = msgspec.convert(raw.get("request"), Review)
    except msgspec.ValidationError as error:
        raise DecodeError(str(error), path="request", source="AdmissionReview") from None
    if not review.uid:
        raise DecodeError("must be given", path="request.uid", source="AdmissionReview")
    return review


def write_answer(uid: str, answer: Answer) -> bytes:
    """Writes the answer to the review of that uid; kubectl prints its sentences as they are, so they are printable."""
    response: dict[str, Any] = {"uid": uid, "allowed": answer.allowed}
    if not answer.allowed:
        reason = "Invalid" if answer.code == 422 else "Forbidden"
        response["status"] = {"code": answer.code, "reason": reason, "message": printable(answer.message)}
    if warnings := _fitting(answer.warnings):
        response["warnings"] = warnings
    if answer.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(answer.patch).encode()).decode()
    return json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}).encode()


_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or what is left from an open quote on; possessive, and never failing once it has begun: linear."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACKETS = re.compile(rb"[\[\]{}]")


def _depth(bare: bytes) -> int:
    """Returns how deep the brackets of a body without its strings are nested, without building anything."""
    deepest = depth = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {name[:40]!r} is given twice")
            seen.add(name)
    return found


def _fitting(warnings: Iterable[str]) -> list[str]:
    """Returns the first warnings, each on one line and cut, as many as the API server shows."""
    found, size = [], 0
    for warning in warnings:
        cut = printable(" ".join(warning[:MAX_WARNING].split()))
        size += len(cut.encode(errors="replace"))
        if size > MAX_WARNINGS:
            break
        found.append(cut)
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
