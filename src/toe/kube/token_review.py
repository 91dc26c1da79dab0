"""Whose is a token? Asked of the API server, which knows every kind of them.

Source: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
"""

import msgspec

from toe.errors import DecodeError
from toe.kube.client import Client

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
DEADLINE = 5.0
"""Seconds that an answer may take."""
LONGEST_TOKEN = 16 * 1024
"""Bytes; what is longer is nobody's."""


class User(msgspec.Struct, frozen=True):
    """Is whose a token is."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None


class _Status(msgspec.Struct, frozen=True):
    authenticated: bool = False
    user: User = User()
    error: str = ""


class _Review(msgspec.Struct, frozen=True):
    status: _Status = _Status()


async def holder(client: Client, token: str) -> User | None:
    """Returns whose the token is, one that is good for the API server itself; None when it is nobody's.

    Raises ClusterError, or DecodeError, when the API server does not say.
    """
    if not token or len(token) > LONGEST_TOKEN:
        return None
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = await client.raw("POST", PATH, body=body, deadline=DEADLINE, repeatable=True)
    try:
        status = msgspec.json.decode(answer, type=_Review).status
    except msgspec.DecodeError as error:
        raise DecodeError(str(error), source="TokenReview") from None
    return status.user if status.authenticated and not status.error and status.user.username else None


def bearer(headers: list[str]) -> str:
    """Returns the token of the one header Authorization; empty where there is none, another kind, or more than one."""
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""
