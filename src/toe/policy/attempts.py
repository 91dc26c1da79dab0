"""The requests of ``doctor``'s attacks, each made from what was found in the cluster, or why it cannot be made."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from toe.api.fence.canary import HARMLESS, canary
from toe.api.fence.policy import CONTROLLER, TOOLS_LABEL
from toe.api.meta import API_VERSION, Struct
from toe.api.powertoolcatalog import NAME as CATALOG
from toe.api.powertoolcatalog import PLURAL as CATALOGS
from toe.api.settings import Settings

Object = dict[str, Any]
STRATEGIC, MERGE = "application/strategic-merge-patch+json", "application/merge-patch+json"
KINDS = f"/apis/{API_VERSION}/namespaces"
NAME = "toe-doctor"


class Aim(Struct, frozen=True):
    """Is a running pod, and the container that toe itself would add to it."""

    namespace: str
    pod: str
    container: Object
    volumes: tuple[str, ...] = ()


class Scene(Struct, frozen=True):
    """Is what was found to attack; None where there is no such thing."""

    settings: Settings
    aim: Aim | None = None
    """A pod that a tool may join, in a namespace that the fence covers."""
    host_pid: Aim | None = None
    """One with hostPID, and a tool that may not enter such pods."""
    full: Aim | None = None
    """One that holds as many tool containers as a pod may have."""
    foreign: Aim | None = None
    """One in a namespace that the tool is not allowed in."""
    uncovered: tuple[str, str] | None = None
    """Namespace and name of a running pod where no tool may be."""
    place: str = ""
    """A namespace that is not toe's."""
    namespace: Object | None = None
    """That namespace, whole."""
    config: Object | None = None
    """A PowerToolConfig, whole."""
    run: tuple[str, str] | None = None
    """Namespace and name of a PowerTool."""


class Sent(Struct, frozen=True):
    """Is the request of an attack."""

    method: str
    path: str
    body: Object | None = None
    content_type: str = "application/json"
    is_dry: bool = True
    """False: the API server has no dry run of it, so it names what is not there."""
    let_in: tuple[str, ...] = ()
    """What an answer says that means that the request got through, to what is not there."""


Make = Callable[[Scene], Sent | str]
"""Returns the request of an attack, or why it cannot be tried."""

NO_AIM = "no running pod that a tool of the catalog may join was found"
NO_VOLUME = "no running pod that a tool may join has a volume"
NO_HOST_PID = "no running pod that a tool may join has hostPID"
NOT_FOREIGN = "no pod runs where a tool of the catalog is not allowed"
MAKE_PODS = "--make-pods-in NAMESPACE makes two pods there that never run, and removes them"
WAYS = {
    NO_AIM: MAKE_PODS,
    NO_VOLUME: MAKE_PODS,
    NO_HOST_PID: f"{MAKE_PODS}; hostPID needs a namespace that Pod Security leaves alone",
    NOT_FOREIGN: f"limit a tool to some namespaces (allowedNamespaces) and name another one: {MAKE_PODS}",
}
"""How to have tried what could not be."""


def patch(aim: Aim, *containers: Mapping[str, Any]) -> Sent:
    """Returns the request that adds containers to a pod."""
    path = f"/api/v1/namespaces/{aim.namespace}/pods/{aim.pod}/ephemeralcontainers"
    return Sent("PATCH", path, {"spec": {"ephemeralContainers": [dict(each) for each in containers]}}, STRATEGIC)


def changed(change: Callable[[Object], Object]) -> Make:
    """Returns an attack with the operator's own container and one change."""

    def make(scene: Scene) -> Sent | str:
        return patch(scene.aim, scene.aim.container | change(scene.aim.container)) if scene.aim else NO_AIM

    return make


def foreign_image(container: Object) -> Object:
    """Returns another image with the same digest or tag, so that its pull policy is the same."""
    name, at_, digest = container["image"].partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2] or "latest"
    return {"image": f"canary.invalid/never@{digest}" if at_ else f"canary.invalid/never:{tag}"}


def nameless(scene: Scene) -> Sent | str:
    """Adds a harmless container that is no tool's by its name."""
    if scene.aim is None:
        return NO_AIM
    bird = canary(scene.aim.namespace, scene.aim.pod)
    return Sent("PATCH", bird.path.partition("?")[0], bird.body, bird.content_type)


def more_capable(container: Object) -> Object:
    """Adds what Pod Security permits at every level, or takes it away, so that it is not the one to answer."""
    capabilities = container["securityContext"]["capabilities"]
    added = [name for name in capabilities.get("add", ()) if name != "NET_BIND_SERVICE"]
    added += ["NET_BIND_SERVICE"] if "NET_BIND_SERVICE" not in capabilities.get("add", ()) else ["CHOWN"]
    return {"securityContext": container["securityContext"] | {"capabilities": {**capabilities, "add": added}}}


def privileged(scene: Scene) -> Sent | str:
    """Makes the tool's container privileged."""
    if scene.aim is None:
        return NO_AIM
    security = scene.aim.container["securityContext"]
    if security["privileged"]:
        return "every tool that may join a running pod is privileged already"
    changed = security | {"privileged": True, "allowPrivilegeEscalation": True}
    return patch(scene.aim, scene.aim.container | {"securityContext": changed})


def mounting(scene: Scene) -> Sent | str:
    """Mounts a volume of the pod."""
    if scene.aim is None:
        return NO_AIM
    if not scene.aim.volumes:
        return NO_VOLUME
    mount = {"name": scene.aim.volumes[0], "mountPath": "/toe-doctor"}
    return patch(scene.aim, scene.aim.container | {"volumeMounts": [mount]})


def _renamed(container: Object, number: int) -> Object:
    return container | {"name": f"{container['name'][:-10]}{number:010x}"}


def several(count: int) -> Make:
    """Returns an attack with so many tool containers in one request."""

    def make(scene: Scene) -> Sent | str:
        if scene.aim is None:
            return NO_AIM
        return patch(scene.aim, *(_renamed(scene.aim.container, number) for number in range(count)))

    return make


def too_many(scene: Scene) -> Sent | str:
    """Adds one tool more than a pod may have: to a full pod where there is one, else all at once."""
    if scene.full is not None:
        return patch(scene.full, scene.full.container)
    return several(scene.settings.max_containers_per_pod + 1)(scene)


def at(which: Literal["host_pid", "foreign"], why: str) -> Make:
    """Returns an attack with the operator's own container on a special pod."""

    def make(scene: Scene) -> Sent | str:
        aim: Aim | None = getattr(scene, which)
        return patch(aim, aim.container) if aim else why

    return make


def own(scene: Scene) -> Sent | str:
    """Adds what toe itself would add."""
    return patch(scene.aim, scene.aim.container) if scene.aim else NO_AIM


def uncovered(scene: Scene) -> Sent | str:
    """Adds a harmless container to a pod where no tool may be."""
    if scene.uncovered is None:
        return "no pod runs in a namespace that is closed to tools"
    bird = canary(*scene.uncovered, is_covered=False)
    return Sent("PATCH", bird.path.partition("?")[0], bird.body, bird.content_type)


def copied(scene: Scene) -> Sent | str:
    """Adds a harmless container that is named as a tool's."""
    if scene.aim is None:
        return NO_AIM
    return patch(
        scene.aim, {"name": "toe-any-0123456789", "image": "canary.invalid/never", "securityContext": HARMLESS}
    )


def _config(name: str, namespace: str, spec: Object) -> Sent:
    body = {
        "apiVersion": API_VERSION,
        "kind": "PowerToolConfig",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return Sent("POST", f"{KINDS}/{namespace}/powertoolconfigs", body)


def elsewhere(scene: Scene) -> Sent | str:
    """Makes a PowerToolConfig where none counts."""
    if not scene.place:
        return "there is no namespace that is not toe's"
    security = {"capabilities": {"drop": ["ALL"]}}
    return _config(NAME, scene.place, {"name": NAME, "image": "canary.invalid/never", "security": security})


def duplicate(scene: Scene) -> Sent | str:
    """Makes a second PowerToolConfig of a tool's name."""
    if scene.config is None:
        return "there is no PowerToolConfig"
    sent = _config(NAME, scene.settings.system_namespace, scene.config["spec"])
    annotations = scene.config["metadata"].get("annotations", {})
    assert sent.body is not None
    return Sent(sent.method, sent.path, sent.body | {"metadata": sent.body["metadata"] | {"annotations": annotations}})


def forged(scene: Scene) -> Sent | str:
    """Names a tool that is not there: such a run may be created, and waits."""
    if not scene.place:
        return "there is no namespace that is not toe's"
    spec = {
        "targets": {"labelSelector": {"matchLabels": {NAME: NAME}}},
        "tool": {"name": NAME, "duration": "1s"},
        "requester": {"username": "somebody-else", "groups": ["system:masters"]},
    }
    metadata = {"generateName": f"{NAME}-", "namespace": scene.place}
    body = {"apiVersion": API_VERSION, "kind": "PowerTool", "metadata": metadata, "spec": spec}
    return Sent("POST", f"{KINDS}/{scene.place}/powertools", body)


def status(scene: Scene) -> Sent | str:
    """Writes the status of a run, or of a config where there is no run."""
    body = {"status": {"observedGeneration": 7}}
    if scene.run is not None:
        namespace, name = scene.run
        return Sent("PATCH", f"{KINDS}/{namespace}/powertools/{name}/status", body, MERGE)
    if scene.config is not None:
        system, name = scene.settings.system_namespace, scene.config["metadata"]["name"]
        return Sent("PATCH", f"{KINDS}/{system}/powertoolconfigs/{name}/status", body, MERGE)
    return "there is neither a PowerTool nor a PowerToolConfig"


def entering(scene: Scene) -> Sent | str:
    """Opens no stream, and names a container that is not there: whoever is let in finds nothing.

    By GET, as over WebSocket; since Kubernetes 1.35 whoever gets so far is asked for the right to create, too.
    """
    if scene.aim is None:
        return NO_AIM
    query = f"container={NAME}-0000000000&command=true&stdout=true"
    path = f"/api/v1/namespaces/{scene.aim.namespace}/pods/{scene.aim.pod}/exec?{query}"
    return Sent("GET", path, is_dry=False, let_in=(NAME, 'cannot create resource "pods/exec"', "pgrade"))


def minting(scene: Scene) -> Sent | str:
    """Binds the token to a pod that is not there: whoever is let through gets no token either."""
    system = scene.settings.system_namespace
    bound = {"apiVersion": "v1", "kind": "Pod", "name": NAME, "uid": "00000000-0000-0000-0000-000000000000"}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": bound}}
    return Sent("POST", f"/api/v1/namespaces/{system}/serviceaccounts/{CONTROLLER}/token", body, let_in=(NAME,))


def relabelling(scene: Scene) -> Sent | str:
    """Changes the label that opens a namespace, by the subresource that a controller of Kubernetes may write."""
    if scene.namespace is None:
        return "there is no namespace that is not toe's"
    metadata = scene.namespace["metadata"]
    labels = dict(metadata.get("labels") or {})
    labels[TOOLS_LABEL] = "disabled" if labels.get(TOOLS_LABEL) == "enabled" else "enabled"
    changed = scene.namespace | {"metadata": metadata | {"labels": labels}}
    return Sent("PUT", f"/api/v1/namespaces/{scene.place}/status", changed)


def touching_catalog(method: str) -> Make:
    """Returns an attack that changes or deletes the catalog."""

    def make(scene: Scene) -> Sent | str:
        path = f"{KINDS}/{scene.settings.system_namespace}/{CATALOGS}/{CATALOG}"
        body = {"metadata": {"annotations": {NAME: "x"}}} if method == "PATCH" else None
        return Sent(method, path, body, MERGE)

    return make
