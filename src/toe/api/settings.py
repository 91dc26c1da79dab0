"""Operator settings: what the platform engineer decides once for the cluster. Made in :mod:`toe.main`."""

from datetime import timedelta

from toe.api.meta import Struct

ALWAYS_PROTECTED = ("kube-system", "kube-public", "kube-node-lease")


class Settings(Struct, frozen=True):
    """Is one value, made once; every door gets the same."""

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

    @property
    def protected_namespaces(self) -> tuple[str, ...]:
        """Is the namespaces where no tool ever runs."""
        return (*ALWAYS_PROTECTED, self.system_namespace)
