"""How toe is installed in the cluster, as far as the person may see it."""

import msgspec

from toe.api.fence.policy import CONTROLLER
from toe.api.settings import PROFILES, Profile, Settings
from toe.cli.cluster import Cluster
from toe.errors import ClusterError

PROFILE_FLAG = "--profile="


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


async def profile_of(cluster: Cluster) -> Profile | None:
    """Returns the profile that the controller was started with; None when nobody knows."""
    path = f"/apis/apps/v1/namespaces/{cluster.settings.system_namespace}/deployments/{CONTROLLER}"
    try:
        found = msgspec.json.decode(await cluster.client.raw("GET", path), type=_Deployment)
    except (ClusterError, msgspec.DecodeError):
        return None
    words = [word for container in found.spec.template.spec.containers for word in container.args]
    stated = [word.removeprefix(PROFILE_FLAG) for word in words if word.startswith(PROFILE_FLAG)]
    return next((name for name in PROFILES if stated[-1:] == [name]), None)


async def installed_settings(cluster: Cluster, stated: Profile | None = None) -> Settings:
    """Returns the operator's settings: those of the stated profile, else of the installed one, else the default's.

    Settings that were set alone are not seen. When nobody knows the profile, a warning says so.
    """
    profile = stated or await profile_of(cluster)
    if profile is None:
        profile = Settings().profile
        cluster.call.screen.warn(f"which profile is installed could not be read; {profile} is assumed (--profile)")
    return msgspec.structs.replace(PROFILES[profile], system_namespace=cluster.settings.system_namespace)
