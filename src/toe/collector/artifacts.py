"""``artifacts.toe.run/v1alpha1``: who asks is found out first, then whether he may, then what there is.

Served behind the API server (``toe apiserver``), and on the collector's own address to people who come with a token.
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast, get_args

import msgspec
import structlog
from aiohttp import web

from toe.api.meta import LabelSelector, ListMeta
from toe.api.selector import parse_selector
from toe.collector.discovery import DOCUMENTS
from toe.collector.download import Sender
from toe.collector.inventory import Entry, Inventory
from toe.collector.people import Doorman, Person, Reviews, Right, expect_right
from toe.collector.refusals import RefusedError, later, no_such_path, not_found
from toe.errors import DecodeError, StoreError
from toe.kube.metrics import Metrics
from toe.report.artifacts import API_VERSION, PLURAL, Included, KeptArtifactList, partial, table
from toe.store.port import Store

MOST_ON_A_PAGE = 10_000
"""Objects of one answer, whatever limit is asked for; the rest follows with ``continue``."""
_PATH = re.compile(
    rf"/apis/{re.escape(API_VERSION)}(?:/namespaces/(?P<namespace>[a-z0-9](?:[-a-z0-9]{{0,61}}[a-z0-9])?))?"
    rf"/{PLURAL}(?:/(?P<name>[a-z0-9][-a-z0-9.]{{0,299}})(?:/(?P<part>content|log))?)?"
)
_VERSION = "1"
"""The resourceVersion of everything: nothing ever changes, and nothing can be watched."""
_log = structlog.get_logger(__name__)

Answer = web.StreamResponse


class Form(NamedTuple):
    """Is how an answer is wanted: objects, a Table, or metadata alone."""

    kind: str = ""
    version: str = "v1"


class Artifacts:
    """Answers every request below ``/apis`` and ``/openapi``."""

    def __init__(self, store: Store, doorman: Doorman, reviews: Reviews, clock: Callable[[], datetime]) -> None:
        self._doorman, self._reviews, self._clock = doorman, reviews, clock
        self._inventory = Inventory(store)
        self._sender = Sender(store, clock)
        self._answers: Counter[tuple[str, int]] = Counter()

    def add_to(self, application: web.Application) -> None:
        """Serves it there."""
        for path in ("/apis", "/apis/{rest:.*}", "/openapi/{rest:.*}"):
            application.router.add_route("*", path, self.answer)

    async def answer(self, request: web.Request) -> Answer:
        """Answers one request; whatever goes wrong is a Status, and none of it is ever content."""
        right = Right("")
        try:
            person = await self._doorman.who(request)
            found, right = await self._answer(request, person)
        except RefusedError as refused:
            found = _json(refused.answer(), status=refused.status, headers=refused.headers)
        except StoreError as error:
            _log.error("the store does not answer", error=str(error))
            found = _refusal(later("what is kept cannot be read now"))
        except Exception:
            _log.exception("a request could not be answered", method=request.method)
            found = _refusal(RefusedError(500, "an error of the artifacts API: see its log"))
        self._answers[right.resource if right.verb else "", found.status] += 1
        return found

    async def until_idle(self) -> None:
        """Waits until no download is under way."""
        await self._sender.until_idle()

    def show_in(self, metrics: Metrics) -> None:
        """Has what is counted shown; no names of people or namespaces."""
        requests = ("toe_artifacts_requests", "requests of people by answer", ("resource", "code"))
        metrics.counted(*requests, lambda: {(resource, str(code)): n for (resource, code), n in self._answers.items()})
        sent = self._sender
        metrics.counted("toe_downloads", "downloads that began", (), lambda: {(): sent.downloads})
        metrics.counted("toe_download_bytes", "bytes of files that people fetched", (), lambda: {(): sent.sent_bytes})
        metrics.gauges(
            toe_downloads_open=("downloads under way", lambda: sent.open),
            toe_artifacts_remembered=("records of kept files in memory", lambda: len(self._inventory)),
        )

    async def _answer(self, request: web.Request, person: Person) -> tuple[Answer, Right]:
        path = request.rel_url.raw_path
        document, found = DOCUMENTS.get(path.rstrip("/")), _PATH.fullmatch(path)
        if document is None and (found is None or (found["name"] and not found["namespace"])):
            raise no_such_path()
        if request.method not in ("GET", "HEAD"):
            raise _not_allowed(f"{request.method} is not served: artifacts can be read, and nothing else")
        if document is not None or found is None:
            return _json(document), Right("")
        if request.query.get("watch", "") not in ("", "0", "false"):
            raise _not_allowed("artifacts cannot be watched: list them again")
        name, namespace = found["name"] or _named(request.query), found["namespace"] or ""
        right = Right("get" if found["name"] else "list", namespace, name, found["part"] or "")
        await expect_right(self._reviews, person, right)
        if not found["name"]:
            return await self._list(request, right), right
        entry = await self._inventory.find(namespace, name)
        if entry is None:
            raise not_found(name)
        if right.subresource:
            return await self._sender.send(request, person, right, entry), right
        return self._one(request, entry), right

    def _one(self, request: web.Request, entry: Entry) -> Answer:
        form = _form(request.headers.get("Accept", ""))
        match form.kind:
            case "Table":
                return _json(self._table([entry], ListMeta(_VERSION), request, form))
            case "PartialObjectMetadata":
                return _json(partial(entry.artifact, form.version))
            case "":
                return _json(entry.artifact)
            case _:
                raise _not_acceptable()

    async def _list(self, request: web.Request, right: Right) -> Answer:
        query, form = request.query, _form(request.headers.get("Accept", ""))
        limit = min(_number(query.get("limit", "")) or MOST_ON_A_PAGE, MOST_ON_A_PAGE)
        entries, rest = await self._inventory.page(
            right.namespace,
            _selector(query.get("labelSelector", "")),
            name=right.name,
            limit=limit,
            after=_after(query.get("continue", "")),
        )
        meta = ListMeta(_VERSION, _token(rest) if rest else "")
        match form.kind:
            case "Table":
                return _json(self._table(entries, meta, request, form))
            case "PartialObjectMetadataList":
                return _json(
                    {
                        "kind": form.kind,
                        "apiVersion": f"meta.k8s.io/{form.version}",
                        "metadata": msgspec.to_builtins(meta),
                        "items": [partial(entry.artifact, form.version) for entry in entries],
                    }
                )
            case "":
                return _json(KeptArtifactList(tuple(entry.artifact for entry in entries), meta))
            case _:
                raise _not_acceptable()

    def _table(self, entries: list[Entry], meta: ListMeta, request: web.Request, form: Form) -> dict[str, Any]:
        include = request.query.get("includeObject", "Metadata")
        if include not in get_args(Included):
            raise RefusedError(400, "includeObject is None, Metadata or Object")
        artifacts = (entry.artifact for entry in entries)
        return table(artifacts, meta, self._clock(), include=cast(Included, include), version=form.version)


def _json(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    safe = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    content = msgspec.json.encode(body)
    return web.Response(status=status, body=content, content_type="application/json", headers=safe)


def _refusal(refused: RefusedError) -> web.Response:
    return _json(refused.answer(), status=refused.status, headers=refused.headers)


def _not_allowed(message: str) -> RefusedError:
    return RefusedError(405, message, headers={"Allow": "GET, HEAD"})


def _not_acceptable() -> RefusedError:
    return RefusedError(406, "application/json is served, as it is or as=Table or as=PartialObjectMetadata")


def _form(accept: str) -> Form:
    """Returns the first form of an Accept header that is served here."""
    wanted = [part.strip() for part in accept.split(",") if part.strip()]
    for part in wanted or ["*/*"]:
        media, *stated = [word.strip() for word in part.split(";")]
        words = dict(word.split("=", 1) for word in stated if "=" in word)
        if media not in ("application/json", "application/*", "*/*"):
            continue
        if "as" not in words:
            return Form()
        if words.get("g") == "meta.k8s.io" and words.get("v") in ("v1", "v1beta1"):
            return Form(words["as"], words["v"])
    raise _not_acceptable()


def _named(query: Mapping[str, str]) -> str:
    """Returns the name of a field selector; empty for none."""
    text = query.get("fieldSelector", "")
    if not text:
        return ""
    field, _, name = text.replace("==", "=").partition("=")
    if field != "metadata.name" or not re.fullmatch("[a-z0-9][-a-z0-9.]{0,299}", name):
        raise RefusedError(400, "fieldSelector: only metadata.name=NAME is supported")
    return name


def _selector(text: str) -> LabelSelector:
    try:
        return parse_selector(text, names=True) if text else LabelSelector()
    except DecodeError as error:
        raise RefusedError(400, f"labelSelector: {error.message}") from None


def _number(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RefusedError(400, "limit is a number")
    return int(text)


def _token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode()


def _after(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise RefusedError(400, "continue is not one of ours") from None
