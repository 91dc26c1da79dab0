"""What is known of runs and tools now: two collections that are followed. What is not live is not judged from."""

import asyncio
from typing import Protocol

from toe.api.meta import Struct
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.reasons import Reason
from toe.collector.holds import LABEL
from toe.errors import ClusterError, NotFoundError
from toe.kube.cache import Cache
from toe.kube.client import Client
from toe.kube.resource import POWERTOOLCONFIGS, POWERTOOLS

TOOL = "tool"
CONFIRM_SECONDS = 5.0


class Stop(Struct, frozen=True):
    """Is why a tool is to end at once."""

    reason: Reason
    message: str


class Runs(Protocol):
    """Is what a door needs to know of runs."""

    @property
    def live(self) -> bool:
        """Tells whether what is answered is current."""
        ...

    def find(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        """Returns the run of this very UID; None when it is gone."""
        ...

    async def confirm(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        """Returns it too where it is so new that it was not heard of yet; ClusterError when nobody says."""
        ...

    def is_suspended(self, tool: str) -> bool:
        """Tells whether the administrator switched the tool off."""
        ...


class FollowedRuns:
    """Follows the runs of all namespaces and the configs of the system namespace."""

    def __init__(self, client: Client, system_namespace: str) -> None:
        self._client = client
        self._runs: Cache[PowerTool] = Cache(
            client,
            POWERTOOLS,
            on_change=lambda old, new: None,
            indexes={LABEL: lambda run: ("true",) if (run.metadata.labels or {}).get(LABEL) == "true" else ()},
        )
        self._configs: Cache[PowerToolConfig] = Cache(
            client,
            POWERTOOLCONFIGS,
            namespace=system_namespace,
            on_change=lambda old, new: None,
            indexes={TOOL: lambda config: (config.spec.name,)},
        )

    async def run(self) -> None:
        """Follows both until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._runs.run())
            group.create_task(self._configs.run())

    async def synced(self) -> None:
        """Waits until everything is here."""
        await asyncio.gather(self._runs.synced(), self._configs.synced())

    @property
    def live(self) -> bool:
        """Tells whether both follow the server."""
        return self._runs.live and self._configs.live

    def find(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        """Returns the run as it was heard of last."""
        run = self._runs.get(namespace, name)
        return run if run is not None and run.metadata.uid == uid else None

    def held(self) -> list[PowerTool]:
        """Returns the runs that carry the label of a legal hold."""
        return list(self._runs.by_index(LABEL, "true"))

    async def confirm(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        """Asks the server where the watch has not told of the run, and lets the collection know what it said."""
        run = self.find(namespace, name, uid)
        if run is None:
            try:
                async with asyncio.timeout(CONFIRM_SECONDS):
                    self._runs.observe(await self._client.get(POWERTOOLS, namespace, name))
            except NotFoundError:
                return None
            except TimeoutError:
                raise ClusterError("the API server did not answer in time") from None
            run = self.find(namespace, name, uid)
        return run

    def is_suspended(self, tool: str) -> bool:
        """Tells it by the tool's name; of a tool without a config nobody said so."""
        return any(config.spec.suspended for config in self._configs.by_index(TOOL, tool))


def stop_of(run: PowerTool | None, *, suspended: bool) -> Stop | None:
    """Returns why the tool of a run is to end; None where it may go on."""
    if run is None or run.metadata.deletion_timestamp:
        return Stop(Reason.RUN_DELETED, "the run was deleted")
    if run.spec.cancel:
        return Stop(Reason.CANCELED, "the run was canceled")
    if run.status.is_finished:
        return Stop(Reason.CANCELED, "the run is finished")
    if suspended:
        return Stop(Reason.TOOL_SUSPENDED, "the administrator suspended the tool")
    return None
