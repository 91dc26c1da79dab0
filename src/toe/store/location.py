"""Where a store is: one line of text, as it stands in the installation's settings."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, from_url

from toe.errors import SettingsError
from toe.store.directory import DirectoryStore
from toe.store.objects import ObjectStore
from toe.store.port import Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig

ACCEPTED = "/PATH, file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or memory://"
SECONDS = 30.0
"""How long one request to an object store may take, and how long it is repeated."""
RETRIES = 3
CONNECT_SECONDS = 5.0

_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    # Not every server of this kind knows the request for many deletions at once.
    "s3": {"disable_bulk_delete": "true"},
    "gs": {},
    "az": {},
}


async def open_store(location: str, options: Mapping[str, str], *, seconds: float = SECONDS) -> Store:
    """Returns the store at a location, after it was tried that it keeps what it is given.

    ``options`` are obstore's for the kind of store (``endpoint``, ``region``, ``account_name``...), and two of ours:
    ``allow_http`` (``true``: artifacts travel in the clear) and ``root_certificate`` (PEM, beside the system's). What
    is not given is looked for by obstore where the cloud's own tools look: variables, metadata services, token files.
    ``memory://`` forgets everything. Raises SettingsError.
    """
    if location.startswith("/"):
        return _directory(location, options)
    try:
        parts = urlsplit(location)
    except ValueError:
        raise _unknown() from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("the location of artifacts has no user, password, query or fragment: use options")
    match parts.scheme:
        case "file" if not parts.netloc and parts.path.startswith("/"):
            return _directory(unquote(parts.path), options)
        case "memory" if location == "memory://":
            store = ObjectStore(MemoryStore())
        case "s3" | "gs" | "az" if parts.netloc:
            store = _bucket(parts.scheme, location, options, seconds)
        case _:
            raise _unknown()
    await store.prove()
    return store


def _directory(path: str, options: Mapping[str, str]) -> DirectoryStore:
    if options:
        raise SettingsError(f"a directory has no options; {', '.join(sorted(options))} is given")
    return DirectoryStore(Path(path))


def _bucket(scheme: str, location: str, options: Mapping[str, str], seconds: float) -> ObjectStore:
    config = {**_DEFAULTS[scheme], **options}
    allow_http = config.pop("allow_http", "false")
    certificate = config.pop("root_certificate", "")
    if allow_http not in ("true", "false"):
        raise SettingsError("the option allow_http is true or false")
    for name, value in config.items():
        if "endpoint" in name or name == "base_url":
            _expect_address(name, value, allow_http == "true")
    client: ClientConfig = {
        "allow_http": allow_http == "true",
        "connect_timeout": timedelta(seconds=min(seconds, CONNECT_SECONDS)),
        "timeout": timedelta(seconds=seconds),
    }
    if certificate:
        client["root_certificate"] = certificate
    try:
        bucket = from_url(
            location,
            config=cast(Any, config),
            client_options=client,
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=seconds)},
        )
    except (BaseError, ValueError, TypeError) as error:
        raise SettingsError(f"{location} cannot be opened: {_what(error, config)}") from None
    return ObjectStore(bucket)


def _expect_address(name: str, value: str, allow_http: bool) -> None:
    try:
        address = urlsplit(value)
    except ValueError:
        raise SettingsError(f"the option {name} is no address") from None
    if address.username or address.password:
        raise SettingsError(f"the option {name} has no user and no password: there are options for credentials")
    if address.scheme != "https" and not (address.scheme == "http" and allow_http):
        raise SettingsError(f"the option {name} is an https:// address (http:// with allow_http: true, in the clear)")


def _what(error: Exception, options: Mapping[str, str]) -> str:
    """Says what is wrong without the words of obstore, which may quote an option's value."""
    first = str(error).partition("\n")[0]
    for value in options.values():
        first = first.replace(value, "...") if len(value) > 3 else first
    return first


def _unknown() -> SettingsError:
    return SettingsError(f"the location of artifacts is {ACCEPTED}")
