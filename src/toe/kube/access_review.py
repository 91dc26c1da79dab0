"""May somebody do something? Asked of the API server with the whole identity: username, uid, groups and extra.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from toe.errors import ClusterError
from toe.kube.client import Client

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
DEADLINE = 3.0
"""Seconds that an answer may take; none in that time is no answer."""


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    allowed: bool = False
    denied: bool = False
    evaluation_error: str = ""


class _Review(msgspec.Struct, frozen=True):
    status: _Status


async def review(
    client: Client, user: Mapping[str, Any], attributes: Mapping[str, str], *, deadline: float = DEADLINE
) -> bool | None:
    """Returns the API server's answer; None when there was none in time, or it could not make up its mind.

    ``user`` holds username, uid, groups and extra; ``attributes`` are resourceAttributes.
    """
    return await _review(client, user, {"resourceAttributes": dict(attributes)}, deadline)


async def may_get(client: Client, user: Mapping[str, Any], path: str, *, deadline: float = DEADLINE) -> bool | None:
    """Returns whether somebody may ``get`` a path that is no resource; None as for :func:`review`."""
    return await _review(client, user, {"nonResourceAttributes": {"path": path, "verb": "get"}}, deadline)


async def _review(client: Client, user: Mapping[str, Any], what: Mapping[str, Any], deadline: float) -> bool | None:
    spec = {
        "user": user.get("username", ""),
        "uid": user.get("uid", ""),
        "groups": list(user.get("groups") or ()),
        "extra": {key.lower(): list(values) for key, values in (user.get("extra") or {}).items()},
        **what,
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    try:
        answer = await client.raw("POST", PATH, body=body, deadline=deadline, repeatable=True)
        status = msgspec.json.decode(answer, type=_Review).status
    except (ClusterError, msgspec.DecodeError):
        return None
    if status.allowed:
        return True
    return None if status.evaluation_error and not status.denied else False
