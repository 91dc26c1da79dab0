"""One request to the Kubernetes API: typed answers and typed errors."""

import builtins
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import msgspec

from toe.api.meta import ListMeta
from toe.errors import DecodeError, ExpiredError
from toe.kube.access import Access
from toe.kube.calls import DEADLINE, Calls, Observer, Params
from toe.kube.resource import Named, Resource
from toe.kube.transport import CONNECTIONS
from toe.kube.wire import UNREADABLE, not_understood

T = TypeVar("T", bound=Named)
PatchKind = Literal["strategic", "merge", "json", "apply"]
FieldValidation = Literal["Strict", "Warn", "Ignore"]

_CONTENT_TYPES: dict[PatchKind, str] = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",  # JSON is YAML
}
_ENCODER = msgspec.json.Encoder()


class _Page(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw] | None = None
    metadata: ListMeta = ListMeta()


_PAGES = msgspec.json.Decoder(_Page)


class Client:
    """Talks to one API server; use it as ``async with Client(access) as client``.

    Errors are :class:`toe.errors.ClusterError` and its children. What is repeated, within ``deadline`` seconds in all
    and 5 tries: a read that got no answer, 429 or 5xx; a write only when it cannot have been executed, that is when no
    connection came about, or the server answered 429, or 503 with Retry-After. A write whose connection was lost, or
    that ran into the deadline, raises UnavailableError at once and is never sent a second time: read, then decide.
    A 401 reloads the credentials and is repeated once. Retry-After is always obeyed; if it does not fit into the
    deadline, the error carries it.

    ``observer`` is told ``(verb, resource, code, seconds)`` of each answer; a code of 0 means no answer.
    ``requests`` counts the same by ``(verb, resource, code)``. ``permits`` is asked right before anything but a read
    is sent: where it says no, that is an UnavailableError, and nothing is sent.
    """

    def __init__(
        self,
        access: Access,
        *,
        deadline: float = DEADLINE,
        connections: int = CONNECTIONS,
        observer: Observer | None = None,
        permits: Callable[[], bool] | None = None,
    ) -> None:
        self.access = access
        self._calls = Calls(access, deadline=deadline, connections=connections, observer=observer, permits=permits)
        self.requests = self._calls.requests
        self._decoders: dict[type, msgspec.json.Decoder[Any]] = {}

    async def __aenter__(self) -> Self:
        """Returns the client; the first request makes the connections."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections."""
        await self._calls.close()

    async def get(self, resource: Resource[T], namespace: str | None, name: str) -> T:
        """Reads one object, never from a cache; NotFoundError when it is not there."""
        path = resource.path(namespace, name)
        return self._decode(resource, await self._calls.send("GET", path, verb="get", label=resource.plural))

    async def list(
        self,
        resource: Resource[T],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> tuple[list[T], str]:
        """Reads all objects, page by page, and the resourceVersion of the whole.

        DecodeError when one of them is not understood; a :class:`toe.kube.cache.Cache` goes on without it.
        """
        raws, version = await self.list_raw(
            resource, namespace, label_selector=label_selector, field_selector=field_selector, limit=limit
        )
        return [self._decode(resource, raw) for raw in raws], version

    async def list_raw(
        self,
        resource: Resource[Any],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> tuple[builtins.list[msgspec.Raw], str]:
        """Reads all objects undecoded, and the resourceVersion of the whole.

        When the continue token expires between two pages (410), everything is read once more in one page.
        Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
        """
        path = resource.path(namespace)
        params: dict[str, str | int | bool] = {"limit": limit}
        if label_selector:
            params["labelSelector"] = label_selector
        if field_selector:
            params["fieldSelector"] = field_selector
        items: list[msgspec.Raw] = []
        while True:
            try:
                body = await self._calls.send("GET", path, params=params, verb="list", label=resource.plural)
            except ExpiredError:
                if "continue" not in params:
                    raise
                items.clear()
                params = {key: value for key, value in params.items() if key not in ("continue", "limit")}
                continue
            page = _page(resource, body)
            items += page.items or ()
            if not page.metadata.continue_:
                return items, page.metadata.resource_version
            params["continue"] = page.metadata.continue_

    async def version(self, resource: Resource[Any], namespace: str | None = None) -> str:
        """Is the resourceVersion of the collection at this moment, for the price of reading one object."""
        body = await self._calls.send(
            "GET", resource.path(namespace), params={"limit": 1}, verb="list", label=resource.plural
        )
        return _page(resource, body).metadata.resource_version

    async def create(
        self,
        resource: Resource[T],
        namespace: str | None,
        obj: msgspec.Struct | Mapping[str, Any],
        *,
        dry_run: bool = False,
        field_validation: FieldValidation = "Strict",
        field_manager: str = "toe",
    ) -> T:
        """Creates ``obj`` and returns what is stored; ConflictError when the name exists."""
        params = _write_params(dry_run, field_manager, field_validation)
        path = resource.path(namespace)
        body = _ENCODER.encode(obj)
        return self._decode(
            resource,
            await self._calls.send("POST", path, params=params, body=body, verb="create", label=resource.plural),
        )

    async def patch(
        self,
        resource: Resource[T],
        namespace: str | None,
        name: str,
        body: msgspec.Struct | Mapping[str, Any] | builtins.list[Any] | bytes,
        *,
        kind: PatchKind,
        subresource: str | None = None,
        dry_run: bool = False,
        field_manager: str = "toe",
        field_validation: FieldValidation = "Strict",
        force: bool = False,
    ) -> T:
        """Changes one object and returns what is stored afterwards.

        ``metadata.uid`` in the body makes another object of the same name an InvalidError (422), and
        ``metadata.resourceVersion`` makes a change by somebody else a ConflictError. ``force`` takes over fields of
        other managers, for ``apply`` only.
        """
        params = _write_params(dry_run, field_manager, field_validation)
        if force:
            params["force"] = True
        answer = await self._calls.send(
            "PATCH",
            resource.path(namespace, name, subresource),
            params=params,
            body=body if isinstance(body, bytes) else _ENCODER.encode(body),
            content_type=_CONTENT_TYPES[kind],
            verb="patch",
            label=f"{resource.plural}/{subresource}" if subresource else resource.plural,
        )
        return self._decode(resource, answer)

    async def delete(
        self,
        resource: Resource[Any],
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_seconds: int | None = None,
        propagation_policy: Literal["Background", "Foreground", "Orphan"] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Deletes one object; with ``uid`` or ``resource_version`` only that one, else ConflictError."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        conditions = {"uid": uid, "resourceVersion": resource_version}
        if any(conditions.values()):
            options["preconditions"] = {key: value for key, value in conditions.items() if value}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy is not None:
            options["propagationPolicy"] = propagation_policy
        if dry_run:
            options["dryRun"] = ["All"]
        path = resource.path(namespace, name)
        await self._calls.send("DELETE", path, body=_ENCODER.encode(options), verb="delete", label=resource.plural)

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: bytes | Mapping[str, Any] | msgspec.Struct | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        deadline: float | None = None,
        repeatable: bool = False,
        label: str = "",
    ) -> bytes:
        """Sends anything else (logs, access reviews) and returns the body.

        ``label`` is what the call is counted under, by default the last part of the path. ``repeatable`` says that a
        POST changes nothing, as an access review does, and may be retried like a read.
        """
        return await self._calls.send(
            method.upper(),
            path,
            params=params,
            body=_ENCODER.encode(body) if body is not None and not isinstance(body, bytes) else body,
            headers=headers,
            content_type=content_type,
            deadline=deadline,
            repeatable=repeatable,
            verb=method.lower(),
            label=label or path.rsplit("/", 1)[-1],
        )

    def stream(
        self, path: str, params: Params | None = None, *, label: str = "", verb: str = "watch"
    ) -> AsyncGenerator[bytes, None]:
        """Yields the lines of an answer as they come (a watch, a followed log), without a deadline of its own.

        Ends when the server ends it; raises UnavailableError when the connection is cut. Close it with
        ``contextlib.aclosing`` when leaving early.
        """
        return self._calls.stream(path, params, label=label or path.rsplit("/", 1)[-1], verb=verb)

    def _decode(self, resource: Resource[T], body: bytes | msgspec.Raw) -> T:
        decoder = self._decoders.get(resource.type)
        if decoder is None:
            decoder = self._decoders[resource.type] = msgspec.json.Decoder(resource.type)
        try:
            obj: T = decoder.decode(body)
        except UNREADABLE as error:
            raise not_understood(resource, body, error) from error
        return obj


def _page(resource: Resource[Any], body: bytes) -> _Page:
    try:
        page = _PAGES.decode(body)
    except UNREADABLE as error:
        raise DecodeError(str(error), source=f"list of {resource.plural}") from error
    if not page.metadata.resource_version.isdigit():
        raise DecodeError("not a number", path="metadata.resourceVersion", source=f"list of {resource.plural}")
    return page


def _write_params(dry_run: bool, manager: str, validation: FieldValidation) -> dict[str, str | int | bool]:
    params: dict[str, str | int | bool] = {"fieldManager": manager, "fieldValidation": validation}
    if dry_run:
        params["dryRun"] = "All"
    return params
