"""Promises of the kube hand before a real API server, with a proxy between that drops, delays, doubles and cuts."""

import asyncio
import base64
import json
import random
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import Cluster
from tests.cluster.proxy import Fault, Plan, Proxy, Seen
from toe.api.meta import LabelSelector, ObjectMeta, Struct
from toe.errors import (
    ClusterError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    ToeError,
    UnavailableError,
)
from toe.kube.access import Access, Impersonation, from_kubeconfig, in_cluster
from toe.kube.cache import Cache, Pace
from toe.kube.client import Client
from toe.kube.events import EventRecorder
from toe.kube.resource import EVENTS, NAMESPACES, PODS, AnyResource, Resource

pytestmark = pytest.mark.cluster


class ConfigMap(Struct, frozen=True):
    """Is the slice of a ConfigMap that these tests read."""

    metadata: ObjectMeta
    data: dict[str, str] | None = None


CONFIGMAPS: Resource[ConfigMap] = Resource("", "v1", "configmaps", "ConfigMap", True, ConfigMap)
SERVICEACCOUNTS: AnyResource = Resource("", "v1", "serviceaccounts", "ServiceAccount", True, ConfigMap)
NOW = datetime(2026, 11, 25, 9, 0, 0, tzinfo=UTC)
QUICK = Pace(watch=2.0, grace=0.5, initial=2.0, first_retry=0.02, longest_retry=0.3)
PASS = Fault()


@pytest.fixture(scope="session")
def access(control_plane: Cluster) -> Access:
    """Reaches the real API server as its administrator."""
    return from_kubeconfig([control_plane.kubeconfig])


@pytest.fixture
async def direct(access: Access) -> AsyncIterator[Client]:
    """Talks to the API server without a proxy."""
    async with Client(access) as client:
        yield client


@pytest.fixture
async def namespace(direct: Client) -> AsyncIterator[str]:
    """Is a namespace of the test's own; no pod is left in it, with a tool that seems to run."""
    created = await direct.create(NAMESPACES, None, {"metadata": {"generateName": "kube-"}})
    name = created.metadata.name
    with suppress(ConflictError):
        await direct.create(SERVICEACCOUNTS, name, {"metadata": {"name": "default"}})
    yield name
    await direct.raw("DELETE", f"{PODS.path(name)}?gracePeriodSeconds=0")


@pytest.fixture
async def proxy(access: Access) -> AsyncIterator[Proxy]:
    """Stands before the API server."""
    async with Proxy(access).running() as proxy:
        yield proxy


class Witness:
    """Is a cache of config maps under test, with what its changes add up to and what went wrong."""

    def __init__(self, client: Client, namespace: str, **arguments: Any) -> None:
        self.sum: dict[str, str] = {}
        self.errors: list[ToeError] = []
        arguments = {"pace": QUICK, "on_error": self.errors.append} | arguments
        self.cache = Cache(client, CONFIGMAPS, on_change=self._changed, namespace=namespace, **arguments)

    def _changed(self, old: ConfigMap | None, new: ConfigMap | None) -> None:
        some = new or old
        assert some is not None
        name = some.metadata.name
        assert self.sum.get(name) == (old.metadata.resource_version if old else None)
        if new is None:
            del self.sum[name]
        else:
            assert old is None or int(old.metadata.resource_version) < int(new.metadata.resource_version)
            self.sum[name] = new.metadata.resource_version

    async def equals(self, direct: Client, namespace: str, *, within: float = 10.0) -> None:
        """Waits until cache, sum of changes and server agree."""
        ends = time.monotonic() + within
        while True:
            stored, _ = await direct.list(CONFIGMAPS, namespace)
            truth = {item.metadata.name: item.metadata.resource_version for item in stored}
            held = {item.metadata.name: item.metadata.resource_version for item in self.cache.list()}
            if truth == held == self.sum:
                return
            assert time.monotonic() < ends, f"server {truth} cache {held} sum {self.sum} errors {self.errors[-3:]}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(client: Client, namespace: str, **arguments: Any) -> AsyncIterator[Witness]:
    """Runs a cache of the namespace's config maps."""
    witness = Witness(client, namespace, **arguments)
    task = asyncio.create_task(witness.cache.run())
    try:
        yield witness
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def write_at_random(client: Client, namespace: str, dice: random.Random, count: int, pause: float = 0.01) -> None:
    """Creates, changes, deletes and makes again config maps with few names, so that lives follow each other."""
    for step in range(count):
        name = dice.choice("abcd")
        match dice.randrange(4):
            case 0:
                with suppress(NotFoundError):
                    await client.delete(CONFIGMAPS, namespace, name)
            case _:
                try:
                    await client.patch(CONFIGMAPS, namespace, name, {"data": {"step": str(step)}}, kind="merge")
                except NotFoundError:
                    await client.create(
                        CONFIGMAPS, namespace, {"metadata": {"name": name}, "data": {"step": str(step)}}
                    )
        await asyncio.sleep(dice.random() * pause * 2)


async def meets_a_fault(proxy: Proxy, within: float = 15.0) -> None:
    """Waits until a request met its fault: a fault of every second watch comes only when the first has ended."""
    ends = time.monotonic() + within
    while not set(proxy.met) - {"pass"}:
        assert time.monotonic() < ends, "the fault was never met"
        await asyncio.sleep(0.05)


def on_watches(fault: Fault, every: int = 1) -> Plan:
    """Lets every n-th watch meet ``fault``, and nothing else."""
    count = 0

    def plan(seen: Seen) -> Fault:
        nonlocal count
        if not seen.watches:
            return PASS
        count += 1
        return fault if count % every == 0 else PASS

    return plan


def always(fault: Fault) -> Plan:
    """Lets everything meet ``fault``."""
    return lambda seen: fault


def lists_with_faults() -> Plan:
    """Lets no WatchList pass, and every second list fail; watches expire, so that there are lists."""
    count = 0

    def plan(seen: Seen) -> Fault:
        nonlocal count
        count += 1
        if "sendInitialEvents" in seen.query:
            return Fault("old")
        if seen.watches:
            return Fault("expire", after=4)
        return Fault("refuse", code=500) if count % 2 else Fault("cut", after=100) if count % 3 else PASS

    return plan


FAULTS: dict[str, Callable[[], Plan]] = {
    "none": lambda: always(PASS),
    "delayed": lambda: always(Fault("delay", seconds=0.2)),
    "connections lost": lambda: on_watches(Fault("lose"), every=2),
    "cut at once": lambda: on_watches(Fault("cut"), every=2),
    "watches always cut": lambda: on_watches(Fault("cut")),
    "watches always refused": lambda: on_watches(Fault("refuse", code=503)),
    "cut in the middle of an event": lambda: on_watches(Fault("cut", after=700)),
    "every event twice": lambda: on_watches(Fault("duplicate")),
    "torn into bytes": lambda: on_watches(Fault("tear", after=1)),
    "torn into sevens": lambda: on_watches(Fault("tear", after=7)),
    "silent at once": lambda: on_watches(Fault("stall"), every=2),
    "silent after a while": lambda: on_watches(Fault("stall", after=1000)),
    "410 in the stream": lambda: on_watches(Fault("expire", after=3)),
    "410 as a status": lambda: on_watches(Fault("refuse", code=410), every=2),
    "watches from long ago": lambda: on_watches(Fault("rewind")),
    "429 with Retry-After": lambda: on_watches(Fault("refuse", code=429, retry_after=1), every=2),
    "503": lambda: on_watches(Fault("refuse", code=503), every=2),
    "an old server with faults": lambda: lists_with_faults(),
    "a server without WatchList": lambda: always(Fault("old")),
}


HOPELESS = ("watches always refused", "watches from long ago")


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_cache_ends_equal_to_the_server(fault: str, direct: Client, proxy: Proxy, namespace: str) -> None:
    """Whatever happens to its connections while others write, the cache ends equal and never goes back."""
    dice = random.Random(fault)
    await write_at_random(direct, namespace, dice, 5, 0)
    proxy.plan = FAULTS[fault]()
    async with Client(proxy.access) as client, watching(client, namespace) as witness:
        await write_at_random(direct, namespace, dice, 60, 0.03)
        if fault not in HOPELESS:
            await witness.equals(direct, namespace, within=15)
        if fault != "none":
            await meets_a_fault(proxy)
        with proxy.healed():
            await write_at_random(direct, namespace, dice, 5)
            await witness.equals(direct, namespace)


STORM = [
    *[PASS] * 8,
    Fault("lose"),
    Fault("cut"),
    Fault("cut", after=900),
    Fault("stall", after=500),
    Fault("duplicate"),
    Fault("tear", after=3),
    Fault("expire", after=2),
    Fault("refuse", code=410),
    Fault("refuse", code=429),
    Fault("refuse", code=500),
    Fault("refuse", code=503),
    Fault("refuse", code=504),
    Fault("delay", seconds=0.3),
    Fault("old"),
]


@pytest.mark.parametrize("seed", range(6))
async def test_the_cache_survives_any_storm(seed: int, direct: Client, proxy: Proxy, namespace: str) -> None:
    """All faults at once, in a random order that the seed fixes: afterwards cache and server are equal."""
    dice = random.Random(seed)
    faults = random.Random(seed + 1000)
    proxy.plan = lambda seen: faults.choice(STORM)
    pace = replace_pace(watch=1.0, grace=0.3, initial=0.7)
    async with Client(proxy.access, deadline=2) as client, watching(client, namespace, pace=pace) as witness:
        await write_at_random(direct, namespace, dice, 150, 0.03)
        with proxy.healed():
            await witness.equals(direct, namespace)


def replace_pace(**changes: float) -> Pace:
    return Pace(**({"watch": 2.0, "grace": 0.5, "initial": 2.0, "first_retry": 0.02, "longest_retry": 0.3} | changes))


async def test_a_silent_stall_is_found_in_time(direct: Client, proxy: Proxy, namespace: str) -> None:
    """A connection that stays open and says nothing is left within watch + grace seconds, and nothing is lost."""
    proxy.plan = lambda seen: Fault("stall") if len(proxy.received) == 2 else PASS
    async with Client(proxy.access) as client, watching(client, namespace) as witness:
        await asyncio.wait_for(witness.cache.synced(), 5)
        while len(proxy.received) < 2:  # noqa: ASYNC110 - the proxy has no event
            await asyncio.sleep(0.01)
        start = time.monotonic()
        await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "late"}})
        await witness.equals(direct, namespace)
        assert time.monotonic() - start < QUICK.watch + QUICK.grace + 0.5
        assert [getattr(error, "reason", "") for error in witness.errors] == ["Silent"]


def test_the_default_pace_finds_a_stall_within_a_minute() -> None:
    """With the times that are used in production a dead connection is left after at most 55 s."""
    assert Pace().watch + Pace().grace < 60


WRITES: dict[str, Callable[[Client, str, str], Awaitable[Any]]] = {
    "create": lambda client, namespace, mark: client.create(
        CONFIGMAPS, namespace, {"metadata": {"name": f"new-{mark}", "annotations": {"mark": mark}}}
    ),
    "patch": lambda client, namespace, mark: client.patch(
        CONFIGMAPS, namespace, "old", {"metadata": {"annotations": {"mark": mark}}}, kind="merge"
    ),
    "apply": lambda client, namespace, mark: client.patch(
        CONFIGMAPS,
        namespace,
        "old",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old"}, "data": {"mark": mark}},
        kind="apply",
        field_manager="mark",
    ),
    "delete": lambda client, namespace, mark: client.delete(CONFIGMAPS, namespace, f"doomed-{mark}"),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (Fault("lose"), 1),
        (Fault("cut"), 1),
        (Fault("cut", after=40), 1),
        (Fault("stall"), 1),
        (Fault("refuse", code=500), 1),
        (Fault("refuse", code=503), 1),
        (Fault("refuse", code=504), 1),
        (Fault("refuse", code=429, retry_after=1), 2),
        (Fault("refuse", code=503, retry_after=1), 2),
    ],
    ids=lambda value: f"{value.kind}-{value.code}-{value.after}" if isinstance(value, Fault) else "",
)
async def test_no_write_is_sent_twice(
    write: str, fault: Fault, sent: int, direct: Client, proxy: Proxy, namespace: str
) -> None:
    """A write that may have been executed is sent once and raises UnavailableError; one that was refused comes through.

    Both on a fresh connection and on one that was used before.
    """
    await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "old"}})
    for mark in ("one", "two"):
        await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": f"doomed-{mark}"}})
    async with Client(proxy.access, deadline=3.0 if sent == 2 else 1.0) as client:
        for mark in ("one", "two"):
            proxy.plan = lambda seen: fault if seen.method != "GET" and writes_of(proxy) == 1 else PASS
            proxy.received.clear()
            if sent == 1:
                with pytest.raises(UnavailableError):
                    await WRITES[write](client, namespace, mark)
            else:
                await WRITES[write](client, namespace, mark)
            await asyncio.sleep(0.05)
            assert writes_of(proxy) == sent
            await client.get(NAMESPACES, None, namespace)


def writes_of(proxy: Proxy) -> int:
    return sum(seen.method != "GET" for seen in proxy.received)


async def test_a_writer_reads_his_writes(direct: Client, proxy: Proxy, namespace: str) -> None:
    """With a watch that lags behind, ``observe`` shows each own write at once, and a late event takes nothing back."""
    proxy.plan = lambda seen: Fault("delay", seconds=0.5) if seen.watches else PASS
    async with Client(proxy.access) as client, watching(client, namespace) as witness:
        await witness.cache.synced()
        witness.cache.observe(await client.create(CONFIGMAPS, namespace, {"metadata": {"name": "a"}}))
        for step in range(50):
            stored = await client.patch(CONFIGMAPS, namespace, "a", {"data": {"step": str(step)}}, kind="merge")
            witness.cache.observe(stored)
            held = witness.cache.get(namespace, "a")
            assert held is not None
            assert held.data == {"step": str(step)}
        await client.delete(CONFIGMAPS, namespace, "a")
        await witness.equals(direct, namespace)
        witness.cache.observe(stored)
        assert witness.cache.get(namespace, "a") is None


async def test_watch_list_is_used_and_at_rest_nothing_else_is_asked(proxy: Proxy, namespace: str) -> None:
    """One request brings the collection and its changes; at rest there is one watch every two seconds, no more."""
    async with Client(proxy.access) as client, watching(client, namespace) as witness:
        await asyncio.wait_for(witness.cache.synced(), 5)
        assert [seen.query.get("sendInitialEvents") for seen in proxy.received] == ["true"]
        proxy.received.clear()
        await asyncio.sleep(4.5)
        assert all(seen.watches for seen in proxy.received)
        assert len(proxy.received) <= 3
        assert witness.errors == []
        assert witness.cache.live


async def test_many_objects_are_read_in_pages(direct: Client, proxy: Proxy, namespace: str) -> None:
    """A list of many pages is complete, and consistent with a version."""
    names = [f"m{number:03}" for number in range(57)]
    await asyncio.gather(*[direct.create(CONFIGMAPS, namespace, {"metadata": {"name": name}}) for name in names])
    async with Client(proxy.access) as client:
        items, version = await client.list(CONFIGMAPS, namespace, limit=10)
        assert sorted(item.metadata.name for item in items) == names
        assert int(version) >= max(int(item.metadata.resource_version) for item in items)
        assert len(proxy.received) == 6
        assert int(await client.version(CONFIGMAPS, namespace)) >= int(version)


async def test_labels_select_on_both_sides(direct: Client, namespace: str) -> None:
    """A cache with a selector follows objects in and out of it; ``select`` agrees with the server's own selection."""
    for number in range(20):
        labels = {"app": f"a{number % 3}", "tier": f"t{number % 2}"}
        await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": f"x{number}", "labels": labels}})
    selector = LabelSelector(match_labels={"app": "a1", "tier": "t0"})
    everything = watching(direct, namespace)
    some = watching(direct, namespace, label_selector=str(selector))
    async with everything as whole, some as part:
        await asyncio.gather(whole.cache.synced(), part.cache.synced())
        expected, _ = await direct.list(CONFIGMAPS, namespace, label_selector=str(selector))
        names = {item.metadata.name for item in expected}
        assert names == {item.metadata.name for item in whole.cache.select(namespace, selector)}
        assert names == {item.metadata.name for item in part.cache.list()}
        await direct.patch(CONFIGMAPS, namespace, "x4", {"metadata": {"labels": {"tier": "other"}}}, kind="merge")
        await asyncio.sleep(0.2)
        assert part.cache.get(namespace, "x4") is None
        await direct.patch(CONFIGMAPS, namespace, "x4", {"metadata": {"labels": {"tier": "t0"}}}, kind="merge")
        await asyncio.sleep(0.2)
        assert part.cache.get(namespace, "x4") is not None
        await whole.equals(direct, namespace)


async def test_a_restarted_api_server_is_followed(
    control_plane: Cluster, access: Access, direct: Client, proxy: Proxy, namespace: str
) -> None:
    """An API server that is killed and comes back is followed on, and so is its own 410 to what it no longer has."""
    async with Client(access, deadline=5) as client, watching(client, namespace, pace=QUICK) as witness:
        await witness.cache.synced()
        await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "before"}})
        await witness.equals(direct, namespace)
        await asyncio.to_thread(control_plane.stop_component, "kube-apiserver")
        await asyncio.sleep(1)
        await asyncio.to_thread(control_plane.start_component, "kube-apiserver")
        async with asyncio.timeout(30):
            while True:
                with suppress(ClusterError):
                    await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "after"}})
                    break
                await asyncio.sleep(0.2)
        await witness.equals(direct, namespace, within=20)
        assert any(isinstance(error, UnavailableError) for error in witness.errors)
        assert await is_expired(direct, namespace, version=1)
    proxy.plan = on_watches(Fault("rewind"))
    async with Client(proxy.access) as client, watching(client, namespace) as witness:
        await witness.cache.synced()
        await asyncio.sleep(QUICK.watch + 0.5)
        with proxy.healed():
            await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "later"}})
            await witness.equals(direct, namespace)
        assert witness.cache.relists > 1
        assert witness.errors == []


async def is_expired(client: Client, namespace: str, *, version: int) -> bool:
    """Asks the API server itself for a watch from ``version`` and tells whether that was too long ago."""
    async with (
        asyncio.timeout(10),
        aclosing(client.stream(CONFIGMAPS.path(namespace), {"watch": True, "resourceVersion": version})) as lines,
    ):
        try:
            event = json.loads(await anext(lines))
        except ExpiredError:
            return True
    return bool(event["type"] == "ERROR" and event["object"]["code"] == 410)


async def test_preconditions_are_kept(direct: Client, namespace: str) -> None:
    """A wrong uid is InvalidError (422), a wrong version ConflictError (409), a missing object NotFoundError (404)."""
    stored = await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "a"}})
    with pytest.raises(InvalidError, match="field is immutable"):
        await direct.patch(CONFIGMAPS, namespace, "a", {"metadata": {"uid": "other"}}, kind="merge")
    await direct.patch(CONFIGMAPS, namespace, "a", {"data": {"a": "b"}}, kind="strategic")
    old = {"metadata": {"resourceVersion": stored.metadata.resource_version}, "data": {"a": "c"}}
    with pytest.raises(ConflictError):
        await direct.patch(CONFIGMAPS, namespace, "a", old, kind="merge")
    with pytest.raises(ConflictError):
        await direct.delete(CONFIGMAPS, namespace, "a", uid="other")
    with pytest.raises(NotFoundError):
        await direct.patch(CONFIGMAPS, namespace, "none", {"data": {}}, kind="merge")
    with pytest.raises(ConflictError):
        await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "a"}})
    await direct.delete(CONFIGMAPS, namespace, "a", uid=stored.metadata.uid)


async def test_json_and_apply_patches_work(direct: Client, namespace: str) -> None:
    """All four kinds of patch are understood by the API server."""
    await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "a"}, "data": {"x": "1"}})
    stored = await direct.patch(
        CONFIGMAPS, namespace, "a", [{"op": "replace", "path": "/data/x", "value": "2"}], kind="json"
    )
    assert stored.data == {"x": "2"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "3"}}
    with pytest.raises(ConflictError):
        await direct.patch(CONFIGMAPS, namespace, "a", body, kind="apply", field_manager="other")
    stored = await direct.patch(CONFIGMAPS, namespace, "a", body, kind="apply", field_manager="other", force=True)
    assert stored.data == {"x": "3"}


async def test_a_dry_run_stores_nothing_and_unknown_fields_are_refused(direct: Client, namespace: str) -> None:
    """Dry runs answer like writes and leave nothing; a misspelt field is an InvalidError that names it."""
    await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "a"}}, dry_run=True)
    with pytest.raises(NotFoundError):
        await direct.get(CONFIGMAPS, namespace, "a")
    with pytest.raises(InvalidError, match='unknown field "dta"'):
        await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "a"}, "dta": {}})


async def test_an_ephemeral_container_is_added_by_a_patch(direct: Client, namespace: str) -> None:
    """The injection's patch: strategic, on the subresource, with uid and version; the answer is the pod."""
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "image": "example/main"}]}}
    stored = await direct.create(PODS, namespace, pod)
    container = {"name": "toe-x", "image": "example/tool", "targetContainerName": "main"}
    identity = {"uid": stored.metadata.uid, "resourceVersion": stored.metadata.resource_version}
    body = {"metadata": identity, "spec": {"ephemeralContainers": [container]}}
    changed = await direct.patch(PODS, namespace, "p", body, kind="strategic", subresource="ephemeralcontainers")
    assert [item.name for item in changed.spec.ephemeral_containers] == ["toe-x"]
    with pytest.raises(ConflictError):
        await direct.patch(PODS, namespace, "p", body, kind="strategic", subresource="ephemeralcontainers")


async def test_a_service_account_is_who_it_says(direct: Client, access: Access, namespace: str, tmp_path: Path) -> None:
    """In a pod the mounted token proves the service account; a token that is refused is read again."""
    path = SERVICEACCOUNTS.path(namespace, "default", "token")
    answer = json.loads(await direct.raw("POST", path, body={"spec": {"expirationSeconds": 600}}))
    (tmp_path / "token").write_text("expired")
    (tmp_path / "namespace").write_text(namespace)
    (tmp_path / "ca.crt").write_bytes(access.ca_data)
    host, _, port = access.server.removeprefix("https://").rpartition(":")
    async with Client(in_cluster(tmp_path, host=host, port=port)) as client:
        with pytest.raises(ForbiddenError) as caught:
            await client.get(CONFIGMAPS, namespace, "x")
        assert caught.value.status == 401
        (tmp_path / "token").write_text(answer["status"]["token"])
        assert await who(client) == (f"system:serviceaccount:{namespace}:default", {})
        with pytest.raises(ForbiddenError, match="cannot get resource") as caught:
            await client.get(CONFIGMAPS, namespace, "x")
        assert caught.value.status == 403


async def who(client: Client) -> tuple[str, dict[str, list[str]]]:
    """Asks the API server whom it takes us for."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await client.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review, repeatable=True)
    info = json.loads(answer)["status"]["userInfo"]
    extra = {key: value for key, value in info.get("extra", {}).items() if not key.startswith("authentication.")}
    return info["username"], extra


async def test_impersonation_reaches_the_server(access: Access) -> None:
    """User, groups and extra are those of the impersonated, extra keys with capitals and slashes included."""
    whom = Impersonation("someone@example.com", "", ("team",), {"example.com/scope": ("a", "b")})
    async with Client(replace(access, impersonate=whom)) as client:
        assert await who(client) == ("someone@example.com", {"example.com/scope": ["a", "b"]})


async def test_an_exec_plugin_logs_us_in(control_plane: Cluster, tmp_path: Path) -> None:
    """A kubeconfig whose user is an exec plugin that hands out a client certificate works."""
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    user = config["users"][0]["user"]
    pem = {key: base64.b64decode(user[f"client-{key}-data"]).decode() for key in ("certificate", "key")}
    status = {"clientCertificateData": pem["certificate"], "clientKeyData": pem["key"]}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    plugin = {
        "apiVersion": answer["apiVersion"],
        "command": shutil.which("cat"),
        "args": [str(tmp_path / "answer.json")],
    }
    config["users"][0]["user"] = {"exec": plugin}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    async with Client(from_kubeconfig([tmp_path / "config"], environment={})) as client:
        name, _ = await who(client)
        assert name not in ("", "system:anonymous")


async def test_events_are_stored_and_counted(direct: Client, namespace: str) -> None:
    """The API server takes our events, and a repeated one raises its count."""
    stored = await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "a"}})
    recorder = EventRecorder(direct)
    task = asyncio.create_task(recorder.run())
    for _ in range(3):
        recorder.record(CONFIGMAPS.reference(stored), type="Warning", reason="Tested", message="x" * 3000, now=NOW)
        await recorder.flush()
    events, _ = await direct.list(EVENTS, namespace, field_selector=f"involvedObject.uid={stored.metadata.uid}")
    assert [(event.reason, event.count, event.reporting_component) for event in events] == [("Tested", 3, "toe")]
    assert len(events[0].message.encode()) == 1024
    assert recorder.dropped == 0
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_terminating_namespace_drops_events(direct: Client, namespace: str) -> None:
    """Events about what is going away are dropped without a sound."""
    stored = await direct.create(CONFIGMAPS, namespace, {"metadata": {"name": "a", "finalizers": ["example.com/x"]}})
    await direct.delete(NAMESPACES, None, namespace)
    recorder = EventRecorder(direct)
    task = asyncio.create_task(recorder.run())
    recorder.record(CONFIGMAPS.reference(stored), type="Normal", reason="R", message="m", now=NOW)
    await recorder.flush()
    assert recorder.dropped == 1
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
