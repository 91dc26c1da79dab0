"""What the doctor looks at: policies, roles, nodes, and pods that an attack may be tried on. Only reads."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from toe.api.codec import to_builtins
from toe.api.fence.policy import PRIVILEGED_LABEL, TOOLS_LABEL
from toe.api.pod import Pod
from toe.api.powertoolcatalog import NAME as CATALOG
from toe.api.powertoolcatalog import PowerToolCatalogSpec
from toe.cli.cluster import Cluster, manifest
from toe.cli.request import as_run
from toe.cli.snapshot import ENFORCE, forbidden_by_pod_security
from toe.errors import NotFoundError
from toe.kube.resource import (
    NAMESPACES,
    PODS,
    POWERTOOLCATALOGS,
    POWERTOOLCONFIGS,
    POWERTOOLS,
    Named,
    Namespace,
    Resource,
)
from toe.plan.catalog import compile_catalog
from toe.plan.container import render, tool_identity
from toe.policy.attempts import NAME, Aim, Object, Scene
from toe.policy.chains import evaluate_target
from toe.policy.duties import Rbac, Role, RoleBinding
from toe.policy.identity import is_eligible, target_container, target_identity
from toe.policy.inspections import HookRules, Node
from toe.policy.request import JudgedConfig, TargetRequest
from toe.policy.rights import questions
from toe.policy.verdict import Allowed

T = TypeVar("T", bound=Named)
_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
_ROLES = (
    Resource(_RBAC, "v1", "clusterroles", "ClusterRole", False, Role),
    Resource(_RBAC, "v1", "roles", "Role", True, Role),
)
_BINDINGS = (
    Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False, RoleBinding),
    Resource(_RBAC, "v1", "rolebindings", "RoleBinding", True, RoleBinding),
)
_NODES = Resource("", "v1", "nodes", "Node", False, Node)
_HOOKS = Resource(_ADMISSION, "v1", "validatingwebhookconfigurations", "", False, HookRules)
_POLICIES = {
    kind: f"/apis/{_ADMISSION}/v1/{kind.lower().removesuffix('y')}ies"
    for kind in ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
} | {
    f"{kind}Binding": f"/apis/{_ADMISSION}/v1/{kind.lower()}bindings"
    for kind in ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
}


async def rbac(cluster: Cluster) -> Rbac:
    """Reads every role and binding."""
    roles = [role for resource in _ROLES for role in (await cluster.client.list(resource))[0]]
    bindings = [binding for resource in _BINDINGS for binding in (await cluster.client.list(resource))[0]]
    return Rbac(tuple(roles), tuple(bindings))


async def nodes(cluster: Cluster) -> tuple[Node, ...]:
    """Reads every node."""
    return tuple((await cluster.client.list(_NODES))[0])


async def hooks(cluster: Cluster) -> tuple[HookRules, ...]:
    """Reads who is asked before objects are written."""
    return tuple((await cluster.client.list(_HOOKS))[0])


async def policies(cluster: Cluster) -> tuple[tuple[Object, ...], bool]:
    """Reads every admission policy and binding, and whether the API server knows mutating ones (since 1.36)."""
    found: list[Object] = []
    is_newest = True
    for kind, path in _POLICIES.items():
        try:
            items = msgspec.json.decode(await cluster.client.raw("GET", path))["items"]
        except NotFoundError:
            is_newest = False
            continue
        found += [{**item, "kind": kind} for item in items]
    return tuple(found), is_newest


async def catalog(cluster: Cluster) -> PowerToolCatalogSpec | None:
    """Reads the fence's catalog; None when it is lost."""
    try:
        return (await cluster.client.get(POWERTOOLCATALOGS, cluster.settings.system_namespace, CATALOG)).spec
    except NotFoundError:
        return None


async def scene(cluster: Cluster, configs: tuple[JudgedConfig, ...], fenced: PowerToolCatalogSpec | None) -> Scene:
    """Looks for everything that attacks are tried on; what is not there is None."""
    settings, client = cluster.settings, cluster.client
    compiled = {tool.name: tool for tool in compile_catalog(configs, settings).tools}
    known = {tool.name: tool for tool in fenced.tools} if fenced else {}
    usable = [judged for judged in configs if compiled.get(name := judged.config.spec.name) == known.get(name, "")]
    usable.sort(key=lambda judged: judged.config.spec.effective_security.allow_privileged)
    places = {place.metadata.name: place for place in (await client.list(NAMESPACES))[0]}
    pods = [pod for pod in await _pods(cluster) if is_eligible(pod)]
    seeker = _Seeker(cluster, places, usable)
    aim = seeker.aim(pods)
    protected = settings.protected_namespaces
    closed = sorted(
        (pod.metadata.namespace != settings.system_namespace, *pod.metadata.key)
        for pod in pods
        if pod.metadata.namespace in protected
    )
    place = aim.namespace if aim else next((name for name in sorted(places) if name not in protected), "")
    raw_configs = (await client.list_raw(POWERTOOLCONFIGS, settings.system_namespace))[0]
    return Scene(
        settings=settings,
        aim=aim,
        host_pid=seeker.host_pid(pods),
        full=seeker.full(pods),
        foreign=seeker.foreign(pods),
        uncovered=(closed[0][1], closed[0][2]) if closed else None,
        place=place,
        namespace=msgspec.json.decode(await client.raw("GET", NAMESPACES.path(None, place))) if place else None,
        config=msgspec.json.decode(raw_configs[0]) if raw_configs else None,
        run=await _any_run(cluster),
    )


async def _pods(cluster: Cluster) -> list[Pod]:
    """Reads every pod that this program understands: one that it does not is nothing to attack."""
    found: list[Pod] = []
    for raw in (await cluster.client.list_raw(PODS))[0]:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(raw, type=Pod))
    return found


async def _any_run(cluster: Cluster) -> tuple[str, str] | None:
    body = await cluster.client.raw("GET", POWERTOOLS.path(), params={"limit": 1})
    items: list[dict[str, Any]] = msgspec.json.decode(body)["items"]
    return (items[0]["metadata"]["namespace"], items[0]["metadata"]["name"]) if items else None


class _Seeker:
    """Finds pods and tools that go together."""

    def __init__(self, cluster: Cluster, places: Mapping[str, Namespace], usable: list[JudgedConfig]) -> None:
        self._settings, self._now = cluster.settings, cluster.call.now()
        self._labels = {name: place.metadata.labels or {} for name, place in places.items()}
        self._usable = usable

    def aim(self, pods: Iterable[Pod]) -> Aim | None:
        """Returns a pod that a tool may join: best where Pod Security enforces nothing, and with a volume."""
        most = self._settings.max_containers_per_pod
        found = [pod for pod in self._covered(pods) if not pod.spec.host_pid and _tools_in(pod) < most - 1]
        found.sort(key=lambda pod: (ENFORCE in self._labels[pod.metadata.namespace], not pod.spec.volumes))
        return next((aim for pod in found for aim in self._aims(pod, pod)), None)

    def host_pid(self, pods: Iterable[Pod]) -> Aim | None:
        """Returns a pod with hostPID, and a tool that would fit but for that."""
        for pod in self._covered(pods):
            if pod.spec.host_pid:
                without = msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, host_pid=False))
                for aim in self._aims(pod, without, may_host_pid=False):
                    return aim
        return None

    def full(self, pods: Iterable[Pod]) -> Aim | None:
        """Returns a pod without room for one more tool, and a tool that would fit but for that."""
        for pod in self._covered(pods):
            if _tools_in(pod) >= self._settings.max_containers_per_pod:
                spec = msgspec.structs.replace(pod.spec, ephemeral_containers=())
                for aim in self._aims(pod, msgspec.structs.replace(pod, spec=spec)):
                    return aim
        return None

    def foreign(self, pods: Iterable[Pod]) -> Aim | None:
        """Returns a pod where a tool would fit, but for the namespace."""
        found = (pod for pod in self._covered(pods) if not pod.spec.host_pid)
        return next((aim for pod in found for aim in self._aims(pod, pod, is_foreign=True)), None)

    def _covered(self, pods: Iterable[Pod]) -> Iterator[Pod]:
        for pod in pods:
            namespace = pod.metadata.namespace
            labels = self._labels.get(namespace)
            if labels is None or namespace in self._settings.protected_namespaces:
                continue
            if self._settings.profile != "hardened" or labels.get(TOOLS_LABEL) == "enabled":
                yield pod

    def _aims(self, real: Pod, pod: Pod, *, is_foreign: bool = False, may_host_pid: bool = True) -> Iterator[Aim]:
        """Yields what each tool would add to ``pod``, which is ``real`` but for what the attack is about."""
        namespace = pod.metadata.namespace
        labels = self._labels[namespace]
        for judged in self._usable:
            spec = judged.config.spec
            allowed = spec.allowed_namespaces is None or namespace in spec.allowed_namespaces
            security = spec.effective_security
            if allowed is is_foreign or (security.allow_host_pid and not may_host_pid):
                continue
            if security.allow_privileged and labels.get(PRIVILEGED_LABEL) != "true":
                continue
            if forbidden_by_pod_security(judged, dict(labels)):
                continue
            if (container := self._container(judged, pod)) is not None:
                volumes = tuple(volume.name for volume in real.spec.volumes)
                yield Aim(namespace, real.metadata.name, container, volumes)

    def _container(self, judged: JudgedConfig, pod: Pod) -> Object | None:
        config = judged.config
        targets = {"labelSelector": {"matchLabels": {NAME: NAME}}}
        tool = {"name": config.spec.name, "duration": "1s"}
        run = as_run(manifest(NAME, {"targets": targets, "tool": tool}), pod.metadata.namespace)
        access = dict.fromkeys(questions(judged, pod.metadata.namespace, [pod], self._settings), True)
        request = TargetRequest(
            run=run,
            config=config,
            pod=pod,
            tier=judged.readiness.tier,
            settings=self._settings,
            access=access,
        )
        name = target_container(pod, None)
        if name is None or not isinstance(evaluate_target(request), Allowed):
            return None
        if tool_identity(config.spec.effective_security, target_identity(pod, name)) is None:
            return None
        built: Object = to_builtins(render(run, config, pod, name, self._now, self._settings))
        return built


def _tools_in(pod: Pod) -> int:
    return sum(container.name.startswith("toe-") for container in pod.spec.ephemeral_containers)
