"""``toe collector`` as a real process that follows a real API server, with no more rights than the chart gives it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from charts import rights
from devcluster import Cluster
from tests.cluster.program import running
from tests.cluster.rest import Object, Rest, configs, pods, runs
from tests.cluster.stage import Stage, staged
from tests.cluster.test_controller_tickets import environment
from tests.collector.stage import Collector, a_session, as_json, request, started
from toe.api.settings import Settings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

COLLECTOR = "toe-collector"
SYSTEM = Settings().system_namespace
RBAC = "/apis/rbac.authorization.k8s.io/v1"
LATENCY_SECONDS = 5.0


@pytest.fixture
async def stage(control_plane: Cluster) -> AsyncIterator[Stage]:
    """A namespace of its own, with a tool, and a kubelet that plays the pods in it."""
    async with staged(control_plane) as (found, kubelet):
        kubelet.life = a_life_of_20_s
        yield found


async def a_life_of_20_s(pod: Object, container: Object) -> int:
    """Is a tool whose supervisor has files to bring."""
    await asyncio.sleep(20)
    return 0


@pytest.fixture
async def collector(stage: Stage, tmp_path: Path) -> AsyncIterator[Collector]:
    """A collector that is ready."""
    await install_account(stage.rest)
    made = Collector(tmp_path, as_collector(stage.kubeconfig, tmp_path), "--low-water", "1Mi")
    async with started(made) as found:
        yield found


async def install_account(rest: Rest) -> None:
    """Installs the collector's rights, as the chart does."""
    for obj in rights.account(COLLECTOR, Settings()):
        meta, plural = obj["metadata"], f"{obj['kind'].lower()}s"
        place = f"{RBAC}/namespaces/{meta['namespace']}" if "namespace" in meta else RBAC
        await rest.apply(f"{place}/{plural}/{meta['name']}", obj)


def as_collector(kubeconfig: Path, place: Path) -> Path:
    """Writes a kubeconfig with no more rights than the collector's account has."""
    config = yaml.safe_load(kubeconfig.read_text())
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated"]
    config["users"][0]["user"] |= {"as": f"system:serviceaccount:{SYSTEM}:{COLLECTOR}", "as-groups": groups}
    found = place / "kubeconfig"
    found.write_text(yaml.safe_dump(config))
    return found


def a_ticket(collector: Collector, stage: Stage, run: Object) -> str:
    """Is a ticket as the controller would sign it for a run that is there."""
    meta = run["metadata"]
    return collector.tickets.sign(meta["name"], namespace=stage.name, run_uid=meta["uid"], tool=stage.name)


async def stopped(collector: Collector, session: str) -> tuple[str, float]:
    """Renews a lease until it says stop; returns the reason, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(30), collector.wire() as wire:
        while True:
            said = await wire.ask(request("POST", "/v1/lease", session))
            assert said.status == 200, said
            if said.json["state"] == "stop":
                return said.json["reason"], loop.time() - began
            await asyncio.sleep(0.02)


async def _cancel(stage: Stage, name: str) -> None:
    await stage.rest.merge(runs(stage.name, name), {"spec": {"cancel": True}})


async def _delete(stage: Stage, name: str) -> None:
    await stage.rest.delete(runs(stage.name, name))


async def _suspend(stage: Stage, name: str) -> None:
    await stage.rest.merge(configs(stage.name), {"spec": {"suspended": True}})


@pytest.mark.parametrize(
    ("how", "reason"), [(_cancel, "Canceled"), (_delete, "RunDeleted"), (_suspend, "ToolSuspended")]
)
async def test_a_tool_that_is_not_wanted_any_more_is_told_within_5_seconds(
    stage: Stage, collector: Collector, how: Callable[[Stage, str], Awaitable[None]], reason: str
) -> None:
    """By its lease: canceled, deleted, or its tool suspended. Nobody else has to tell it."""
    run = await stage.run("wanted", "nobody")
    session = await collector.claim(a_ticket(collector, stage, run))
    said = await collector.ask(request("POST", "/v1/lease", session))
    assert said.json == {"state": "go"}
    await how(stage, "wanted")
    told, seconds = await stopped(collector, session)
    assert told == reason
    assert seconds < LATENCY_SECONDS
    said = await collector.ask(request("POST", "/v1/files", session, as_json({"name": "what it had written"})))
    assert said.status == (403 if reason == "RunDeleted" else 201)


async def test_a_run_that_was_made_again_is_another_one(stage: Stage, collector: Collector) -> None:
    """The ticket is for a UID, not for a name."""
    ticket = a_ticket(collector, stage, await stage.run("again", "nobody"))
    session = await collector.claim(ticket)
    await _delete(stage, "again")
    await stage.run("again", "nobody")
    assert (await stopped(collector, session))[0] == "RunDeleted"
    said = await collector.ask(request("POST", "/v1/claim", ticket, as_json({"session": session})))
    assert (said.status, said.reason) == (403, "RunOver")


async def test_a_ticket_that_two_want_is_an_event_on_the_run(stage: Stage, collector: Collector) -> None:
    """Where its owner sees it with kubectl describe."""
    ticket = a_ticket(collector, stage, await stage.run("robbed", "nobody"))
    await collector.claim(ticket)
    said = await collector.ask(request("POST", "/v1/claim", ticket, as_json({"session": a_session()})))
    assert (said.status, said.reason) == (409, "TicketClaimed")

    told: list[Object] = []
    async with asyncio.timeout(10):
        while not told:
            events = await stage.rest.get(f"/api/v1/namespaces/{stage.name}/events")
            told = [event for event in events["items"] if event["reason"] == "TicketClaimed"]
    (event,) = told
    assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "robbed")
    assert ticket not in json.dumps(events)


async def test_the_controllers_ticket_is_good_here_once_and_nowhere_else(
    stage: Stage, collector: Collector, tmp_path: Path
) -> None:
    """Read out of the pod's spec it brings files of this pod, once; the API server does not know it."""
    (tmp_path / "keys" / "ticket.key").write_bytes(
        collector.tickets.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    flags = (
        f"--collector=https://127.0.0.1:{collector.port}",
        f"--collector-ca={collector.tls[0]}",
        f"--ticket-key={tmp_path / 'keys' / 'ticket.key'}",
    )
    await stage.pod("a")
    async with running(stage.kubeconfig, *flags):
        await stage.run("kept", "a", duration="20s", output={"mode": "collector"})
        pod = await stage.rest.until(pods(stage.name, "a"), lambda p: bool(p["spec"].get("ephemeralContainers")))
        ticket = environment(pod)["TOE_TICKET"]
        session = await collector.claim(ticket)
        assert (await collector.upload(session, b"main;work 1\n", "profile.folded")).status == 201
        said = await collector.ask(request("POST", "/v1/claim", ticket, as_json({"session": a_session()})))
        assert (said.status, said.reason) == (409, "TicketClaimed")
    (key,) = collector.kept()
    assert key.startswith(f"{stage.name}/kept/")
    assert key.endswith("/a/profile.folded")
    server = yaml.safe_load(stage.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    url, headers = f"{server}/api/v1/namespaces/{stage.name}/pods", {"Authorization": f"Bearer {ticket}"}
    async with aiohttp.ClientSession(headers=headers) as stranger, stranger.get(url, ssl=trust) as answer:
        assert answer.status == 401
