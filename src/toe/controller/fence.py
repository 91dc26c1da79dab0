"""Is the API server's fence around our own account in force? Nothing is injected while it is not.

Two answers are asked for: what is installed equals what this version generates, followed by two watches, and a request
that must be refused is refused, asked once for each change. Nothing polls.
"""

import asyncio
from collections.abc import Callable

import structlog

from toe.api.fence.canary import Canary, canary, gaps
from toe.api.fence.objects import fence
from toe.api.fence.policy import MARKS
from toe.api.settings import Settings
from toe.errors import ClusterError
from toe.kube.cache import Cache
from toe.kube.client import Client
from toe.kube.resource import POLICIES, POLICY_BINDINGS, AdmissionPolicy

RETRY_SECONDS = 1.0
"""A new policy takes up to a second to be in force."""

_log = structlog.get_logger(__name__)


class FenceWatch:
    """Follows the fence; ``on_change`` is told when it comes into force or falls."""

    def __init__(self, client: Client, settings: Settings, own_pod: str, on_change: Callable[[], None]) -> None:
        self._client = client
        self._wanted = fence(settings, settings.profile, stamped=True)
        self._canary = canary(settings.system_namespace, own_pod, is_covered=False)
        self._on_change = on_change
        self._changed = asyncio.Event()
        self.missing = "the fence was not looked at yet"
        """Why the fence is not in force; empty when it is."""
        selector = ",".join(f"{key}={value}" for key, value in MARKS.items())
        self.caches: tuple[Cache[AdmissionPolicy], Cache[AdmissionPolicy]] = (
            Cache(client, POLICIES, on_change=self._policy_changed, label_selector=selector),
            Cache(client, POLICY_BINDINGS, on_change=self._policy_changed, label_selector=selector),
        )

    async def run(self) -> None:
        """Looks after each change until it is cancelled; tries again each second while the canary lives."""
        for cache in self.caches:
            await cache.synced()
        while True:
            self._changed.clear()
            before, self.missing = self.missing, await self._look()
            if before != self.missing:
                _log.info("fence", missing=self.missing or "nothing")
                self._on_change()
            try:
                async with asyncio.timeout(RETRY_SECONDS if self.missing and not self._gaps() else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _look(self) -> str:
        if names := self._gaps():
            return f"not installed as this version of toe generates it: {', '.join(names)}"
        return "" if await is_refused(self._client, self._canary) else "a request that must be refused was not"

    def _gaps(self) -> tuple[str, ...]:
        kinds = (POLICIES.kind, POLICY_BINDINGS.kind)
        found = (
            {"kind": kind, "metadata": {"name": policy.metadata.name}, "spec": policy.spec}
            for kind, cache in zip(kinds, self.caches, strict=True)
            for policy in cache.list()
        )
        return gaps(self._wanted, found)

    def _policy_changed(self, old: AdmissionPolicy | None, new: AdmissionPolicy | None) -> None:
        if old is None or new is None or old.spec != new.spec:
            self._changed.set()


async def is_refused(client: Client, wanted: Canary) -> bool:
    """Sends a canary as ourselves and tells whether the policy that should refuse it did."""
    path, _, query = wanted.path.partition("?")
    params = dict(pair.split("=", 1) for pair in query.split("&"))
    try:
        await client.raw("PATCH", path, params=params, body=wanted.body, content_type=wanted.content_type)
    except ClusterError as error:
        return wanted.is_refused(error.status, error.message)
    return False
