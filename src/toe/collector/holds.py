"""Legal holds: the label ``toe.run/legal-hold: "true"`` on a run keeps its files, also when the run itself is deleted.

A hold that a label made goes when the label is taken away; one whose run is gone stays until somebody removes it from
the store. A hold that somebody put into the store by hand is left alone.
"""

from typing import Protocol

import msgspec
import structlog

from toe.api.meta import Struct
from toe.api.powertool import PowerTool
from toe.errors import ExistsError, MissingError
from toe.store.names import HOLDS, hold_key
from toe.store.port import Store

LABEL = "toe.run/legal-hold"
_log = structlog.get_logger(__name__)


class Hold(Struct, frozen=True):
    """Is what a label's hold says: the run that carried it."""

    run: str
    label: str = LABEL


class HeldRuns(Protocol):
    """Is what holds are made from."""

    @property
    def live(self) -> bool:
        """Tells whether what is answered is current."""
        ...

    def held(self) -> list[PowerTool]:
        """Returns the runs that carry the label."""
        ...

    def find(self, namespace: str, name: str, uid: str) -> PowerTool | None:
        """Returns the run of this very UID; None when it is gone."""
        ...


class Holds:
    """Makes the holds in the store be what the labels say."""

    def __init__(self, store: Store, runs: HeldRuns) -> None:
        self._store, self._runs = store, runs

    async def follow(self) -> None:
        """Makes holds that are missing, removes those whose label is gone; nothing while the watches are not live."""
        if not self._runs.live:
            return
        wanted = {hold_key(run.metadata.namespace, run.metadata.uid): run for run in self._runs.held()}
        there = {kept.key async for kept in self._store.list(HOLDS)}
        for key in wanted.keys() - there:
            try:
                await self._store.create(key, msgspec.json.encode(Hold(wanted[key].metadata.name, LABEL)))
            except ExistsError:
                continue
            _log.info("legal hold", namespace=wanted[key].metadata.namespace, run=wanted[key].metadata.name)
        for key in there - wanted.keys():
            if await self._was_lifted(key):
                await self._store.delete(key)
                _log.info("legal hold lifted", key=key)

    async def _was_lifted(self, key: str) -> bool:
        """Tells whether a hold is of a label that its run no longer carries; a run that is gone carries it for good."""
        try:
            content = b"".join([piece async for piece in self._store.read(key, 0, 4096)])
            hold = msgspec.json.decode(content, type=Hold)
        except (MissingError, msgspec.DecodeError):
            return False
        namespace, _, uid = key.removeprefix(HOLDS).partition("/")
        return self._runs.find(namespace, hold.run, uid) is not None
