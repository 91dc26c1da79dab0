"""Who asks, and may he? The API server answers both: by its certificate or a TokenReview, and by an access review."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from aiohttp import web

from toe.api.meta import Struct
from toe.collector.refusals import forbidden, later, unknown_caller
from toe.errors import ClusterError, DecodeError, ForbiddenError
from toe.kube.access_review import review
from toe.kube.client import Client
from toe.kube.token_review import bearer, holder
from toe.report.artifacts import GROUP, PLURAL, VERSION


class Person(Struct, frozen=True):
    """Is who asks, as the API server knows him."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """Returns the whole identity, as reviews take it."""
        return {
            "username": self.username,
            "uid": self.uid,
            "groups": list(self.groups),
            "extra": {key: list(values) for key, values in self.extra.items()},
        }


class Right(Struct, frozen=True):
    """Is what he wants: a verb on artifacts or a part of them. ``name`` is empty for a list, ``namespace`` for all."""

    verb: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """Is the resource with its part: ``artifacts/content``."""
        return f"{PLURAL}/{self.subresource}" if self.subresource else PLURAL

    def attributes(self) -> dict[str, str]:
        """Returns it as reviews take it."""
        found = {
            "verb": self.verb,
            "group": GROUP,
            "version": VERSION,
            "resource": PLURAL,
            "subresource": self.subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {key: value for key, value in found.items() if value}


class Doorman(Protocol):
    """Finds out who asks."""

    async def who(self, request: web.Request) -> Person:
        """Returns the person; RefusedError when nobody knows him."""
        ...


class Bearers:
    """Has the API server say whose a token is: one that is good for the API server itself. Headers name nobody."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def who(self, request: web.Request) -> Person:
        """Returns whose the token is."""
        try:
            user = await holder(self._client, bearer(request.headers.getall("Authorization", [])))
        except ForbiddenError:
            raise later("the collector may not ask whose a token is") from None
        except (ClusterError, DecodeError):
            raise later("the API server does not say whose this token is") from None
        if user is None:
            raise unknown_caller()
        return Person(user.username, user.uid, user.groups or (), user.extra or {})


class Reviews(Protocol):
    """Answers whether somebody has a right."""

    async def may(self, person: Person, right: Right) -> bool | None:
        """Returns yes or no; None when nobody says."""
        ...


class AccessReviews:
    """Asks the API server, each time: a right that was taken away is gone at once."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def may(self, person: Person, right: Right) -> bool | None:
        """Asks with the whole identity."""
        identity: Mapping[str, Any] = person.identity()
        return await review(self._client, identity, right.attributes())


async def expect_right(reviews: Reviews, person: Person, right: Right) -> None:
    """Returns when the person has the right; RefusedError when not, and when nobody says."""
    answer = await reviews.may(person, right)
    if answer is None:
        raise later("whether you may do this cannot be found out now")
    if not answer:
        raise forbidden(person.username, right.verb, right.resource, right.namespace, right.name)
