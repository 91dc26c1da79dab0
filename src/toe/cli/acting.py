"""Asking the API server as somebody else: nothing is ever stored.

Whoever plays one of toe's accounts sends the name of a pod too, as a token that is bound to a pod does; without it the
fence refuses everything, and no other layer is heard.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from toe.api.fence.accounts import POD_NAME
from toe.api.fence.policy import account
from toe.api.settings import Settings
from toe.errors import ClusterError
from toe.kube.access import Access, Impersonation
from toe.kube.client import Client
from toe.policy.layer import Answered, answered_by

EVERYBODY = "system:authenticated"
DRY_RUN = {"dryRun": "All", "fieldManager": "toe"}


def account_of(settings: Settings, name: str, *, bound: bool = True, groups: tuple[str, ...] = ()) -> Impersonation:
    """Returns an account of the system namespace, with a token that is bound to a pod unless told otherwise."""
    accounts = "system:serviceaccounts"
    return Impersonation(
        user=account(settings, name),
        groups=(accounts, f"{accounts}:{settings.system_namespace}", EVERYBODY, *groups),
        extra={POD_NAME: (f"{name}-doctor",)} if bound else {},
    )


class Actor:
    """Sends dry runs as anybody the person may impersonate; use it as ``async with``."""

    def __init__(self, access: Access, deadline: float) -> None:
        self._access, self._deadline = access, deadline
        self._clients: dict[str, Client] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Needs no preparation."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections of everybody."""
        await self._stack.aclose()

    async def send(
        self,
        who: Impersonation | None,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        *,
        is_dry: bool = True,
    ) -> tuple[Answered, bytes]:
        """Sends one request, None for as oneself, and returns who answered, and with what when it was accepted.

        It is a dry run, but for requests that are refused as such and change nothing. Nobody acts as two at once: with
        ``--as`` the person is somebody else already, and what that one may do is not what the credentials may.
        """
        if who is not None and self._access.impersonate.user:
            return Answered("impersonation", said="who acts as somebody (--as) cannot act as somebody else again"), b""
        client = await self._client(who)
        path, _, query = path.partition("?")
        params = {**dict(parse_qsl(query)), **(DRY_RUN if is_dry else {})}
        try:
            answer = await client.raw(method, path, params=params, body=body, content_type=content_type)
        except ClusterError as error:
            return answered_by(error.status, error.message), b""
        return Answered("accepted"), answer

    async def _client(self, who: Impersonation | None) -> Client:
        found = self._clients.get(str(who))
        if found is None:
            access = self._access if who is None else replace(self._access, impersonate=who)
            found = await self._stack.enter_async_context(Client(access, deadline=self._deadline))
            self._clients[str(who)] = found
        return found
