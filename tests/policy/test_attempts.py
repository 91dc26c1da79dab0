"""The requests of attacks are changes of one thing, and what cannot be made says why."""

from typing import Any

import msgspec
import pytest

from tests.builders import SETTINGS
from toe.policy.attacks import ATTACKS
from toe.policy.attempts import Aim, Scene, Sent, foreign_image

CONTAINER: dict[str, Any] = {
    "name": "toe-aperf-0123456789",
    "image": "registry.example/aperf@sha256:00",
    "targetContainerName": "app",
    "securityContext": {"privileged": False, "capabilities": {"add": [], "drop": ["ALL"]}},
    "command": ["/toe-run"],
}
AIM = Aim("shop", "web", CONTAINER, ("scratch",))
SCENE = Scene(
    SETTINGS,
    aim=AIM,
    host_pid=AIM,
    full=AIM,
    foreign=AIM,
    uncovered=("kube-system", "proxy"),
    place="shop",
    namespace={"metadata": {"name": "shop"}},
    config={"metadata": {"name": "aperf"}, "spec": {"name": "aperf"}},
    run=("shop", "mine"),
)


def _sent(name: str, scene: Scene = SCENE) -> Sent | str:
    return next(attack for attack in ATTACKS if attack.name == name).make(scene)


def _added(name: str, scene: Scene = SCENE) -> list[dict[str, Any]]:
    sent = _sent(name, scene)
    assert isinstance(sent, Sent)
    assert sent.body is not None
    containers: list[dict[str, Any]] = sent.body["spec"]["ephemeralContainers"]
    return containers


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_everything_can_be_made_where_everything_is_found(attack: Any) -> None:
    """And what is not there is a sentence, or another object of the kind."""
    assert isinstance(attack.make(SCENE), Sent)
    empty = attack.make(Scene(SETTINGS))
    assert isinstance(empty, str) or attack.name in ("minted token", "forged catalog", "deleted catalog")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("foreign image", "image"),
        ("foreign command", "command"),
        ("foreign argument", "args"),
        ("extra capability", "securityContext"),
        ("privileged", "securityContext"),
        ("envFrom a Secret", "envFrom"),
        ("mounts", "volumeMounts"),
        ("foreign name", "name"),
    ],
)
def test_an_attack_changes_one_field(name: str, field: str) -> None:
    """So that one rule must be the one to refuse."""
    (added,) = _added(name)
    assert {key for key in added if added[key] != CONTAINER.get(key)} == {field}


def test_a_foreign_image_keeps_digest_or_tag() -> None:
    """Its pull policy is then the same, and the image is what is refused."""
    images = ["r/a@sha256:00", "r:5000/a:1", "r:5000/a"]
    found = [foreign_image({"image": image})["image"] for image in images]
    assert found == ["canary.invalid/never@sha256:00", "canary.invalid/never:1", "canary.invalid/never:latest"]


def test_one_capability_more_is_another_where_that_is_there() -> None:
    """One that Pod Security permits, so that it is not the one to answer."""
    security = {"privileged": False, "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}
    scene = msgspec.structs.replace(SCENE, aim=Aim("shop", "web", CONTAINER | {"securityContext": security}))
    for where, added in ((SCENE, ["NET_BIND_SERVICE"]), (scene, ["CHOWN"])):
        (container,) = _added("extra capability", where)
        assert container["securityContext"]["capabilities"]["add"] == added


def test_too_many_is_one_more_in_a_full_pod_or_all_at_once() -> None:
    """Names of their own for each."""
    assert len(_added("too many containers")) == 1
    several = _added("too many containers", msgspec.structs.replace(SCENE, full=None))
    assert len({container["name"] for container in several}) == SETTINGS.max_containers_per_pod + 1


def test_a_privileged_tool_is_no_attack_and_a_pod_without_volumes_no_mount() -> None:
    """Not tried, with the reason."""
    security = {"privileged": True, "capabilities": {}}
    scene = msgspec.structs.replace(SCENE, aim=Aim("shop", "web", CONTAINER | {"securityContext": security}))
    assert "privileged already" in str(_sent("privileged", scene))
    assert "has a volume" in str(_sent("mounts", scene))


def test_what_has_no_dry_run_names_what_is_not_there() -> None:
    """Nothing can come of it."""
    for attack in ATTACKS:
        sent = attack.make(SCENE)
        assert isinstance(sent, Sent)
        assert sent.is_dry or (sent.let_in and "toe-doctor" in sent.path)


def test_status_of_a_config_is_forged_where_there_is_no_run() -> None:
    """And the label is turned whichever way it is."""
    sent = _sent("forged status", msgspec.structs.replace(SCENE, run=None))
    assert isinstance(sent, Sent)
    assert "powertoolconfigs/aperf/status" in sent.path
    labelled = {"metadata": {"name": "shop", "labels": {"toe.run/tools": "enabled"}}}
    for namespace, value in ((SCENE.namespace, "enabled"), (labelled, "disabled")):
        sent = _sent("relabelled namespace", msgspec.structs.replace(SCENE, namespace=namespace))
        assert isinstance(sent, Sent)
        assert sent.body is not None
        assert sent.body["metadata"]["labels"]["toe.run/tools"] == value
