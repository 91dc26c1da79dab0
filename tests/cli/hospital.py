"""A fake cluster with, or without, everything that the doctor looks at."""

from typing import Any

import msgspec

from charts import rights
from tests.builders import SETTINGS, judged
from tests.cli.fakecluster import CONFIGS, PODS, FakeCluster, Object
from tests.cli.scene import a_running_pod, a_tool
from toe.api.codec import decode
from toe.api.fence.objects import fence
from toe.api.fence.requester import stamp
from toe.api.meta import API_VERSION
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.webhooks import Endpoint, validating
from toe.plan.catalog import compile_catalog

CATALOG = f"/apis/{API_VERSION}/namespaces/toe-system/powertoolcatalogs/catalog"
DEPLOYMENT = "/apis/apps/v1/namespaces/toe-system/deployments/toe-controller"
ADMISSION, RBAC = "/apis/admissionregistration.k8s.io/v1", "/apis/rbac.authorization.k8s.io/v1"
MAKE_POD = ("POST", "/api/v1/namespaces/toe-system/pods")
INJECT = ("PATCH", f"{PODS}/shop-1/ephemeralcontainers")
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
}


def listed(cluster: FakeCluster, path: str, *items: Any) -> None:
    """Answers a list of the whole cluster."""
    cluster.answers["GET", path] = (200, {"items": list(items), "metadata": {"resourceVersion": "1"}})


def refused(policy: str) -> tuple[int, Object]:
    """Is the answer of a policy of the fence."""
    name = f"toe-fence-{policy}"
    words = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: toe fence: no"
    return 403, {"message": f'pods "x" is forbidden: {words}'}


POD_SECURITY = (403, {"message": 'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged'})


def empty(cluster: FakeCluster) -> None:
    """Has the CRDs, and nothing of toe's beside them."""
    for path in PLURALS.values():
        listed(cluster, f"{ADMISSION}/{path}")
    for plural in ("clusterroles", "roles", "clusterrolebindings", "rolebindings"):
        listed(cluster, f"{RBAC}/{plural}")
    listed(cluster, f"{ADMISSION}/validatingwebhookconfigurations")
    listed(cluster, "/api/v1/nodes")
    listed(cluster, "/api/v1/pods")
    listed(cluster, "/api/v1/namespaces")
    listed(cluster, f"/apis/{API_VERSION}/powertools")


def installed(cluster: FakeCluster) -> None:
    """Has everything, and one pod that a tool may join."""
    empty(cluster)
    objects = (*fence(SETTINGS, stamped=True), *stamp())
    for kind, plural in PLURALS.items():
        listed(cluster, f"{ADMISSION}/{plural}", *(obj for obj in objects if obj["kind"] == kind))
    roles = rights.everything(SETTINGS)
    for kind in ("Role", "ClusterRole"):
        listed(cluster, f"{RBAC}/{kind.lower()}s", *(obj for obj in roles if obj["kind"] == kind))
        listed(cluster, f"{RBAC}/{kind.lower()}bindings", *(obj for obj in roles if obj["kind"] == f"{kind}Binding"))
    listed(cluster, f"{ADMISSION}/validatingwebhookconfigurations", validating(Endpoint(authority="")))
    listed(cluster, "/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"nodeInfo": {"osImage": "Debian"}}})
    listed(cluster, "/api/v1/namespaces", {"metadata": {"name": "shop"}}, {"metadata": {"name": "kube-system"}})
    pod = a_running_pod("shop-1", metadata={"uid": "u"}, spec={"volumes": [{"name": "scratch"}]})
    closed = a_running_pod("proxy", metadata={"namespace": "kube-system", "uid": "v"})
    listed(cluster, "/api/v1/pods", pod, closed)
    cluster.put(f"{CONFIGS}/py-spy", a_tool("py-spy"))
    config = decode(cluster.objects[f"{CONFIGS}/py-spy"])
    assert isinstance(config, PowerToolConfig)
    spec = msgspec.json.decode(msgspec.json.encode(compile_catalog(judged(config))))
    cluster.put(CATALOG, {"spec": spec})
    containers = [{"name": "controller", "args": ["--profile=standard"]}]
    cluster.put(DEPLOYMENT, {"spec": {"template": {"spec": {"containers": containers}}}})
    cluster.answers[INJECT] = refused("catalog")
    cluster.answers[MAKE_POD] = POD_SECURITY
