"""How toe is installed in the cluster, as far as the person may see it."""

import msgspec

from toe.api.fence.policy import CONTROLLER
from toe.api.settings import PROFILES, Profile, Settings
from toe.cli.cluster import Cluster
from toe.errors import ClusterError
from toe.kube.settings import stated_settings

COLLECTOR_FLAG = "--collector="


class _Container(msgspec.Struct, frozen=True):
    args: tuple[str, ...] = ()


class _PodSpec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Template(msgspec.Struct, frozen=True):
    spec: _PodSpec = _PodSpec()


class _Spec(msgspec.Struct, frozen=True):
    template: _Template = _Template()


class _Deployment(msgspec.Struct, frozen=True):
    spec: _Spec = _Spec()


async def _words(cluster: Cluster) -> list[str]:
    """Reads what the controller was started with; nothing where nobody may know."""
    path = f"/apis/apps/v1/namespaces/{cluster.settings.system_namespace}/deployments/{CONTROLLER}"
    try:
        found = msgspec.json.decode(await cluster.client.raw("GET", path), type=_Deployment)
    except (ClusterError, msgspec.DecodeError):
        return []
    return [word for container in found.spec.template.spec.containers for word in container.args]


def _stated(words: list[str], flag: str) -> str:
    return next((word.removeprefix(flag) for word in reversed(words) if word.startswith(flag)), "")


async def installed_settings(cluster: Cluster, stated: Profile | None = None) -> Settings:
    """Returns the operator's settings: of the stated profile, else as the controller was started, else the default's.

    When nobody knows how it was started, a warning says so.
    """
    words = await _words(cluster)
    settings = PROFILES[stated] if stated else stated_settings(words)
    if settings is None:
        settings = Settings()
        assumed = f"{settings.profile} is assumed (--profile)"
        cluster.call.screen.warn(f"with which settings toe is installed could not be read; {assumed}")
    return msgspec.structs.replace(
        settings,
        system_namespace=cluster.settings.system_namespace,
        collector=_stated(words, COLLECTOR_FLAG),
    )
