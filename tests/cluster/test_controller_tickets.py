"""The controller signs tickets right before it injects, and every supervised tool gets exactly one."""

import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devcluster import Cluster
from tests.cluster.program import running
from tests.cluster.rest import Object, phase, pods, runs
from tests.cluster.stage import Stage, staged
from tests.controller.test_tickets import pem
from toe.api.ticket import key_id, verify

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

ADDRESS = "https://toe-collector.toe-system.svc"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"


@pytest.fixture
async def stage(control_plane: Cluster) -> AsyncIterator[Stage]:
    """A namespace of its own, with a tool, and a kubelet that plays the pods in it."""
    async with staged(control_plane) as (found, _):
        yield found


@pytest.fixture
def flags(tmp_path: Path) -> tuple[str, ...]:
    """What the controller is told of the collector."""
    (tmp_path / "ca.crt").write_text(AUTHORITY + "\n")
    (tmp_path / "ticket.key").write_bytes(pem(KEY))
    return (
        f"--collector={ADDRESS}",
        f"--collector-ca={tmp_path / 'ca.crt'}",
        f"--ticket-key={tmp_path / 'ticket.key'}",
    )


KEY = Ed25519PrivateKey.generate()
KEYS = {key_id(KEY.public_key()): KEY.public_key()}


def environment(pod: Object) -> dict[str, str]:
    """Is what the one tool container of a pod was given."""
    (container,) = pod["spec"]["ephemeralContainers"]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


async def test_the_ticket_says_which_container_of_which_run(stage: Stage, flags: tuple[str, ...]) -> None:
    """Names and UIDs are the API server's own; times are the run's; the signature is the controller's."""
    pod = await stage.pod("a")
    async with running(stage.kubeconfig, *flags):
        made = await stage.run("kept", "a", output={"mode": "collector", "retentionDays": 2})
        await stage.finished("kept")
    given = environment(await stage.rest.get(pods(stage.name, "a")))
    assert (given["TOE_COLLECTOR"], given["TOE_CA"], given["TOE_MODE"]) == (ADDRESS, AUTHORITY, "collector")
    ticket = verify(given["TOE_TICKET"], KEYS, datetime.fromtimestamp(time.time(), UTC))
    assert (ticket.namespace, ticket.run, ticket.run_uid) == (stage.name, "kept", made["metadata"]["uid"])
    assert (ticket.pod, ticket.pod_uid, ticket.retention_days) == ("a", pod["metadata"]["uid"], 2)
    (container,) = (await stage.rest.get(pods(stage.name, "a")))["spec"]["ephemeralContainers"]
    assert ticket.container == container["name"]
    assert ticket.max_bytes > 0


async def test_a_tool_that_uploads_nothing_has_a_ticket_for_its_lease(stage: Stage, flags: tuple[str, ...]) -> None:
    """So that it can be told to end."""
    await stage.pod("a")
    async with running(stage.kubeconfig, *flags):
        await stage.run("plain", "a")
        await stage.finished("plain")
    given = environment(await stage.rest.get(pods(stage.name, "a")))
    assert verify(given["TOE_TICKET"], KEYS, datetime.fromtimestamp(time.time(), UTC)).max_bytes == 0


async def test_no_ticket_is_in_a_status_an_event_or_a_log(stage: Stage, flags: tuple[str, ...]) -> None:
    """It is in the pod's spec and nowhere else (I-31)."""
    await stage.pod("a")
    async with running(stage.kubeconfig, *flags) as program:
        await stage.run("quiet", "a", output={"mode": "collector"})
        await stage.finished("quiet")
        log = json.dumps(program.log)
    pod = await stage.rest.get(pods(stage.name, "a"))
    ticket = environment(pod)["TOE_TICKET"]
    run = await stage.rest.get(runs(stage.name, "quiet"))
    events = await stage.rest.get(f"/api/v1/namespaces/{stage.name}/events")
    private = base64.b64encode(KEY.private_bytes_raw()).decode()
    for place in (json.dumps(run), json.dumps(events), json.dumps(pod["status"]), log):
        assert ticket not in place
        assert ticket.rpartition(".")[2] not in place
        assert private not in place


async def test_without_a_collector_the_mode_is_refused(stage: Stage) -> None:
    """And no tool is told of one."""
    await stage.pod("a")
    async with running(stage.kubeconfig):
        await stage.run("nowhere", "a", output={"mode": "collector"})
        run = await stage.finished("nowhere")
        await stage.run("plain", "a")
        await stage.finished("plain")
    assert phase(run) == "Failed"
    assert "no collector is installed" in run["status"]["lastError"]
    assert "TOE_TICKET" not in environment(await stage.rest.get(pods(stage.name, "a")))
