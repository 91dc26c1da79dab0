"""A real API server with the fence around toe's accounts, and callers of every kind, by impersonation.

Whoever plays one of toe's accounts sends ``authentication.kubernetes.io/pod-name`` too, as a token bound to a pod does:
without it the token policy would refuse everything and every other test would prove nothing. So each test says
**which** policy must refuse (:meth:`Answer.refused_by`).
"""

import base64
import http.client
import json
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
import yaml

from devcluster import Cluster
from toe.api.crd import custom_resource_definition
from toe.api.fence.accounts import POD_NAME
from toe.api.fence.objects import fence, parameter
from toe.api.fence.requester import stamp
from toe.api.meta import API_VERSION, GROUP
from toe.api.settings import PROFILES, Profile, Settings

Raw = dict[str, Any]

SETTINGS = Settings()
SYSTEM = SETTINGS.system_namespace
JSON, MERGE, STRATEGIC, PATCH, APPLY = (
    "application/json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
)
OLDEST = "1.33"
TESTERS = "fence-testers"
"""The group that may do everything but what the fence itself asks for."""


class Caller(NamedTuple):
    """Is whom a request comes from."""

    name: str
    groups: tuple[str, ...] = (TESTERS,)
    extra: dict[str, str] | None = None
    uid: str = ""


def ours(name: str, *, bound: bool = True) -> Caller:
    """Returns one of toe's accounts, with a token that is bound to a pod unless told otherwise."""
    groups = (TESTERS, "system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated")
    extra = {POD_NAME: f"{name}-1"} if bound else None
    return Caller(f"system:serviceaccount:{SYSTEM}:{name}", groups, extra)


CONTROLLER, WEBHOOK = ours("toe-controller"), ours("toe-webhook")
DEVELOPER = Caller("dev")


class Answer(NamedTuple):
    """Is what the server said."""

    status: int
    body: Raw

    @property
    def is_accepted(self) -> bool:
        """Tells whether the request went through."""
        return self.status < 300

    @property
    def message(self) -> str:
        """Is the sentence of a refusal."""
        return str(self.body.get("message", ""))

    @property
    def causes(self) -> list[tuple[str, str]]:
        """Is (field, message) of every cause of a refusal."""
        listed = (self.body.get("details") or {}).get("causes") or ()
        return [(cause.get("field", ""), cause.get("message", "")) for cause in listed]

    @property
    def policy(self) -> str:
        """Is the name of the policy of the fence that refused, without its prefix; empty when none did."""
        _, found, rest = self.message.partition("ValidatingAdmissionPolicy 'toe-fence-")
        is_ours = found and self.status == 403 and "denied request: toe fence: " in rest
        return rest.partition("'")[0] if is_ours else ""

    def __repr__(self) -> str:
        return f"{self.status} {self.message[:300] or self.body.get('metadata', {}).get('name')}"


class Server:
    """Speaks to one API server over one connection, as anybody."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_decode(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(_decode(user["client-certificate-data"]) + "\n" + _decode(user["client-key-data"]))
            file.flush()
            context.load_cert_chain(file.name)
        address = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(str(address.hostname), address.port, context=context, timeout=30)

    def send(
        self, method: str, path: str, body: Any = None, content: str = JSON, *, by: Caller | None = None
    ) -> Answer:
        """Sends one request; a refusal is an answer, not an error."""
        headers = {"Content-Type": content, "Accept": JSON}
        data = None if body is None else json.dumps(body)
        connection = self._connection
        connection.putrequest(method, path)
        if data is not None:
            headers["Content-Length"] = str(len(data.encode()))
        for name, value in headers.items():
            connection.putheader(name, value)
        for name, value in _impersonation(by):
            connection.putheader(name, value)
        connection.endheaders(None if data is None else data.encode())
        response = connection.getresponse()
        text = response.read()
        try:
            decoded = json.loads(text or b"{}")
        except ValueError:
            decoded = {"message": text.decode(errors="replace")}
        return Answer(response.status, decoded)

    def make(self, obj: Raw) -> None:
        """Makes an object as written, whether it is there or not."""
        answer = self.send("PATCH", f"{path_of(obj)}?fieldManager=fenced&force=true", obj, APPLY)
        if not answer.is_accepted:
            raise AssertionError(f"{path_of(obj)}: {answer}")

    def remove(self, obj: Raw) -> None:
        """Deletes an object; one that is not there is fine."""
        answer = self.send("DELETE", path_of(obj))
        if not answer.is_accepted and answer.status != 404:
            raise AssertionError(f"{path_of(obj)}: {answer}")

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


def _impersonation(caller: Caller | None) -> Iterable[tuple[str, str]]:
    if caller is None:
        return
    yield "Impersonate-User", caller.name
    if caller.uid:
        yield "Impersonate-Uid", caller.uid
    for group in caller.groups:
        yield "Impersonate-Group", group
    for key, value in (caller.extra or {}).items():
        yield f"Impersonate-Extra-{quote(key, safe='')}", value


def path_of(obj: Raw) -> str:
    """Returns the path of an object."""
    group, kind, metadata = obj["apiVersion"], obj["kind"].lower(), obj["metadata"]
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    root = "/api/v1" if group == "v1" else f"/apis/{group}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{namespace}/{plural}/{metadata['name']}"


def until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Waits for something that has no event: policies come into force a moment after they are written."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def namespace(name: str, **labels: str) -> Raw:
    """Returns a namespace; ``tools`` and ``privileged`` are the fence's labels."""
    short = {"tools": "toe.run/tools", "privileged": "toe.run/allow-privileged-tools"}
    named = {short[key]: value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": named}}


def account(namespace: str, name: str = "default") -> Raw:
    """Returns a service account."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


_EVERYTHING = ["get", "list", "create", "update", "patch", "delete", "deletecollection"]


def grant(name: str, *rules: tuple[str, list[str], list[str]]) -> list[Raw]:
    """Returns a ClusterRole of (group, resources, verbs) and its binding to the group of the same name."""
    rbac = "rbac.authorization.k8s.io"
    listed = [{"apiGroups": [group], "resources": names, "verbs": verbs} for group, names, verbs in rules]
    role = {"kind": "ClusterRole", "metadata": {"name": name}, "rules": listed}
    subject = {"kind": "Group", "name": name, "apiGroup": rbac}
    ref = {"kind": "ClusterRole", "name": name, "apiGroup": rbac}
    bound = {"kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": [subject], "roleRef": ref}
    return [{"apiVersion": f"{rbac}/v1", **obj} for obj in (role, bound)]


def rights() -> list[Raw]:
    """Returns who may do what: the testers everything that the fence restricts, others one right of the fence's own."""
    kinds = ["powertools", "powertoolconfigs", "powertoolcatalogs"]
    status = [f"{kind}/status" for kind in kinds]
    return [
        *grant(
            TESTERS,
            ("", ["pods", "pods/ephemeralcontainers", "pods/exec", "pods/attach", "secrets"], _EVERYTHING),
            ("", ["namespaces", "namespaces/status", "namespaces/finalize"], _EVERYTHING),
            ("", ["serviceaccounts/token"], _EVERYTHING),
            ("coordination.k8s.io", ["leases"], _EVERYTHING),
            ("apiextensions.k8s.io", ["customresourcedefinitions"], _EVERYTHING),
            (GROUP, kinds + status, _EVERYTHING),
        ),
        *grant("fence-openers", (GROUP, ["powertoolconfigs"], ["open"])),
        *grant("fence-breakers", (GROUP, ["toolcontainers"], ["exec", "attach"])),
        *grant("fence-users", (GROUP, ["powertoolconfigs"], ["use"])),
    ]


def powertool_definition() -> Raw:
    """Returns the CRD of PowerTool without its own rule on ``spec.requester``, so that the policy's is seen alone."""
    crd: Raw = json.loads(json.dumps(custom_resource_definition("PowerTool")))
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rules = spec["x-kubernetes-validations"]
    spec["x-kubernetes-validations"] = [rule for rule in rules if rule.get("fieldPath") != ".requester"]
    return crd


def run(name: str, tool: str = "peek", **metadata: str) -> Raw:
    """Returns a PowerTool."""
    spec = {
        "targets": {"labelSelector": {"matchLabels": {"app": "web"}}},
        "tool": {"name": tool, "duration": "30s"},
    }
    return {"apiVersion": API_VERSION, "kind": "PowerTool", "metadata": {"name": name, **metadata}, "spec": spec}


class Fenced:
    """Is one API server with the fence; what it made is gone after :meth:`down`, in the order of the runbook."""

    def __init__(self, cluster: Cluster, catalog: Raw, *, profile: Profile = "standard", stamped: bool = False) -> None:
        self.cluster = cluster
        self.server = Server(cluster.kubeconfig)
        self.stamp = stamp() if stamped else ()
        self.is_newest = True
        self.objects = (*fence(PROFILES[profile], profile, stamped=stamped), *self.stamp)
        self._catalog = catalog

    def up(self) -> None:
        """Installs everything: rights, namespaces, CRDs, the catalog, and only then the fence.

        Pods that other tests left in these namespaces are removed: they are attacked, or joined, in place of ours.
        """
        make = self.server.make
        crd, empty = parameter(SETTINGS)
        named = [namespace(SYSTEM), namespace("fence-open", tools="enabled", privileged="true")]
        named += [namespace("fence-plain", tools="enabled"), namespace("fence-shut")]
        for obj in [*rights(), *named, *(account(obj["metadata"]["name"]) for obj in named), account("kube-system")]:
            make(obj)
        levels = {f"pod-security.kubernetes.io/{mode}": None for mode in ("enforce", "audit", "warn")}
        self.server.send("PATCH", f"/api/v1/namespaces/{SYSTEM}", {"metadata": {"labels": levels}}, MERGE)
        self._empty()
        for name in ("toe-controller", "toe-webhook"):
            make(account(SYSTEM, name))
        for definition in (powertool_definition(), custom_resource_definition("PowerToolConfig"), crd):
            make(definition)
        until(self._serves_catalogs, "the catalog's CRD is served")
        self.server.send("DELETE", f"/apis/{API_VERSION}/namespaces/{SYSTEM}/powertoolconfigs")  # of other tests
        self.server.remove(empty)  # what a webhook of another test wrote into it stays in an apply
        make({**empty, **self._catalog})
        for obj in self.objects:
            make(obj)

    def down(self) -> None:
        """Removes the fence, bindings first, then what it read, and its pods; the PowerTool CRD is today's again."""
        for obj in reversed(self.objects):
            self.server.remove(obj)
        self._empty()
        crd, empty = parameter(SETTINGS)
        until(lambda: self._goes(empty), "the catalog may be deleted")
        self.server.remove(crd)
        self.server.make(custom_resource_definition("PowerTool"))
        self.server.close()

    def _empty(self) -> None:
        """Removes the pods of its namespaces: tools in them count as running, for whoever comes next."""
        for place in (SYSTEM, "fence-open", "fence-plain", "fence-shut", "kube-system"):
            self.server.send("DELETE", f"/api/v1/namespaces/{place}/pods?gracePeriodSeconds=0")

    def binding(self, policy: str) -> Raw:
        """Returns the binding of a policy, by its name without prefix."""
        kind, name = "ValidatingAdmissionPolicyBinding", f"toe-fence-{policy}"
        return next(obj for obj in self.objects if obj["kind"] == kind and obj["metadata"]["name"] == name)

    def _serves_catalogs(self) -> bool:
        path = f"/apis/{API_VERSION}/namespaces/{SYSTEM}/powertoolcatalogs"
        return self.server.send("GET", path).is_accepted

    def _goes(self, obj: Raw) -> bool:
        return self.server.send("DELETE", path_of(obj)).status in (200, 404)


@contextmanager
def fenced_clusters(request: pytest.FixtureRequest, catalog: Raw, **more: Any) -> Iterator[Fenced]:
    """Puts the fence up, on the session's control plane or (parameter ``oldest``) on its own, and takes it down."""
    if getattr(request, "param", "newest") == "newest":
        found = Fenced(request.getfixturevalue("control_plane"), catalog, **more)
        try:
            found.up()
            yield found
        finally:
            found.down()
        return
    with Cluster(f"toe-test-{os.getpid()}", node=False, emulated_version=OLDEST, report=lambda _: None) as cluster:
        found = Fenced(cluster, catalog, **more)
        found.is_newest = False
        found.up()
        yield found
        found.server.close()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
