"""What a review is judged with: four collections that are followed, and the answers about the requester's rights."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from toe.api.pod import Pod
from toe.api.powertool import PowerTool, Requester
from toe.api.powertoolcatalog import PowerToolCatalog
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.kube.access_review import DEADLINE
from toe.kube.access_review import review as ask
from toe.kube.cache import Cache
from toe.kube.client import Client
from toe.kube.resource import NAMESPACES, PODS, POWERTOOLCATALOGS, POWERTOOLCONFIGS, Namespace
from toe.policy.access import Answers, Question, entry_to
from toe.policy.identity import is_eligible
from toe.policy.readiness import judge_config
from toe.policy.request import JudgedConfig, Request
from toe.policy.rights import questions

TOOL = "tool"
WARNING_SECONDS = 0.5
"""How long an answer may take that is worth a warning only."""
FRESH_SECONDS, STALE_SECONDS = 10.0, 60.0
"""How old such an answer is before it is asked anew, and before it is worth nothing."""
MOST_REMEMBERED = 4096


class Observer:
    """Follows configs, pods, namespaces and the catalog, and makes requests out of them."""

    def __init__(self, client: Client, settings: Settings, on_config: Callable[[], None]) -> None:
        self._client = client
        self._settings = settings
        self._on_config = on_config
        self._remembered: dict[bytes, tuple[bool | None, float]] = {}
        self._asking: dict[bytes, asyncio.Task[bool | None]] = {}
        self._judged: dict[str, JudgedConfig] = {}
        system = settings.system_namespace
        self.configs: Cache[PowerToolConfig] = Cache(
            client,
            POWERTOOLCONFIGS,
            namespace=system,
            on_change=self._config_changed,
            indexes={TOOL: lambda config: (config.spec.name,)},
        )
        self.pods: Cache[Pod] = Cache(client, PODS, on_change=lambda old, new: None)
        self.namespaces: Cache[Namespace] = Cache(client, NAMESPACES, on_change=lambda old, new: None)
        self.catalogs: Cache[PowerToolCatalog] = Cache(
            client, POWERTOOLCATALOGS, namespace=system, on_change=lambda old, new: on_config()
        )

    async def run(self) -> None:
        """Follows all of them until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for cache in (self.configs, self.pods, self.namespaces, self.catalogs):
                group.create_task(cache.run())

    async def close(self) -> None:
        """Ends questions that nobody waits for any more."""
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def synced(self) -> None:
        """Waits until everything is here."""
        await asyncio.gather(*(c.synced() for c in (self.configs, self.pods, self.namespaces, self.catalogs)))

    @property
    def live(self) -> bool:
        """Tells whether everything follows the server: what is stale is not judged from."""
        return all(cache.live for cache in (self.configs, self.pods, self.namespaces, self.catalogs))

    def judged(self) -> list[JudgedConfig]:
        """Returns every config of the system namespace with what toe thinks of it."""
        return [self._judge(config) for config in self.configs.list()]

    async def request(self, run: PowerTool, now: datetime, seconds: float) -> Request:
        """Returns a run in front of the judge, with the rights that its requester needs asked for, in these seconds."""
        holders = tuple(self._judge(config) for config in self.configs.by_index(TOOL, run.spec.tool.name))
        selector = run.spec.targets.label_selector
        pods = self.pods.select(run.metadata.namespace, selector) if selector.is_positive else []
        eligible = [pod for pod in pods if is_eligible(pod)]
        namespace = self.namespaces.get("", run.metadata.namespace)
        return Request(
            run=run,
            configs=holders,
            tool_names=tuple({config.spec.name for config in self.configs.list()}),
            settings=self._settings,
            namespace_labels=None if namespace is None else dict(namespace.metadata.labels or {}),
            matching=len(eligible),
            access=await self._answers(run, holders, eligible, seconds),
            now=now,
        )

    async def _answers(
        self, run: PowerTool, holders: tuple[JudgedConfig, ...], pods: list[Pod], seconds: float
    ) -> Answers:
        """Asks what may refuse, each time; what is worth a warning only may be a little old, and never takes long."""
        if len(holders) != 1 or run.spec.requester is None:
            return {}
        namespace, requester = run.metadata.namespace, run.spec.requester
        rights = sorted(questions(holders[0], namespace, pods, self._settings), key=str)
        asked = [self._ask(requester, right, seconds) for right in rights]
        if holders[0].readiness.reach and self._settings.require_target_access == "warn":
            rights.append(entry_to(namespace))
            asked.append(self._recall(requester, rights[-1], min(seconds, WARNING_SECONDS)))
        return dict(zip(rights, await asyncio.gather(*asked), strict=True))

    async def _ask(self, requester: Requester, right: Question, seconds: float) -> bool | None:
        return await ask(
            self._client, msgspec.to_builtins(requester), msgspec.to_builtins(right), deadline=max(seconds, 0.01)
        )

    async def _recall(self, requester: Requester, right: Question, seconds: float) -> bool | None:
        """Returns the answer of the last minute, else waits for one; silence is not remembered.

        One that is older than ten seconds is asked anew meanwhile, once, and nobody waits for that.
        """
        key = msgspec.json.encode((requester, right))
        answer, asked_at = self._remembered.get(key, (None, float("-inf")))
        age = asyncio.get_running_loop().time() - asked_at
        if age < FRESH_SECONDS:
            return answer
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._remember(key, requester, right))
        if age < STALE_SECONDS:
            return answer
        done, _ = await asyncio.wait({asking}, timeout=seconds)
        return asking.result() if done else None

    async def _remember(self, key: bytes, requester: Requester, right: Question) -> bool | None:
        try:
            answer = await self._ask(requester, right, DEADLINE)
        finally:
            del self._asking[key]
        if answer is not None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = (answer, asyncio.get_running_loop().time())
        return answer

    def _judge(self, config: PowerToolConfig) -> JudgedConfig:
        """Returns a config with its readiness, computed once for each of its versions."""
        known = self._judged.get(config.metadata.uid)
        if known is None or known.config.metadata.resource_version != config.metadata.resource_version:
            known = JudgedConfig(config=config, readiness=judge_config(config, self._settings))
            self._judged[config.metadata.uid] = known
        return known

    def _config_changed(self, old: PowerToolConfig | None, new: PowerToolConfig | None) -> None:
        if old is not None and new is None:
            self._judged.pop(old.metadata.uid, None)
        if old is None or new is None or old.spec != new.spec or old.metadata.annotations != new.metadata.annotations:
            self._on_config()
