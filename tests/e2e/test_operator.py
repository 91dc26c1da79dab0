"""The operator as it is installed: in pods, with its webhook and catalog, behind the API server's fence."""

import dataclasses
import json
from typing import Any

import pytest
import yaml

from devcluster import Cluster, DevClusterError
from examples.shop.demo import apply
from toe.errors import ForbiddenError
from toe.kube.access import Impersonation, from_kubeconfig
from toe.kube.client import Client
from toe.kube.resource import PODS

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

CONTROLLER = "system:serviceaccount:toe-system:toe-controller"
BOUND = "authentication.kubernetes.io/pod-name"


def _run(cluster: Cluster, name: str) -> None:
    spec = {
        "targets": {"labelSelector": {"matchLabels": {"app": "shop"}}, "container": "app"},
        "tool": {"name": "strace", "duration": "2s"},
    }
    metadata = {"name": name, "namespace": "shop"}
    apply(
        cluster,
        {"apiVersion": "codriverlabs.ai.toe.run/v1alpha1", "kind": "PowerTool", "metadata": metadata, "spec": spec},
    )


def _wait(cluster: Cluster, name: str, condition: str) -> None:
    cluster.kubectl("wait", f"--for=condition={condition}", f"pt/{name}", "-n", "shop", "--timeout=60s", seconds=70)


def _pod(cluster: Cluster) -> dict[str, Any]:
    found = json.loads(cluster.kubectl("get", "pods", "-n", "shop", "-l", "app=shop", "-o", "json"))["items"]
    return sorted(found, key=lambda pod: pod["metadata"]["name"])[0]


def test_a_tool_goes_through_the_fence(installed: Cluster) -> None:
    """The controller in its pod, with its own rights, adds what the catalog holds; who asked is stamped."""
    _run(installed, "through")
    _wait(installed, "through", "Completed")
    requester = installed.kubectl("get", "pt", "through", "-n", "shop", "-o", "jsonpath={.spec.requester.username}")
    assert requester == "admin"


async def test_the_operators_own_account_can_add_nothing_else(installed: Cluster) -> None:
    """Not another image, even with a token of its own pod: the API server refuses, and says which policy did."""
    container = {
        "name": "toe-strace-0123456789",
        "image": "registry.example/evil:1",
        "targetContainerName": "app",
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    thief = Impersonation(user=CONTROLLER, groups=("system:authenticated",), extra={BOUND: ("toe-controller-x",)})
    access = dataclasses.replace(from_kubeconfig([installed.kubeconfig]), impersonate=thief)
    body = {"spec": {"ephemeralContainers": [container]}}
    async with Client(access) as client:
        with pytest.raises(ForbiddenError, match="toe-fence-catalog"):
            await client.patch(
                PODS,
                "shop",
                _pod(installed)["metadata"]["name"],
                body,
                kind="strategic",
                subresource="ephemeralcontainers",
            )


def test_nobody_enters_a_tool(installed: Cluster) -> None:
    """exec into a tool's container is refused, an administrator's too, unless he holds the right to break the glass."""
    _run(installed, "entered")
    _wait(installed, "entered", "Completed")
    pod = _pod(installed)
    tool = pod["spec"]["ephemeralContainers"][0]["name"]
    grant = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "dev-edits"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dev"}],
    }
    apply(installed, grant)
    told = _refused(installed, "exec", "-n", "shop", pod["metadata"]["name"], "-c", tool, "--as", "dev", "--", "true")
    assert "toe-fence-exec" in told


def test_nothing_is_injected_while_the_fence_is_down(installed: Cluster) -> None:
    """A binding that is gone is noticed at once; the run waits, and goes on by itself when it is back."""
    binding = "validatingadmissionpolicybinding/toe-fence-exec"
    saved = yaml.safe_load(installed.kubectl("get", binding, "-o", "yaml"))
    saved["metadata"] = {key: saved["metadata"][key] for key in ("name", "labels") if key in saved["metadata"]}
    installed.kubectl("delete", binding)
    _run(installed, "fenceless")
    installed.kubectl(
        *("wait", "--for=jsonpath={.status.phase}=Pending", "pt/fenceless", "-n", "shop", "--timeout=30s"), seconds=40
    )
    why = installed.kubectl("get", "pt", "fenceless", "-n", "shop", "-o", "jsonpath={.status.conditions[0].reason}")
    assert why == "FenceNotInForce"
    apply(installed, saved)
    _wait(installed, "fenceless", "Completed")


def _refused(cluster: Cluster, *words: str) -> str:
    """Returns what kubectl said of something that the API server refused."""
    with pytest.raises(DevClusterError) as refused:
        cluster.kubectl(*words)
    return str(refused.value)
