"""The artifacts API: who, then whether he may, then what there is."""

import asyncio
import base64
import contextlib
import hashlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from yarl import URL

from tests.builders import NOW
from tests.collector.shelf import DAY, Granted, Named, a_record, keep
from toe.collector.artifacts import Artifacts
from toe.collector.download import MOST_OF_ONE
from toe.errors import StoreError
from toe.kube.metrics import Metrics
from toe.store.directory import DirectoryStore
from toe.store.names import record_key

API = "/apis/artifacts.toe.run/v1alpha1"
SHOP = f"{API}/namespaces/shop/artifacts"
ALL = [
    ("alice", "list", "artifacts", "shop"),
    ("alice", "get", "artifacts", "shop"),
    ("alice", "get", "artifacts/content", "shop"),
    ("alice", "get", "artifacts/log", "shop"),
]
VIEWER = [("viewer", "list", "artifacts", "shop"), ("viewer", "get", "artifacts", "shop")]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
CONTENT = bytes(range(256)) * 40


class Scene:
    """Is a store, an API in front of it, and a client."""

    def __init__(self, store: DirectoryStore, granted: Granted, client: TestClient[Any, Any], root: Path) -> None:
        self.store, self.granted, self.client, self.root = store, granted, client, root
        self.api: Artifacts

    async def ask(
        self, path: str, user: str = "alice", method: str = "GET", **headers: str
    ) -> tuple[int, Any, CIMultiDict[str]]:
        """Returns status, body (decoded where it is JSON) and headers."""
        sent = {"Test-User": user, **{name.replace("_", "-"): value for name, value in headers.items()}}
        url = URL(f"{self.client.make_url('/')}".rstrip("/") + path, encoded=True)
        async with self.client.session.request(method, url, headers=sent) as found:
            body = await found.read()
            decoded = json.loads(body) if body and found.content_type == "application/json" else body
            return found.status, decoded, found.headers.copy()

    def downloads(self) -> list[dict[str, Any]]:
        """Returns the records of downloads, in the order in which they were made."""
        return [json.loads(path.read_bytes()) for path in sorted(self.root.glob(".toe/downloads/*/*.json"))]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Alice may fetch everything in the namespace shop, the viewer may look."""
    root = tmp_path / "store"
    store, granted = DirectoryStore(root), Granted(*ALL, *VIEWER)
    api = Artifacts(store, Named(), granted, lambda: NOW)
    application = web.Application()
    api.add_to(application)
    async with TestClient(TestServer(application)) as client:
        scene = Scene(store, granted, client, root)
        scene.api = api
        yield scene
    store.close()


async def test_what_is_served_is_told() -> None:
    """Only get and list: what could be deleted would be deleted with its namespace, by the namespace controller."""
    from toe.collector.discovery import DOCUMENTS

    for resource in DOCUMENTS[API]["resources"]:
        assert set(resource["verbs"]) <= {"get", "list"}
        assert resource["namespaced"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/apis", "APIGroupList"),
        ("/apis/", "APIGroupList"),
        ("/apis/artifacts.toe.run", "APIGroup"),
        (API, "APIResourceList"),
    ],
)
async def test_discovery_needs_a_name_and_no_right(scene: Scene, path: str, kind: str) -> None:
    """The API server asks it, and lets people ask."""
    status, body, _ = await scene.ask(path, user="nobody")
    assert (status, body["kind"]) == (200, kind)
    assert scene.granted.asked == []
    async with scene.client.get(path) as found:
        assert found.status == 401


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/artifacts.toe.run/v1alpha1"])
async def test_schemas_are_served(scene: Scene, path: str) -> None:
    """So that kubectl explain has an answer."""
    status, body, _ = await scene.ask(path)
    assert status == 200
    assert body.get("swagger") == "2.0" or body.get("openapi") == "3.0.0" or list(body["paths"])


async def test_a_list_is_of_one_namespace(scene: Scene) -> None:
    """In the order of keys, with what labels select by."""
    await keep(scene.store, run="k8")
    name = await keep(scene.store)
    await keep(scene.store, namespace="staging")
    status, body, _ = await scene.ask(SHOP)
    assert (status, body["kind"], [item["run"]["name"] for item in body["items"]]) == (
        200,
        "ArtifactList",
        ["k7", "k8"],
    )
    first = body["items"][0]
    assert first["metadata"]["name"] == name
    assert first["metadata"]["labels"] == {
        "toe.run/run": "k7",
        "toe.run/run-uid": "0a1b2c3d-run",
        "toe.run/tool": "py-spy",
        "toe.run/pod": "shop-1",
    }
    assert (first["file"], first["bytes"], first["keptUntil"]) == ("profile.folded", 12, "2026-03-08T12:00:00Z")
    assert (await scene.ask(f"{SHOP}/{name}"))[1] == first


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("labelSelector=toe.run/run%3Dk7", ["k7"]),
        ("labelSelector=toe.run/run+in+(k7,k8)", ["k7", "k8"]),
        ("labelSelector=toe.run/run!%3Dk7", ["k8"]),
        ("labelSelector=toe.run/pod%3Dother", []),
        ("labelSelector=toe.run/run%3Dk7,toe.run/pod%3Dshop-1", ["k7"]),
        ("labelSelector=", ["k7", "k8"]),
        ("limit=0&timeoutSeconds=30&resourceVersion=0&pretty=true", ["k7", "k8"]),
    ],
)
async def test_labels_select(scene: Scene, query: str, runs: list[str]) -> None:
    """As kubectl's -l does."""
    await keep(scene.store)
    await keep(scene.store, run="k8")
    status, body, _ = await scene.ask(f"{SHOP}?{query}")
    assert (status, [item["run"]["name"] for item in body["items"]]) == (200, runs)


async def test_one_can_be_listed_by_its_name(scene: Scene) -> None:
    """What kubectl does to follow one object; the right is asked for that name."""
    name = await keep(scene.store)
    await keep(scene.store, run="k8")
    _, body, _ = await scene.ask(f"{SHOP}?fieldSelector=metadata.name%3D{name}")
    assert [item["metadata"]["name"] for item in body["items"]] == [name]
    assert scene.granted.asked[-1][1].name == name
    _, body, _ = await scene.ask(f"{SHOP}?fieldSelector=metadata.name%3D{name}&labelSelector=toe.run/run%3Dk8")
    assert body["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "fieldSelector=spec.x%3D1",
        "fieldSelector=metadata.name%3D../x",
        "labelSelector=a+b",
        "limit=-1",
        "limit=many",
        "limit=99999999999",
        "continue=%21%21",
        "continue=/w%3D%3D",
        "includeObject=Everything",
    ],
)
async def test_a_query_that_means_nothing_is_refused(scene: Scene, query: str) -> None:
    """400, rather than another answer than was asked for."""
    status, body, _ = await scene.ask(f"{SHOP}?{query}", Accept=TABLE)
    assert (status, body["kind"], body["reason"]) == (400, "Status", "BadRequest")


async def test_a_long_list_comes_in_pages(scene: Scene) -> None:
    """Each artifact once, whatever is kept or deleted in between."""
    expected = [await keep(scene.store, pod=f"shop-{number}", name=f"{number}") for number in range(10, 20)]
    seen, rest = [], ""
    for page in range(4):
        _, body, _ = await scene.ask(f"{SHOP}?limit=3&continue={rest}")
        seen += [item["metadata"]["name"] for item in body["items"]]
        rest = body["metadata"].get("continue", "")
        if page == 0:
            await scene.store.delete(record_key(f"shop/k7/{DAY}-0a1b2c3d/shop-12/12"))
    assert seen == expected
    assert rest == ""


async def test_no_artifact_gets_lost_between_pages(scene: Scene) -> None:
    """Names of which one begins with the other sort differently with a record's ending."""
    for name in ("a", "a-b", "a.b", "a.toe", "a0"):
        await keep(scene.store, name=name)
    seen, rest = [], ""
    while True:
        _, body, _ = await scene.ask(f"{SHOP}?limit=1&continue={rest}")
        seen += [item["file"] for item in body["items"]]
        if not (rest := body["metadata"].get("continue", "")):
            break
    assert sorted(seen) == ["a", "a-b", "a.b", "a.toe", "a0"]


async def test_kubectl_gets_a_table(scene: Scene) -> None:
    """Of a list and of one, in both versions, with metadata for its column of namespaces."""
    name = await keep(scene.store)
    for path in (SHOP, f"{SHOP}/{name}"):
        _, body, _ = await scene.ask(path, Accept=TABLE)
        assert (body["kind"], body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
        (row,) = body["rows"]
        assert row["cells"][:7] == [name, "k7", "shop-1", "profile.folded", "12 B", "60m", "2026-03-08"]
        assert row["object"]["metadata"]["namespace"] == "shop"
    _, body, _ = await scene.ask(f"{SHOP}?includeObject=Object", Accept=TABLE.replace("v=v1;", "v=v1beta1;"))
    assert (body["apiVersion"], body["rows"][0]["object"]["kind"]) == ("meta.k8s.io/v1beta1", "Artifact")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "ArtifactList"),
        ("*/*", "ArtifactList"),
        ("application/json;q=0.9", "ArtifactList"),
        ("application/vnd.kubernetes.protobuf, application/json", "ArtifactList"),
        ("application/json;as=Table;v=v9;g=meta.k8s.io, application/json", "ArtifactList"),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "PartialObjectMetadataList"),
        ("application/vnd.kubernetes.protobuf", "Status"),
        ("application/json;as=Table;v=v9;g=meta.k8s.io", "Status"),
        ("application/json;as=Pod;v=v1;g=meta.k8s.io", "Status"),
    ],
)
async def test_the_first_form_that_is_served_is_given(scene: Scene, accept: str, kind: str) -> None:
    """406 where there is none."""
    await keep(scene.store)
    status, body, _ = await scene.ask(SHOP, Accept=accept)
    assert (status, body["kind"]) == (406 if kind == "Status" else 200, kind)


async def test_metadata_of_one_can_be_had_alone(scene: Scene) -> None:
    """As garbage collectors ask for it; a list's form is none for one."""
    name = await keep(scene.store)
    _, body, _ = await scene.ask(
        f"{SHOP}/{name}", Accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    )
    assert body["kind"] == "PartialObjectMetadata"
    form = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    assert (await scene.ask(f"{SHOP}/{name}", Accept=form))[0] == 406


async def test_all_namespaces_need_a_right_of_their_own(scene: Scene) -> None:
    """A right in a namespace is none here."""
    await keep(scene.store)
    await keep(scene.store, namespace="staging")
    status, body, _ = await scene.ask(f"{API}/artifacts")
    assert (status, body["reason"]) == (403, "Forbidden")
    scene.granted.rights.add(("alice", "list", "artifacts", ""))
    status, body, _ = await scene.ask(f"{API}/artifacts")
    assert [item["metadata"]["namespace"] for item in body["items"]] == ["shop", "staging"]
    assert ".toe" not in json.dumps(body).replace(".toe.run", "")


async def test_nothing_is_shown_to_a_stranger(scene: Scene) -> None:
    """401 for every path there is and is not, without a word on what is there."""
    name = await keep(scene.store)
    for path in ("/apis", SHOP, f"{SHOP}/{name}", f"{SHOP}/{name}/content", f"{API}/nonsense", "/openapi/v2"):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            async with scene.client.request(method, path) as found:
                assert found.status == 401
                assert method == "HEAD" or (await found.json())["message"] == "Unauthorized"
    assert scene.granted.asked == []


async def test_a_name_tells_nothing_to_who_may_not_see_it(scene: Scene) -> None:
    """One that is there and one that is not are refused alike."""
    name = await keep(scene.store, namespace="staging")
    answers = [
        (await scene.ask(f"{API}/namespaces/staging/artifacts/{guess}{part}"))[:2]
        for guess in (name, "k7-0000000000")
        for part in ("", "/content", "/log")
    ]
    assert {status for status, _ in answers} == {403}
    texts = [body["message"].replace(name, "N").replace("k7-0000000000", "N") for _, body in answers]
    assert texts[:3] == texts[3:]


async def test_who_may_look_may_not_fetch(scene: Scene) -> None:
    """Content is a resource of its own."""
    name = await keep(scene.store)
    assert (await scene.ask(f"{SHOP}/{name}", user="viewer"))[0] == 200
    for part in ("content", "log"):
        for method in ("GET", "HEAD"):
            assert (await scene.ask(f"{SHOP}/{name}/{part}", user="viewer", method=method))[0] == 403
    assert scene.downloads() == []


async def test_an_unanswered_question_about_rights_is_a_refusal(scene: Scene) -> None:
    """Later perhaps; never content."""
    name = await keep(scene.store)
    scene.granted.answer = None
    for path in (SHOP, f"{SHOP}/{name}", f"{SHOP}/{name}/content"):
        status, body, headers = await scene.ask(path)
        assert (status, body["kind"], headers["Retry-After"]) == (503, "Status", "1")


async def test_the_right_is_asked_for_exactly_what_is_done(scene: Scene) -> None:
    """Verb, resource, part, name and namespace, with the whole identity."""
    name = await keep(scene.store)
    await scene.ask(f"{SHOP}/{name}/content", method="HEAD")
    person, right = scene.granted.asked[-1]
    assert right.attributes() == {
        "verb": "get",
        "group": "artifacts.toe.run",
        "version": "v1alpha1",
        "resource": "artifacts",
        "subresource": "content",
        "namespace": "shop",
        "name": name,
    }
    assert person.identity() == {"username": "alice", "uid": "uid-alice", "groups": ["people"], "extra": {}}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_nothing_can_be_changed(scene: Scene, method: str) -> None:
    """405 for one, for all, and for what is told about them."""
    name = await keep(scene.store)
    for path in (SHOP, f"{SHOP}/{name}", f"{SHOP}/{name}/content", API):
        status, _, headers = await scene.ask(path, method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert (await scene.ask(f"{SHOP}/{name}"))[0] == 200


@pytest.mark.parametrize("watch", ["true", "1", "True", "yes"])
async def test_nothing_can_be_watched(scene: Scene, watch: str) -> None:
    """405 at once, rather than a watch that never says anything."""
    assert (await scene.ask(f"{SHOP}?watch={watch}"))[0] == 405
    assert (await scene.ask(f"{SHOP}?watch=false"))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/artifacts/NAME",
        f"{API}/artifacts/NAME/content",
        f"{SHOP}/NAME/other",
        f"{SHOP}/NAME/content/",
        f"{SHOP}/NAME/content/x",
        f"{SHOP}/NAME//content",
        f"{SHOP}//NAME",
        f"{SHOP}/",
        f"{SHOP}/NAME%2Fcontent",
        f"{SHOP}/../../staging/artifacts/NAME/content",
        f"{SHOP}/%2e%2e/artifacts/NAME",
        f"{API}/namespaces/shop%2F..%2Fstaging/artifacts",
        f"{API}/namespaces/..%2f.toe/artifacts",
        f"{API}/namespaces/.toe/artifacts",
        f"{API}/namespaces//artifacts",
        f"{API}/namespaces/SHOP/artifacts",
        f"{API}/namespaces/shop/artifacts/%00",
        f"{API}/namespaces/shop/artifacts/NAME%00/content",
        f"{API}/namespaces/shop/artifacts/NAME%20",
        f"{API}/namespaces/shop/artifacts/..",
        f"{API}/namespaces/shop/artifacts/K7",
        f"{API}/namespaces/shop/artifacts/{'x' * 400}",
        f"{API}/namespaces/shop/pods",
        f"{API}/watch/namespaces/shop/artifacts",
        "/apis/artifacts.toe.run/v1/namespaces/shop/artifacts",
        "/apis/artifactsXtoeXrun/v1alpha1/namespaces/shop/artifacts",
        "/openapi/v3/../../apis",
    ],
)
async def test_only_paths_of_ours_lead_anywhere(scene: Scene, path: str) -> None:
    """404 for everything else, before anybody is asked about rights."""
    name = await keep(scene.store)
    await keep(scene.store, namespace="staging")
    status, body, _ = await scene.ask(path.replace("NAME", name))
    assert (status, body["reason"]) == (404, "NotFound")
    assert scene.granted.asked == []


@pytest.mark.parametrize(
    "guess", ["k7", "k7-", "-0123456789", "k7-0123456789", "k-7-0123456789", "k7-012345678", "k7.x"]
)
async def test_a_name_that_is_none_is_not_found(scene: Scene, guess: str) -> None:
    """In the words that kubectl expects."""
    await keep(scene.store)
    if not guess[0].isalnum():
        assert (await scene.ask(f"{SHOP}/{guess}"))[0] == 404
        return
    for part in ("", "/content"):
        status, body, _ = await scene.ask(f"{SHOP}/{guess}{part}")
        assert (status, body["message"]) == (404, f'artifacts.artifacts.toe.run "{guess}" not found')


async def test_a_name_is_good_in_its_namespace_only(scene: Scene) -> None:
    """Two namespaces may have runs of one name."""
    name = await keep(scene.store, namespace="staging")
    assert (await scene.ask(f"{SHOP}/{name}"))[0] == 404


async def test_content_is_sent_whole(scene: Scene) -> None:
    """With length, tag and digest; never to be shown, guessed or kept."""
    name = await keep(scene.store, content=CONTENT, name='a"\r\nX: y.html', segment="a.html")
    digest = hashlib.sha256(CONTENT)
    for part in ("content", "log"):
        status, body, headers = await scene.ask(f"{SHOP}/{name}/{part}")
        assert (status, body) == (200, CONTENT)
        assert headers["Content-Length"] == str(len(CONTENT))
        assert headers["ETag"] == f'"{digest.hexdigest()}"'
        assert headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == 'attachment; filename="a___X__y.html"'
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("sandbox")
        assert "X" not in headers


async def test_a_part_is_sent(scene: Scene) -> None:
    """206 with where it is in the whole."""
    name = await keep(scene.store, content=CONTENT)
    status, body, headers = await scene.ask(f"{SHOP}/{name}/content", Range="bytes=100-199")
    assert (status, body, headers["Content-Range"]) == (206, CONTENT[100:200], f"bytes 100-199/{len(CONTENT)}")
    assert headers["Content-Length"] == "100"
    status, body, headers = await scene.ask(f"{SHOP}/{name}/content", Range="bytes=99999-")
    assert (status, body["kind"], headers["Content-Range"]) == (416, "Status", f"bytes */{len(CONTENT)}")
    tag = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert (await scene.ask(f"{SHOP}/{name}/content", Range="bytes=0-0", If_Range='"other"'))[0] == 200
    assert (await scene.ask(f"{SHOP}/{name}/content", Range="bytes=0-0", If_Range=tag))[0] == 206
    assert (await scene.ask(f"{SHOP}/{name}/content", If_Match='"other"'))[0] == 412


async def test_what_sends_no_byte_is_no_download(scene: Scene) -> None:
    """HEAD, 304, 412 and 416 are not recorded; HEAD tells what GET would."""
    name = await keep(scene.store, content=CONTENT)
    tag = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    status, body, headers = await scene.ask(f"{SHOP}/{name}/content", method="HEAD")
    assert (status, body, headers["Content-Length"], headers["ETag"]) == (200, b"", str(len(CONTENT)), tag)
    status, _, headers = await scene.ask(f"{SHOP}/{name}/content", method="HEAD", Range="bytes=0-9")
    assert (status, headers["Content-Length"]) == (206, "10")
    assert (await scene.ask(f"{SHOP}/{name}/content", If_None_Match=tag))[:2] == (304, b"")
    await scene.ask(f"{SHOP}/{name}/content", If_Match='"x"')
    await scene.ask(f"{SHOP}/{name}/content", Range="bytes=9-0")
    assert scene.downloads() == []


async def test_every_download_is_recorded(scene: Scene) -> None:
    """Who, what, when, which bytes, and where the API server's audit log tells the same."""
    name = await keep(scene.store, content=CONTENT)
    await scene.ask(f"{SHOP}/{name}/content", Range="bytes=100-199", Audit_ID="0f3c-1")
    (found,) = scene.downloads()
    assert found == {
        "at": "2026-03-01T12:00:00Z",
        "user": {"username": "alice", "uid": "uid-alice", "groups": ["people"]},
        "namespace": "shop",
        "name": name,
        "subresource": "content",
        "key": f"shop/k7/{DAY}-0a1b2c3d/shop-1/profile.folded",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "first": 100,
        "last": 199,
        "size": len(CONTENT),
        "address": "127.0.0.1",
        "auditId": "0f3c-1",
    }
    await scene.ask(f"{SHOP}/{name}/log", Audit_ID="x y\u00e9" * 100)
    assert [record["auditId"] for record in scene.downloads() if record["subresource"] == "log"] == [""]


async def test_what_cannot_be_recorded_is_not_sent(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a byte of it."""
    name = await keep(scene.store, content=CONTENT)

    async def full(key: str, content: object) -> None:
        raise StoreError(f"{key}: no space left")

    monkeypatch.setattr(scene.store, "create", full)
    status, body, _ = await scene.ask(f"{SHOP}/{name}/content")
    assert (status, body["kind"]) == (503, "Status")
    assert "space" not in body["message"]


async def test_the_record_is_there_before_the_first_byte(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is cut off in the middle may have got all of it."""
    name = await keep(scene.store, content=CONTENT)
    recorded = asyncio.Event()
    create = scene.store.create

    async def slow(key: str, content: Any) -> None:
        await recorded.wait()
        await create(key, content)

    monkeypatch.setattr(scene.store, "create", slow)
    asked = asyncio.create_task(scene.ask(f"{SHOP}/{name}/content"))
    await asyncio.sleep(0.2)
    assert not asked.done()
    recorded.set()
    assert (await asked)[0] == 200


async def test_an_artifact_that_is_gone_is_not_found(scene: Scene) -> None:
    """Its record, its content, or both."""
    name = await keep(scene.store)
    await scene.store.delete(f"shop/k7/{DAY}-0a1b2c3d/shop-1/profile.folded")
    assert (await scene.ask(f"{SHOP}/{name}/content"))[0] == 404
    await scene.store.delete(record_key(f"shop/k7/{DAY}-0a1b2c3d/shop-1/profile.folded"))
    for path in (f"{SHOP}/{name}", f"{SHOP}/{name}/content"):
        assert (await scene.ask(path))[0] == 404
    assert (await scene.ask(SHOP))[1]["items"] == []
    assert scene.downloads() == []


async def test_what_is_shorter_than_its_record_says_is_not_sent(scene: Scene) -> None:
    """It was damaged; nobody gets half a heap dump that looks whole."""
    name = await keep(scene.store, bytes=5)
    status, body, _ = await scene.ask(f"{SHOP}/{name}/content")
    assert (status, "damaged" in body["message"]) == (500, True)


async def test_an_answer_that_cannot_be_finished_is_cut(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sees that bytes are missing; nothing else is put in their place."""
    name = await keep(scene.store, content=CONTENT)
    for error in (StoreError("disk"), RuntimeError("boom")):

        async def read(
            key: str, start: int = 0, end: int | None = None, error: Exception = error
        ) -> AsyncIterator[bytes]:
            if key.endswith(".json"):
                yield a_record(key.removesuffix(".toe.json"), "profile.folded", CONTENT)
                return
            yield CONTENT[:100]
            await asyncio.sleep(0.05)
            raise error

        monkeypatch.setattr(scene.store, "read", read)
        with pytest.raises((ClientPayloadError, ConnectionError)):
            await scene.ask(f"{SHOP}/{name}/content")


async def test_a_store_that_fails_is_no_answer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, without what the store says: it may name others."""
    name = await keep(scene.store)

    async def broken(prefix: str) -> AsyncIterator[Any]:
        raise StoreError("/secret/place")
        yield

    monkeypatch.setattr(scene.store, "list", broken)
    for path in (SHOP, f"{SHOP}/{name}"):
        status, body, _ = await scene.ask(path)
        assert (status, "secret" in json.dumps(body)) == (503, False)
    assert (await scene.ask(API))[0] == 200


async def test_an_error_of_ours_tells_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """500; the rest is in the log."""

    async def broken(prefix: str) -> AsyncIterator[Any]:
        raise RuntimeError("secret")
        yield

    monkeypatch.setattr(scene.store, "list", broken)
    status, body, _ = await scene.ask(SHOP)
    assert (status, "secret" in json.dumps(body)) == (500, False)


async def test_a_record_that_is_none_shows_nothing(scene: Scene) -> None:
    """Garbage, and a record that stands beside another content than it is about."""
    key = f"shop/k7/{DAY}-0a1b2c3d/shop-1"
    await scene.store.create(record_key(f"{key}/a"), b"{")
    await scene.store.create(record_key(f"{key}/b"), a_record(f"{key}/c", "c", b""))
    await scene.store.create(record_key(f"{key}/d"), a_record("staging/k7/x/y/d", "d", b""))
    assert (await scene.ask(SHOP))[1]["items"] == []


async def test_one_person_takes_no_more_than_his_share(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others go on; it is told when to come again."""
    name = await keep(scene.store, content=CONTENT)
    scene.granted.rights.add(("bob", "get", "artifacts/content", "shop"))
    go_on = asyncio.Event()
    read = scene.store.read

    async def slow(key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        async for piece in read(key, start, end):
            if not key.endswith(".json"):
                await go_on.wait()
            yield piece

    await scene.ask(f"{SHOP}/{name}")
    monkeypatch.setattr(scene.store, "read", slow)
    asked = [asyncio.create_task(scene.ask(f"{SHOP}/{name}/content")) for _ in range(MOST_OF_ONE)]
    await asyncio.sleep(0.3)
    status, _, headers = await scene.ask(f"{SHOP}/{name}/content")
    assert (status, headers["Retry-After"]) == (429, "1")
    waiting = asyncio.create_task(scene.api.until_idle())
    other = asyncio.create_task(scene.ask(f"{SHOP}/{name}/content", user="bob"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    go_on.set()
    assert {status for status, _, _ in await asyncio.gather(*asked, other)} == {200}
    await asyncio.wait_for(waiting, 1)


async def test_no_request_is_an_error_of_ours(scene: Scene) -> None:
    """Whatever path, query and headers somebody makes of what is good: below 500, and no content of others."""
    mine, other = await keep(scene.store), await keep(scene.store, namespace="staging", content=b"canary")
    chance = random.Random(11)
    pieces = [
        mine,
        other,
        "artifacts",
        "content",
        "log",
        "namespaces",
        "shop",
        "staging",
        "..",
        ".",
        "%2e%2e",
        "%2F",
        "%00",
    ]
    pieces += [
        "%ff",
        "",
        "apis",
        "v1alpha1",
        "artifacts.toe.run",
        ".toe",
        "~",
        "a" * 300,
        "%25",
        "%c3%a9",
        "openapi",
        "v2",
    ]
    queries = ["watch", "limit", "continue", "labelSelector", "fieldSelector", "includeObject", "%00", ""]
    values = ["true", "-1", "%ff", "a%20b", "k7", "metadata.name%3D" + mine, "%F0%9F%A6%B6", "()", "!", ",", "x" * 500]
    headers = {
        "Range": ["bytes=0-", "bytes=-1", "bytes=5-1,2-3", "items=1", "\u00e9", "bytes=" + "9" * 30 + "-"],
        "Accept": [
            TABLE,
            "application/json;as=Table",
            ";;;,,,",
            "a/b;c=d=e",
            "*/*;q",
            "application/json;as=;v=v1;g=meta.k8s.io",
        ],
        "If-Range": ['"x"', "W/", ""],
        "If-None-Match": ["*", ",,,", '"'],
        "Audit-ID": ["\u00e9", "x" * 3000],
    }
    for _ in range(500):
        parts = chance.choices(pieces, k=chance.randint(1, 8))
        start = chance.choice([SHOP, f"{SHOP}/{mine}", f"{SHOP}/{mine}/content", API, ""])
        path = f"{start}/{'/'.join(parts)}" if chance.random() < 0.7 else start or "/apis"
        if chance.random() < 0.5:
            path += (
                f"?{chance.choice(queries)}={chance.choice(values)}&{chance.choice(queries)}={chance.choice(values)}"
            )
        sent = {name: chance.choice(found) for name, found in headers.items() if chance.random() < 0.4}
        status, body, _ = await scene.ask(path, method=chance.choice(["GET", "GET", "HEAD", "POST"]), **sent)
        assert status < 500, (path, sent)
        assert b"canary" not in (body if isinstance(body, bytes) else json.dumps(body).encode())


async def test_what_was_done_is_counted(scene: Scene) -> None:
    """By resource and answer; no name of a person or namespace."""
    name = await keep(scene.store, content=CONTENT)
    await scene.ask(SHOP)
    await scene.ask(f"{SHOP}/{name}/content", Range="bytes=0-99")
    await scene.ask(f"{SHOP}/{name}/content", user="mallory")
    metrics = Metrics()
    scene.api.show_in(metrics)
    text = metrics.text().decode()
    assert 'toe_artifacts_requests_total{code="200",resource="artifacts"} 1.0\n' in text
    assert 'toe_artifacts_requests_total{code="206",resource="artifacts/content"} 1.0\n' in text
    assert "toe_download_bytes_total 100.0\n" in text
    assert "toe_downloads_total 1.0\n" in text
    assert not {"alice", "mallory", "shop"} & set(text.replace('"', " ").split())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(scene.api.until_idle(), 1)
