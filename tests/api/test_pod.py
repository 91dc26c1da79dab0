"""The slice of a Pod that toe reads."""

import msgspec

from toe.api.pod import Pod


def test_a_pod_is_read_from_what_the_api_server_writes() -> None:
    """Unknown fields are passed over, acronyms are spelled as Kubernetes does."""
    raw = b"""{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "managedFields": []},
      "spec": {"hostPID": true, "containers": [{"name": "a", "resources": {}}], "tolerations": [],
               "ephemeralContainers": [{"name": "toe-x", "targetContainerName": "a", "command": ["/toe-run"]}],
               "volumes": [{"name": "v", "hostPath": {"path": "/", "type": ""}}]},
      "status": {"containerStatuses": [{"name": "a", "imageID": "i", "containerID": "c",
                 "user": {"linux": {"uid": 1, "gid": 2, "supplementalGroups": [3]}}}]}}"""
    pod = msgspec.json.decode(raw, type=Pod)
    assert pod.spec.host_pid
    assert pod.spec.ephemeral_containers[0].target_container_name == "a"
    assert pod.spec.volumes[0].host_path is not None
    status = pod.status.container_statuses[0]
    assert (status.image_id, status.container_id) == ("i", "c")
    assert status.user is not None
    assert status.user.linux is not None
    assert (status.user.linux.uid, status.user.linux.gid) == (1, 2)


def test_a_pod_that_says_little_is_a_pod() -> None:
    """Everything but the name has a default that means unknown."""
    pod = msgspec.json.decode(b'{"metadata": {"name": "p"}}', type=Pod)
    assert pod.status.phase == ""
    assert pod.spec.containers == ()
