"""The cluster of one call: how it is reached, and what every command reads from it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from toe.api.meta import API_VERSION, GROUP, VERSION
from toe.api.pod import Pod
from toe.api.powertool import PowerTool, Requester
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.api.time import parse_duration
from toe.cli.call import Call
from toe.cli.sentences import ComplaintError, explain, lacks_kind, not_installed, other_version, too_old
from toe.errors import ClusterError, ForbiddenError, NotFoundError
from toe.kube.access import Access, from_kubeconfig
from toe.kube.calls import DEADLINE
from toe.kube.client import Client
from toe.kube.resource import NAMESPACES, POWERTOOLCONFIGS, POWERTOOLS
from toe.policy.access import Answers, Question
from toe.policy.readiness import judge_config
from toe.policy.request import JudgedConfig
from toe.policy.rights import questions

OLDEST = (1, 33)
"""The oldest Kubernetes that toe supports."""


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    major: str = ""
    minor: str = ""
    git_version: str = ""


class _Served(msgspec.Struct, frozen=True):
    version: str = ""


class _Group(msgspec.Struct, frozen=True):
    versions: tuple[_Served, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True):
    status: _Answer = _Answer()


class _User(msgspec.Struct, frozen=True):
    username: str = ""


class _Self(msgspec.Struct, frozen=True, rename="camel"):
    user_info: _User = _User()


class _SelfReview(msgspec.Struct, frozen=True):
    status: _Self = _Self()


UNKNOWN = "you"
"""What the person is called where the cluster does not say."""


class Asker(msgspec.Struct, frozen=True):
    """Is the person who would ask for a run, and what the cluster says about the rights that it needs."""

    user: str
    access: Answers

    def asking(self, run: PowerTool) -> PowerTool:
        """Returns the run as admission would stamp it; one that is stamped stays."""
        if run.spec.requester is not None:
            return run
        spec = msgspec.structs.replace(run.spec, requester=Requester(username=self.user))
        return msgspec.structs.replace(run, spec=spec)


class Cluster:
    """Reads what judging and telling need; a fact that the person may not read is None."""

    def __init__(self, call: Call, access: Access, client: Client) -> None:
        self.call, self.client = call, client
        self.server, self.namespace = access.server, access.namespace
        self.settings = Settings(system_namespace=call.flags.system_namespace or Settings().system_namespace)

    async def configs(self) -> tuple[JudgedConfig, ...]:
        """Returns every PowerToolConfig of the system namespace, judged, by tool name.

        Objects that this program does not understand are left out with a warning.
        """
        raws, _ = await self.client.list_raw(POWERTOOLCONFIGS, self.settings.system_namespace)
        found: list[JudgedConfig] = []
        for raw in raws:
            try:
                config = msgspec.json.decode(raw, type=PowerToolConfig)
            except msgspec.DecodeError as error:
                self.call.screen.warn(f"a PowerToolConfig cannot be understood and is left out: {error}")
                continue
            found.append(JudgedConfig(config=config, readiness=judge_config(config, self.settings)))
        return tuple(sorted(found, key=lambda judged: (judged.config.spec.name, judged.config.metadata.name)))

    async def namespace_labels(self) -> dict[str, str] | None:
        """Returns the labels of the namespace; None when they may not be read. NotFoundError when there is none."""
        try:
            return dict((await self.client.get(NAMESPACES, None, self.namespace)).metadata.labels or {})
        except ForbiddenError:
            return None

    async def run(self, name: str) -> PowerTool:
        """Reads one run."""
        return await self.client.get(POWERTOOLS, self.namespace, name)

    async def raw_run(self, name: str) -> dict[str, Any]:
        """Reads one run whole, as ``-o json`` and ``-o yaml`` print it."""
        found: dict[str, Any] = msgspec.json.decode(await self.client.raw("GET", POWERTOOLS.path(self.namespace, name)))
        found.get("metadata", {}).pop("managedFields", None)
        return found

    async def may(self, right: Question) -> bool | None:
        """Asks whether the person has a right; None when the cluster does not say."""
        attributes = msgspec.to_builtins(right)
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        try:
            answer = await self.client.raw(
                "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body, repeatable=True
            )
        except ClusterError:
            return None
        return msgspec.json.decode(answer, type=_Review).status.allowed

    async def user(self) -> str:
        """Returns who the cluster takes the person for; empty when it does not say."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = await self.client.raw(
                "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body, repeatable=True
            )
        except ClusterError:
            return ""
        return msgspec.json.decode(answer, type=_SelfReview).status.user_info.username

    async def asker(self, user: str, *holders: JudgedConfig, pods: tuple[Pod, ...] = ()) -> Asker:
        """Returns the person as the requester of a run, with the answers to every right that the tool needs."""
        asked: set[Question] = set()
        for judged in holders if len(holders) == 1 else ():
            asked |= questions(judged, self.namespace, pods, self.settings)
        return Asker(user or UNKNOWN, {right: await self.may(right) for right in sorted(asked, key=str)})

    async def complaint(self, error: ClusterError) -> ComplaintError:
        """Explains an error; one that may come from a missing or other CRD is looked into first."""
        if not lacks_kind(error):
            return explain(error)
        try:
            served = msgspec.json.decode(await self.client.raw("GET", f"/apis/{GROUP}"), type=_Group)
        except NotFoundError:
            return await self._old_cluster() or not_installed(self.server)
        except ClusterError as other:
            return explain(other)
        versions = [version.version for version in served.versions]
        return other_version(versions, VERSION) if VERSION not in versions else not_installed(self.server)

    async def _old_cluster(self) -> ComplaintError | None:
        version = msgspec.json.decode(await self.client.raw("GET", "/version"), type=_Version)
        minor = "".join(filter(str.isdigit, version.minor))
        if version.major.isdigit() and minor and (int(version.major), int(minor)) < OLDEST:
            return too_old(version.git_version, ".".join(map(str, OLDEST)))
        return None


def reach(call: Call, action: Callable[[Cluster], Awaitable[int]]) -> int:
    """Does ``action`` with the cluster of a call and returns its exit status.

    ComplaintError for whatever the cluster answers that the action has no better words for.
    """
    access, deadline = access_of(call), _deadline(call)

    async def act() -> int:
        async with Client(access, deadline=deadline) as client:
            cluster = Cluster(call, access, client)
            try:
                return await action(cluster)
            except ClusterError as error:
                raise await cluster.complaint(error) from error

    return asyncio.run(act())


def access_of(call: Call) -> Access:
    """Returns the way to the cluster that kubectl would take with the same flags."""
    flags, around = call.flags, call.around
    return from_kubeconfig(
        (flags.kubeconfig,) if flags.kubeconfig else [Path(path) for path in around.kubeconfig],
        context=flags.context,
        namespace=flags.namespace,
        user=flags.user,
        cluster=flags.cluster,
        server=flags.server,
        as_user=flags.as_user,
        as_groups=flags.as_group,
        as_uid=flags.as_uid,
        insecure_skip_tls_verify=flags.insecure_skip_tls_verify or None,
        tls_server_name=flags.tls_server_name,
        certificate_authority=flags.certificate_authority,
        token=flags.token,
        environment=around.environment,
    )


def _deadline(call: Call) -> float:
    stated = call.flags.request_timeout
    if stated in (None, "", "0"):
        return DEADLINE
    seconds = parse_duration(stated if not stated.isdigit() else f"{stated}s")
    if not seconds:
        raise ComplaintError(f"--request-timeout {stated} is no duration such as 10s", status=2)
    return seconds.total_seconds()


def manifest(name: str, spec: dict[str, Any], *, generate: bool = False) -> dict[str, Any]:
    """Returns a PowerTool as it is sent to the API server."""
    naming = {"generateName": f"{name}-"} if generate else {"name": name}
    return {"apiVersion": API_VERSION, "kind": "PowerTool", "metadata": naming, "spec": spec}
