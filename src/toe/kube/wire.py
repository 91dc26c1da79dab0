"""What may go wrong when an answer's bytes are decoded, and how it is told."""

from typing import Any

import msgspec

from toe.errors import DecodeError
from toe.kube.resource import Resource

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises: wrong JSON or types, bytes that are no UTF-8, nesting without end."""


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """Is the least that is read of any object: which it is, in which version, and a bookmark's annotations."""

    name: str = ""
    namespace: str = ""
    resource_version: str = "0"
    annotations: dict[str, str] | None = None


class _Identity(msgspec.Struct, frozen=True):
    metadata: Meta = Meta()


_IDENTITIES = msgspec.json.Decoder(_Identity)


def identify(body: bytes | msgspec.Raw) -> Meta | None:
    """Reads name and version of an object of any kind; None when not even that can be read."""
    try:
        meta = _IDENTITIES.decode(body).metadata
    except UNREADABLE:
        return None
    return meta if meta.resource_version.isdigit() else None


def not_understood(resource: Resource[Any], body: bytes | msgspec.Raw, error: Exception) -> DecodeError:
    """Is the error for an object that does not fit its projection, naming the object if at least that can be read."""
    meta = identify(body)
    name = "/".join(part for part in (meta.namespace, meta.name) if part) if meta else ""
    message, _, path = str(error).partition(" - at `$")
    return DecodeError(message, path=path.rstrip("`").lstrip("."), source=f"{resource.kind} {name}".rstrip())
