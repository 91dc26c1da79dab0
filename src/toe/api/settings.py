"""Operator settings: what the platform engineer decides once for the cluster. Made in :mod:`toe.main`."""

from datetime import timedelta
from typing import Literal

from toe.api.meta import Struct
from toe.api.powertoolconfig import Tier

Profile = Literal["compat", "standard", "hardened"]
TargetAccess = Literal["no", "warn", "refuse"]
ServiceAccounts = Literal["yes", "warn", "listed"]
UnknownIdentity = Literal["refuse", "image"]

ALWAYS_PROTECTED = ("kube-system", "kube-public", "kube-node-lease")


class Settings(Struct, frozen=True):
    """Is one value, made once; every door gets the same."""

    profile: Profile = "standard"
    """Which namespaces the fence covers; the other settings of a profile can also be set alone."""
    system_namespace: str = "toe-system"
    start_deadline: timedelta = timedelta(minutes=5)
    """How long a run may wait for what it needs (a config, a pod, a free pod)."""
    start_error_allowance: timedelta = timedelta(minutes=2)
    """How long a tool may fail to start with an error from the kubelet."""
    start_allowance: timedelta = timedelta(minutes=10)
    """How long a tool may take to start without one; part of not-after."""
    grace: timedelta = timedelta(seconds=10)
    """Time between the stop signal and KILL."""
    max_containers_per_pod: int = 16
    """Tool containers over a pod's life: they can never be removed (KEP-277)."""
    max_active_runs: int = 1000
    """Runs of one namespace that hold pods at the same time; further ones wait their turn until the start deadline."""
    max_injections_per_minute: int = 6000
    """Tool containers that one controller adds in a minute at most, to all pods of the cluster together."""
    require_use: Tier | None = "High"
    """From which tier on the requester needs the verb ``use`` on the tool; None: never."""
    require_target_access: TargetAccess = "warn"
    """Whether the requester could also ``create pods/exec`` where the tool reaches memory, traffic or the node."""
    require_digest: Tier | None = None
    """From which tier on the image must be named by digest; None: never."""
    require_review_date: bool = False
    """Whether an Extreme tool needs a review-date."""
    service_accounts: ServiceAccounts = "warn"
    """Whether a service account may ask for tools above Medium: it lends its rights to whoever feeds it."""
    listed_service_accounts: tuple[str, ...] = ()
    """``system:serviceaccount:NAMESPACE:NAME`` of those that may, where they must be listed."""
    unknown_identity: UnknownIdentity = "refuse"
    """What becomes of a tool that takes the identity of a target which nobody knows: refused, or the image's user."""
    go_variables: bool = False
    """Whether tools also get their variables by the names of the Go implementation."""
    stamp_age: timedelta = timedelta(hours=12)
    """How old a requester's stamp may be when a run starts: stamped groups do not refresh."""

    collector: str = ""
    """``https://HOST[:PORT]`` at which supervisors reach the collector; empty: there is none, and no lease."""
    collector_ca: str = ""
    """What the collector is trusted by: certificates in PEM."""
    upload_allowance: timedelta = timedelta(minutes=10)
    """How long after not-after files may still be uploaded."""

    @property
    def protected_namespaces(self) -> tuple[str, ...]:
        """Is the namespaces where no tool ever runs."""
        return (*ALWAYS_PROTECTED, self.system_namespace)


PROFILES: dict[Profile, Settings] = {
    "compat": Settings(
        profile="compat",
        require_use=None,
        require_target_access="no",
        service_accounts="yes",
        unknown_identity="image",
        go_variables=True,
    ),
    "standard": Settings(),
    "hardened": Settings(
        profile="hardened",
        require_use="Low",
        require_target_access="refuse",
        require_digest="High",
        require_review_date=True,
        service_accounts="listed",
    ),
}
"""What each profile sets; every setting can also be set alone."""
