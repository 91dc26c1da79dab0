"""Kept files, fetched with kubectl's own identity through a real API server: by whom, by whom not, and what is told."""

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from devcluster import Cluster
from tests.charts.rendering import rendered
from tests.cluster.fronted import API, APISERVICE, Fronted, fronted, serving, until_refused
from tests.cluster.hooked import certificate, free_port
from tests.cluster.rest import RefusedError, Rest, condition, runs
from tests.cluster.stage import a_run, install
from tests.collector.shelf import keep
from toe.collector.artifacts import Artifacts
from toe.collector.people import AccessReviews, Bearers
from toe.kube.access import from_kubeconfig
from toe.kube.client import Client
from toe.kube.serving import Listener, MountedFiles, server_context
from toe.main import now

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

BIG = random.Random(3).randbytes(20_000_000)
PROXY = "front-proxy-client"
READER = "powertool-artifacts-reader"
_numbers = count(1)


@pytest.fixture(scope="module")
async def front(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fronted]:
    """One artifacts API for all tests."""
    async with fronted(control_plane, tmp_path_factory.mktemp("apiserver")) as found:
        yield found


@pytest.fixture
async def namespace(front: Fronted) -> str:
    """A namespace of its own, in which alice may fetch what is kept."""
    name = await front.rest.namespace(f"kept-{next(_numbers)}")
    await front.grant(name, READER, "alice")
    return name


@pytest.fixture(scope="module")
async def alice(front: Fronted) -> Path:
    """Her kubeconfig, with a client certificate."""
    return front.person("alice", "people")


@pytest.fixture(scope="module")
async def mallory(front: Fronted) -> Path:
    """Somebody else's."""
    return front.person("mallory")


def _downloads(front: Fronted, namespace: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_bytes()) for path in sorted((front.place / "store").glob(".toe/downloads/*/*.json"))]
    return [download for download in found if download["namespace"] == namespace]


async def test_kubectl_prints_what_is_kept(front: Fronted, namespace: str, alice: Path) -> None:
    """A table that we render, by the resource's name, its short name and its label."""
    name = await keep(front.store, namespace)
    await keep(front.store, namespace, run="k8", pod="web-1")
    ran = await front.kubectl(alice, "get", "artifacts", "-n", namespace)
    assert ran.status == 0, ran.err
    header, *rows = ran.out.splitlines()
    assert header.split() == ["NAME", "RUN", "POD", "FILE", "SIZE", "AGE", "KEPT", "UNTIL"]
    assert rows[0].split()[:4] == [name, "k7", "shop-1", "profile.folded"]
    ran = await front.kubectl(alice, "get", "pta", "-n", namespace, "-l", "toe.run/pod=web-1", "-o", "name")
    assert ran.out.startswith("artifact.artifacts.toe.run/k8-")
    ran = await front.kubectl(alice, "get", "artifact", name, "-n", namespace, "-o", "jsonpath={.sha256}")
    assert ran.out == hashlib.sha256(b"main;work 1\n").hexdigest()
    ran = await front.kubectl(alice, "get", "artifacts", "-n", namespace, "--chunk-size=1")
    assert len(ran.out.splitlines()) == 3


async def test_kubectl_knows_the_schema(front: Fronted, alice: Path) -> None:
    """And that nothing but reading is offered."""
    ran = await front.kubectl(alice, "api-resources", "--api-group=artifacts.toe.run", "-o", "wide", "--no-headers")
    assert ran.out.split()[:6] == ["artifacts", "pta", "artifacts.toe.run/v1alpha1", "true", "Artifact", "get,list"]
    async with asyncio.timeout(60):
        while "What the tool called it" not in (await front.kubectl(alice, "explain", "artifacts")).out:  # noqa: ASYNC110
            await asyncio.sleep(1)  # the API server gathers schemas once in a while


async def test_who_has_no_right_is_told_which(front: Fronted, namespace: str, alice: Path, mallory: Path) -> None:
    """Whether there is something or not."""
    name = await keep(front.store, namespace)
    right = f'cannot list resource "artifacts" in API group "artifacts.toe.run" in the namespace "{namespace}"'
    assert right in (await front.kubectl(mallory, "get", "artifacts", "-n", namespace)).err
    for guess in (name, "k7-0123456789"):
        err = (await front.kubectl(mallory, "get", "artifact", guess, "-n", namespace)).err
        assert f'"{guess}" is forbidden: User "mallory" cannot get resource "artifacts"' in err
    assert "at the cluster scope" in (await front.kubectl(alice, "get", "artifacts", "-A")).err


async def test_another_namespace_is_closed(front: Fronted, namespace: str, alice: Path) -> None:
    """Alice's rights end with her namespace."""
    other = await front.rest.namespace(f"{namespace}-other")
    name = await keep(front.store, other, content=b"canary")
    for path in (f"{API}/namespaces/{other}/artifacts/{name}{part}" for part in ("", "/content", "/log")):
        ran = await front.kubectl(alice, "get", "--raw", path)
        assert (ran.status, "cannot get resource" in ran.err) == (1, True)
    ran = await front.kubectl(alice, "get", "--raw", f"{API}/namespaces/{namespace}/artifacts/{name}/content")
    assert "not found" in ran.err or "could not find" in ran.err
    assert _downloads(front, other) == []


async def test_content_passes_through_whole_and_in_parts(front: Fronted, namespace: str, alice: Path) -> None:
    """With length, tag and digest; never to be shown or kept by a browser."""
    name = await keep(front.store, namespace, content=BIG)
    async with Rest.of(alice) as rest:
        path = f"{rest.server}{API}/namespaces/{namespace}/artifacts/{name}"
        async with rest._session.get(f"{path}/content", headers={"Range": "bytes=1000-1999"}) as found:
            assert (found.status, await found.read()) == (206, BIG[1000:2000])
            assert found.headers["Content-Range"] == f"bytes 1000-1999/{len(BIG)}"
            assert found.headers["ETag"] == f'"{hashlib.sha256(BIG).hexdigest()}"'
            assert found.headers["Repr-Digest"].startswith("sha-256=:")
            assert found.headers["Content-Type"] == "application/octet-stream"
            assert found.headers["Content-Disposition"].startswith("attachment")
            assert found.headers["X-Content-Type-Options"] == "nosniff"
            assert "no-store" in ", ".join(found.headers.getall("Cache-Control"))
        async with rest._session.head(f"{path}/content") as found:
            assert (found.status, found.headers["Content-Length"]) == (200, str(len(BIG)))
        async with rest._session.get(f"{path}/content", headers={"Range": "bytes=99999999-"}) as found:
            assert found.status == 416
        async with rest._session.get(f"{path}/log") as found:
            assert hashlib.sha256(await found.read()).digest() == hashlib.sha256(BIG).digest()


async def test_every_download_is_recorded_under_the_audit_logs_number(
    front: Fronted, namespace: str, alice: Path
) -> None:
    """Who, which bytes, and where the API server tells the same."""
    name = await keep(front.store, namespace)
    path = f"{API}/namespaces/{namespace}/artifacts/{name}/log"
    assert (await front.kubectl(alice, "get", "--raw", path)).out == "main;work 1\n"
    (download,) = _downloads(front, namespace)
    assert download["user"] == {"username": "alice", "uid": "", "groups": ["people", "system:authenticated"]}
    assert (download["name"], download["first"], download["last"]) == (name, 0, 11)
    entries = [json.loads(line) for line in front.cluster.audit_log.read_text().splitlines() if path in line]
    assert download["auditId"] in {entry["auditID"] for entry in entries}
    assert name in (front.place / "apiserver.log").read_text()


async def test_tokens_and_impersonation_arrive_as_who_they_are_for(front: Fronted, namespace: str, alice: Path) -> None:
    """A service account by its token; an administrator who acts as alice as alice; alice as nobody else."""
    name = await keep(front.store, namespace)
    path = f"{API}/namespaces/{namespace}/artifacts/{name}/content"
    robot = await front.account(namespace, "robot")
    assert "cannot get resource" in (await front.kubectl(robot, "get", "--raw", path)).err
    await front.grant(namespace, READER, "alice", f"{namespace}:robot")
    assert (await front.kubectl(robot, "get", "--raw", path)).status == 0
    assert (await front.kubectl(front.cluster.kubeconfig, "get", "--raw", path, "--as=alice")).status == 0
    assert "cannot impersonate" in (await front.kubectl(alice, "get", "--raw", path, "--as=admin")).err
    users = [download["user"] for download in _downloads(front, namespace)]
    assert [user["username"] for user in users] == [f"system:serviceaccount:{namespace}:robot", "alice"]
    assert users[0]["uid"] == ""  # told only where the API server says in which header


async def test_a_right_that_is_taken_away_is_gone(front: Fronted, namespace: str, alice: Path) -> None:
    """At the next request."""
    name = await keep(front.store, namespace)
    path = f"{API}/namespaces/{namespace}/artifacts/{name}/content"
    assert (await front.kubectl(alice, "get", "--raw", path)).status == 0
    await front.grant(namespace, READER, "bob")
    assert (await front.kubectl(alice, "get", "--raw", path)).status == 1


async def test_a_right_may_be_to_one_artifact(front: Fronted, namespace: str) -> None:
    """resourceNames hold here too."""
    name, other = await keep(front.store, namespace), await keep(front.store, namespace, name="other")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"only-{name}"},
        "rules": [
            {
                "apiGroups": ["artifacts.toe.run"],
                "resources": ["artifacts", "artifacts/content"],
                "resourceNames": [name],
                "verbs": ["get", "list"],
            }
        ],
    }
    await front.rest.apply(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/only-{name}", role)
    await front.grant(namespace, f"only-{name}", "carol")
    carol = front.person("carol")
    one = await front.kubectl(carol, "get", "artifacts", "-n", namespace, f"--field-selector=metadata.name={name}")
    assert (one.status, len(one.out.splitlines())) == (0, 2)
    path = f"{API}/namespaces/{namespace}/artifacts"
    assert (await front.kubectl(carol, "get", "--raw", f"{path}/{name}/content")).status == 0
    for refused in (f"{path}/{other}/content", path, f"{path}/{name}/log"):
        assert (await front.kubectl(carol, "get", "--raw", refused)).status == 1


async def test_nothing_can_be_changed_or_watched(front: Fronted, namespace: str) -> None:
    """By the administrator neither."""
    name = await keep(front.store, namespace)
    admin = front.cluster.kubeconfig
    for words in (("delete", "artifacts", "--all"), ("delete", "artifact", name), ("get", "artifacts", "--watch-only")):
        assert "MethodNotAllowed" in (await front.kubectl(admin, *words, "-n", namespace)).err
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        path = f"{API}/namespaces/{namespace}/artifacts/{name}"
        kind = "application/merge-patch+json" if method == "PATCH" else ""
        with pytest.raises(RefusedError) as refused:
            await front.rest.send(method, path, {}, {"kind": "Artifact"}, kind)
        assert refused.value.status == 405
    assert (await front.kubectl(admin, "get", "artifact", name, "-n", namespace)).status == 0


async def test_only_the_api_server_is_believed(front: Fronted, namespace: str) -> None:
    """Headers without its certificate, another name of its authority, and the people's own authority are nobody."""
    name = await keep(front.store, namespace)
    path = f"{API}/namespaces/{namespace}/artifacts/{name}/content"
    forged = {"X-Remote-User": "alice", "X-Remote-Group": "system:masters"}
    async with front.session() as session, session.get(path, headers=forged) as found:
        assert found.status == 401
    async with front.session("metrics-server") as session, session.get(path, headers=forged) as found:
        assert found.status == 401
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        async with front.session(PROXY, "ca") as session, session.get(path, headers=forged):
            pass
    token = (await front.account(namespace, "robot")).read_text().partition("token: ")[2].strip()
    async with front.session() as session, session.get(path, headers={"Authorization": f"Bearer {token}"}) as found:
        assert found.status == 401
    assert _downloads(front, namespace) == []


async def test_the_right_is_asked_for_once_more(front: Fronted, namespace: str) -> None:
    """Whoever got hold of the API server's certificate still needs a person with the right."""
    name = await keep(front.store, namespace)
    path = f"{API}/namespaces/{namespace}/artifacts/{name}/content"
    async with front.session(PROXY) as session:
        for user, status in (("alice", 200), ("mallory", 403), ("system:anonymous", 403)):
            async with session.get(path, headers={"X-Remote-User": user}) as found:
                assert found.status == status
        async with session.get(path) as found:
            assert found.status == 401


async def test_headers_of_a_person_are_not_passed_on(front: Fronted, namespace: str, mallory: Path) -> None:
    """The API server replaces them with what it knows."""
    name = await keep(front.store, namespace)
    forged = {"X-Remote-User": "alice", "X-Remote-Group": "system:masters", "X-Remote-Uid": "0"}
    async with Rest.of(mallory) as rest:
        for path in (f"{API}/namespaces/{namespace}/artifacts/{name}/content", API):
            async with rest._session.get(f"{rest.server}{path}", headers=forged) as found:
                assert found.status == (403 if name in path else 200)


@pytest.mark.parametrize(
    "path",
    [
        "NS/artifacts/NAME/content/../../../../OTHER/artifacts/NAME/content",
        "NS/artifacts/%2e%2e/%2e%2e/OTHER/artifacts/NAME/content",
        "NS/artifacts/..%2f..%2fOTHER%2fartifacts%2fNAME/content",
        "NS/artifacts/NAME%2fcontent",
        "NS%2f..%2fOTHER/artifacts/NAME/content",
        "NS//artifacts/NAME/content",
        "NS/artifacts/NAME/content%00",
        "NS/artifacts/.toe%2fdownloads",
        "NS/artifacts/NAME/proxy",
    ],
)
async def test_no_path_leads_out_of_a_namespace(front: Fronted, namespace: str, alice: Path, path: str) -> None:
    """Whatever the API server makes of it."""
    other = await front.rest.namespace(f"{namespace}-other")
    await keep(front.store, namespace, content=b"mine")
    name = await keep(front.store, other, content=b"canary")
    async with Rest.of(alice) as rest:
        url = (
            rest.server
            + f"{API}/namespaces/"
            + path.replace("NS", namespace).replace("OTHER", other).replace("NAME", name)
        )
        async with rest._session.get(URL(url, encoded=True), allow_redirects=True) as found:
            assert b"canary" not in await found.read()
            assert found.status in (301, 400, 403, 404)
    assert _downloads(front, other) == []


async def test_trust_follows_the_config_map(front: Fronted, namespace: str) -> None:
    """Within a second; the API server puts it back by itself, and so do we."""
    place = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    before = (await front.rest.get(place))["data"]["requestheader-allowed-names"]

    async def until(status: int) -> None:
        async with asyncio.timeout(20), front.session(PROXY) as session:
            while True:
                async with session.get(API, headers={"X-Remote-User": "alice"}) as found:
                    if found.status == status:
                        return
                await asyncio.sleep(0.05)

    await until(200)
    await front.rest.merge(place, {"data": {"requestheader-allowed-names": '["somebody-else"]'}})
    try:
        await until(401)
    finally:
        await front.rest.merge(place, {"data": {"requestheader-allowed-names": before}})
    await until(200)


async def test_no_secret_gets_into_the_log(front: Fronted, namespace: str) -> None:
    """Neither a token, nor what cannot be read, nor what a file holds."""
    name = await keep(front.store, namespace, content=b"canary-content")
    path = f"{API}/namespaces/{namespace}/artifacts/{name}/content"
    for header in ("Bearer canary-token", "Bearer canary-" + "x" * 50_000, "canary-\u00e9"):
        async with front.session(PROXY) as session:
            named = {"X-Remote-User": "alice", "Authorization": header}
            async with session.get(path, headers=named) as found:
                assert found.status == (400 if len(header) > 8000 else 200)
                assert header[:20].encode() not in await found.read()
    told = (front.place / "apiserver.log").read_bytes()
    records = b"".join(path.read_bytes() for path in (front.place / "store" / ".toe").rglob("*.json"))
    assert b"canary" not in told + records
    assert name.encode() in told


async def test_it_answers_without_its_store(front: Fronted, tmp_path: Path) -> None:
    """A second one, whose store cannot be opened, is Ready: a namespace is deleted only while discovery is answered."""
    other = Fronted(front.cluster, front.rest, front.store, front.place, free_port())
    async with serving(other, *front.flags, "--store", "/proc/nowhere"), other.session(PROXY) as session:
        async with session.get(API, headers={"X-Remote-User": "alice"}) as found:
            assert found.status == 200
        async with session.get(f"{API}/artifacts", headers={"X-Remote-User": "admin"}) as found:
            assert found.status == 403
        masters = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
        async with session.get(f"{API}/artifacts", headers=masters) as found:
            assert (found.status, (await found.json())["message"]) == (503, "what is kept cannot be read now")


async def _kept_run(front: Fronted, namespace: str, name: str) -> str:
    """Makes a run in the mode collector that has ended in two pods, and returns its UID."""
    await install(front.rest)
    made = await front.rest.create(runs(namespace), a_run(name, "tool", {"app": "x"}, output={"mode": "collector"}))
    over = {"type": "Finished", "status": "True", "reason": "Completed", "message": "x"}
    targets = [
        {"pod": pod, "podUID": f"uid-{pod}", "container": "app", "toolContainer": "toe-x", "state": "Succeeded"}
        for pod in ("shop-1", "shop-2")
    ]
    artifact = {"pod": "shop-1", "name": "core", "bytes": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest()}
    status = {
        "phase": "Completed",
        "conditions": [{**over, "lastTransitionTime": "2026-03-01T12:00:00Z"}],
        "targets": targets,
        "artifacts": [artifact],
    }
    await front.rest.merge(runs(namespace, name, "status"), {"status": status})
    await front.grant(namespace, READER, "alice", f"{namespace}:robot")
    await front.grant(namespace, "powertool-viewer", "alice", "mallory", f"{namespace}:robot")
    viewer = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "powertool-viewer"},
        "rules": [{"apiGroups": ["codriverlabs.ai.toe.run"], "resources": ["powertools"], "verbs": ["get"]}],
    }
    await front.rest.apply("/apis/rbac.authorization.k8s.io/v1/clusterroles/powertool-viewer", viewer)
    uid: str = made["metadata"]["uid"]
    await keep(front.store, namespace, run=name, name="core", content=BIG, uid=uid)
    await keep(front.store, namespace, run=name, pod="shop-2", name="deep/core", segment="deep%2Fcore", uid=uid)
    return uid


async def test_the_files_of_a_run_are_fetched(
    front: Fronted, namespace: str, alice: Path, mallory: Path, tmp_path: Path
) -> None:
    """All pods', compared with the run's status; who may not is told what to ask for."""
    await _kept_run(front, namespace, "k7")
    ran = await front.toe(alice, "artifacts", "k7", "-n", namespace)
    assert [line.split()[2:4] for line in ran.out.splitlines()[1:]] == [["shop-1", "core"], ["shop-2", "deep/core"]]
    ran = await front.toe(alice, "get", "k7", "-n", namespace, "-o", str(tmp_path / "out"))
    assert ran.out.splitlines() == [
        "shop-1/core       19 MiB  sha256 ok",
        "shop-2/deep/core  12 B    sha256 ok",
        f"saved under {tmp_path}/out/",
    ], ran.err
    assert (tmp_path / "out/shop-1/core").read_bytes() == BIG
    spans = sorted((d["first"], d["last"]) for d in _downloads(front, namespace) if d["size"] == len(BIG))
    assert spans == [(0, 8388607), (8388608, 16777215), (16777216, len(BIG) - 1)]
    ran = await front.toe(mallory, "get", "k7", "-n", namespace, "-o", str(tmp_path / "stolen"))
    assert (ran.status, ran.err.splitlines()) == (
        1,
        [
            f"error: mallory may not list artifacts in namespace {namespace}",
            f"  ask for: verb list on artifacts in namespace {namespace}",
        ],
    )
    assert not (tmp_path / "stolen").exists()


async def test_a_fetch_that_was_killed_goes_on(front: Fronted, namespace: str, alice: Path, tmp_path: Path) -> None:
    """What came before is not asked for again."""
    await _kept_run(front, namespace, "k7")
    digest = hashlib.sha256(BIG).hexdigest()
    part = tmp_path / f"out/shop-1/.{digest[:32]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG[:15_000_000])
    ran = await front.toe(alice, "get", "k7", "-n", namespace, "-o", str(tmp_path / "out"))
    assert ran.status == 0, ran.err
    assert hashlib.sha256((tmp_path / "out/shop-1/core").read_bytes()).hexdigest() == digest
    assert min(d["first"] for d in _downloads(front, namespace) if d["size"] == len(BIG)) == 15_000_000
    assert not part.exists()


async def test_without_the_api_the_collector_is_asked_itself(
    front: Fronted, namespace: str, alice: Path, tmp_path: Path
) -> None:
    """At the address that is published, with a token; last, since the registration is gone afterwards."""
    await _kept_run(front, namespace, "k7")
    robot = await front.account(namespace, "robot")
    files = certificate(tmp_path, front.cluster.host_address)
    registered = await front.rest.get(APISERVICE)
    async with Client(from_kubeconfig([front.cluster.kubeconfig])) as client:
        application = web.Application()
        Artifacts(front.store, Bearers(client), AccessReviews(client), now).add_to(application)
        context = server_context(MountedFiles(*files).load())
        async with Listener(application).listening(free_port(), context) as port:
            url = f"https://{front.cluster.host_address}:{port}"
            ran = await front.toe(
                robot, "artifacts", "-n", namespace, "--collector", url, "--collector-ca", str(files[0])
            )
            assert (ran.status, len(ran.out.splitlines())) == (0, 3), ran.err
            await front.rest.delete(APISERVICE)
            await until_refused(front.rest, API, 404)
            try:
                ran = await front.toe(robot, "artifacts", "-n", namespace)
                assert "the cluster serves no artifacts API" in ran.err
                values = {"collector.downloads.url": url, "collector.downloads.authority": files[0].read_text()}
                for obj in (obj for obj in rendered(values) if obj["metadata"]["name"].startswith("toe-downloads")):
                    group = "/apis/rbac.authorization.k8s.io/v1" if "rbac" in obj["apiVersion"] else "/api/v1"
                    place = f"{group}/namespaces/{obj['metadata']['namespace']}/{obj['kind'].lower()}s"
                    await front.rest.apply(f"{place}/{obj['metadata']['name']}", obj)
                ran = await front.toe(robot, "get", "k7", "-n", namespace, "-o", str(tmp_path / "out"))
                assert (ran.status, ran.err) == (0, "")
                assert (tmp_path / "out/shop-1/core").read_bytes() == BIG
                ran = await front.toe(alice, "get", "k7", "-n", namespace, "-o", str(tmp_path / "no"))
                assert "takes tokens only" in ran.err
                stranger = await front.account("default", "stranger")
                await front.grant(namespace, "powertool-viewer", "default:stranger")
                ran = await front.toe(stranger, "get", "k7", "-n", namespace, "-o", str(tmp_path / "no"))
                assert f"ask for: verb list on artifacts in namespace {namespace}" in ran.err
                assert not (tmp_path / "no").exists()
            finally:
                with contextlib.suppress(RefusedError):
                    await front.rest.delete("/api/v1/namespaces/toe-system/configmaps/toe-downloads")
                meta = {"name": registered["metadata"]["name"]}
                again = {**registered, "metadata": meta, "status": {}}
                await front.rest.create(APISERVICE.rpartition("/")[0], again)
                await front.rest.until(APISERVICE, lambda service: condition(service, "Available") == "True")
