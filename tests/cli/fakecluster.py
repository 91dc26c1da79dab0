"""An API server as far as the command line needs one: objects in a dictionary, over plain HTTP, on this machine.

It knows no rule of Kubernetes but the shape of its answers; tests/cluster/test_cli.py asks the real one.
"""

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.builders import merged
from toe.api.meta import API_VERSION, GROUP

Object = dict[str, Any]
RUNS = f"/apis/{API_VERSION}/namespaces/shop/powertools"
CONFIGS = f"/apis/{API_VERSION}/namespaces/toe-system/powertoolconfigs"
PODS = "/api/v1/namespaces/shop/pods"
ARTIFACTS = "/apis/artifacts.toe.run/v1alpha1"
KINDLESS = "the server could not find the requested resource"


class FakeCluster:
    """Holds objects by path."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {"/api/v1/namespaces/shop": {"metadata": {"name": "shop"}}}
        self.logs: dict[str, bytes] = {}
        """Log of a tool by pod."""
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        """(method, path) to (status, body): what comes before everything else."""
        self.forbidden: set[tuple[str, str]] = set()
        """(verb, resource) that the person lacks."""
        self.granted: set[tuple[str, str]] = set()
        """(verb, resource) that somebody else has, whom the person asks about."""
        self.kept: dict[str, bytes] | None = None
        """Content of kept files by the artifact's name; None where no artifacts API is served."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.on_change: Callable[[str, Object], None] = lambda path, obj: None
        self._events: list[queue.Queue[tuple[str, Object] | None]] = []
        self._version = 1

    def put(self, path: str, obj: Object) -> Object:
        """Stores an object at its path and tells the watches."""
        self._version += 1
        meta = obj.get("metadata", {})
        facts = {
            "name": path.rpartition("/")[2],
            "uid": f"uid-{path.rpartition('/')[2]}",
            "creationTimestamp": "2026-03-01T12:00:00Z",
        }
        obj = {**obj, "metadata": {**facts, **meta, "resourceVersion": str(self._version)}}
        if "/namespaces/" in path and not path.startswith("/api/v1/namespaces/shop/pods"):
            obj["metadata"].setdefault("namespace", path.split("/namespaces/")[1].partition("/")[0])
        self.objects[path] = obj
        for events in self._events:
            events.put(("MODIFIED", obj))
        return obj

    def keep(self, run: str, pod: str, file: str, content: bytes, **facts: Any) -> str:
        """Keeps a file as the collector does, and returns the artifact's name."""
        self.kept = self.kept if self.kept is not None else {}
        name = f"{run}-{hashlib.sha256(f'{pod}/{file}'.encode()).hexdigest()[:10]}"
        namespace, uid = facts.pop("namespace", "shop"), facts.pop("uid", f"uid-{run}")
        artifact = {
            "run": {"name": run, "uid": uid},
            "tool": "py-spy",
            "pod": {"name": pod, "uid": f"uid-{pod}"},
            "file": file,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "keptUntil": "2026-03-08T12:00:00Z",
            **facts,
        }
        self.put(f"{ARTIFACTS}/namespaces/{namespace}/artifacts/{name}", artifact)
        self.kept[name] = content
        return name

    def status(self, path: str, **status: Any) -> None:
        """Writes a status as the controller would."""
        self.put(path, merged(self.objects[path], {"status": status}))

    def cut_watches(self) -> None:
        """Ends every watch, as a restarting server does."""
        for events in self._events:
            events.put(None)

    def handle(self, method: str, path: str, params: dict[str, str], body: Object) -> tuple[int, Any]:
        """Answers one request that is no watch."""
        if (method, path) in self.answers:
            return self.answers[method, path]
        if path.startswith(ARTIFACTS):
            return self._artifacts(path, params)
        if path.endswith("/selfsubjectaccessreviews"):
            wanted = body["spec"]["resourceAttributes"]
            return 201, {"status": {"allowed": (wanted["verb"], wanted["resource"]) not in self.forbidden}}
        if path.endswith("/subjectaccessreviews"):
            wanted = body["spec"]["resourceAttributes"]
            what = "/".join(filter(None, (wanted["resource"], wanted.get("subresource"))))
            return 201, {"status": {"allowed": (wanted["verb"], what) in self.granted}}
        if path.endswith("/selfsubjectreviews"):
            return 201, {"status": {"userInfo": {"username": "alice"}}}
        if path.endswith("/log"):
            pod = path.split("/")[-2]
            return (200, self.logs[pod]) if pod in self.logs else self._missing("pods", pod)
        if method == "POST" and params.get("dryRun"):
            stamped = {"requester": {"username": "alice"}} if path.endswith("/powertools") else {}
            return 201, merged(body, {"metadata": {"name": "dry"}, "spec": stamped})
        if params.get("dryRun") and path in self.objects:
            return 200, self.objects[path]
        return self._object(method, path, body)

    def _artifacts(self, path: str, params: dict[str, str]) -> tuple[int, Any]:
        if self.kept is None:
            return 404, _status(404, "NotFound", KINDLESS)
        if path == ARTIFACTS:
            return 200, {"resources": []}
        if path.endswith("/content"):
            if ("get", "artifacts/content") in self.forbidden:
                return 403, _forbidden("get", "artifacts/content", path.split("/"))
            first, _, last = params["Range"].removeprefix("bytes=").partition("-")
            name = path.split("/")[-2]
            found = self.kept.get(name)
            if found is None:
                return 404, _status(404, "NotFound", f'artifacts.artifacts.toe.run "{name}" not found')
            return 206, found[int(first) : int(last) + 1]
        if ("list", "artifacts") in self.forbidden:
            return 403, _forbidden("list", "artifacts", path.split("/"))
        run = params.get("labelSelector", "").partition("=")[2]
        everywhere = "/namespaces/" not in path
        found = [
            obj
            for place, obj in self.objects.items()
            if place.startswith(f"{ARTIFACTS if everywhere else path}/") and run in ("", obj["run"]["name"])
        ]
        return 200, {"items": found, "metadata": {"resourceVersion": "1"}}

    def _object(self, method: str, path: str, body: Object) -> tuple[int, Any]:
        parts = path.split("/")
        resource = parts[-1] if parts[-1] in COLLECTIONS else parts[-2]
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(
            method, "list" if parts[-1] == resource else "get"
        )
        if (verb, resource) in self.forbidden:
            return 403, _forbidden(verb, resource, parts)
        if method == "POST":
            meta = body["metadata"]
            drawn = (f"{meta.get('generateName')}k7m2x{more}" for more in ("", "y", "z"))
            name = meta.get("name") or next(name for name in drawn if f"{path}/{name}" not in self.objects)
            if f"{path}/{name}" in self.objects:
                return 409, _status(409, "AlreadyExists", f'{resource} "{name}" already exists')
            obj = self.put(f"{path}/{name}", body)
            self.on_change(f"{path}/{name}", obj)
            return 201, obj
        if verb == "list":
            found = [
                o for p, o in self.objects.items() if p.startswith(f"{path}/") and p.count("/") == path.count("/") + 1
            ]
            return 200, {"items": found, "metadata": {"resourceVersion": str(self._version)}}
        path = path.removesuffix("/status") if resource == "pods" or parts[-3] == "pods" else path
        if path not in self.objects:
            return self._missing(resource, parts[-1])
        if method == "DELETE":
            return 200, self.objects.pop(path)
        if method == "PATCH":
            obj = self.put(path, merged(self.objects[path], body))
            self.on_change(path, obj)
            return 200, obj
        return 200, self.objects[path]

    def _missing(self, resource: str, name: str) -> tuple[int, Any]:
        group = f".{GROUP}" if resource.startswith("powertool") else ""
        return 404, _status(404, "NotFound", f'{resource}{group} "{name}" not found')

    @contextmanager
    def events(self) -> Iterator[queue.Queue[tuple[str, Object] | None]]:
        """Is what one watch sees."""
        mine: queue.Queue[tuple[str, Object] | None] = queue.Queue()
        self._events.append(mine)
        try:
            yield mine
        finally:
            self._events.remove(mine)


COLLECTIONS = ("pods", "powertools", "powertoolconfigs", "namespaces")


def _status(code: int, reason: str, message: str) -> Object:
    return {"kind": "Status", "code": code, "reason": reason, "message": message}


def _forbidden(verb: str, resource: str, parts: list[str]) -> Object:
    namespace = parts[parts.index("namespaces") + 1]
    where = "at the cluster scope" if resource == "namespaces" else f'in the namespace "{namespace}"'
    user = f'User "alice" cannot {verb} resource "{resource}" in API group "" {where}'
    return _status(403, "Forbidden", f"{resource} is forbidden: {user}")


def _handler(cluster: FakeCluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Tests do not want it."""

        def _serve(self) -> None:
            url = urlsplit(self.path)
            params = {key: values[0] for key, values in parse_qs(url.query).items()}
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else {}
            if "Range" in self.headers:
                params["Range"] = self.headers["Range"]
            cluster.requests.append((self.command, url.path, params))
            if params.get("watch") == "true":
                self._watch(url.path, params)
            elif params.get("follow") == "true" and ("GET", url.path) not in cluster.answers:
                self._follow(url.path, params.get("sinceTime", ""))
            else:
                self._answer(*cluster.handle(self.command, url.path, params, body))

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

        def _answer(self, code: int, body: Any) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _begin_stream(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()

        def _chunk(self, content: bytes) -> None:
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

        def _follow(self, path: str, since: str) -> None:
            pod = path.split("/")[-2]
            self._begin_stream()
            for number, line in enumerate(cluster.logs[pod].splitlines(), 10):
                time = f"2026-03-01T12:00:{number:02}.000000000Z"
                if time >= since:
                    self._chunk(f"{time} ".encode() + line + b"\n")
            self._chunk(b"")

        def _watch(self, path: str, params: dict[str, str]) -> None:
            name = params["fieldSelector"].partition("=")[2]
            with cluster.events() as events:
                self._begin_stream()
                now = cluster.objects.get(f"{path}/{name}")
                if now is None:
                    self._tell("DELETED", {"metadata": {"name": name}})
                elif now["metadata"]["resourceVersion"] != params["resourceVersion"]:
                    self._tell("MODIFIED", now)
                while (event := events.get(timeout=30)) is not None:
                    if event[1]["metadata"]["name"] == name:
                        self._tell(*event)
                self._chunk(b"")

        def _tell(self, kind: str, obj: Object) -> None:
            self._chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    return Handler


@contextmanager
def serving(cluster: FakeCluster, directory: Path) -> Iterator[Path]:
    """Serves it, and is a kubeconfig that leads there, with the namespace shop in its context."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "fake",
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "", "namespace": "shop"}}],
                "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            }
        )
    )
    try:
        yield kubeconfig
    finally:
        cluster.cut_watches()
        server.shutdown()
        server.server_close()
        thread.join()
