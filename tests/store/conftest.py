"""The stores, each of which is put through the same tests."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.store.servers import KEYS, make_bucket, s3_server
from toe.store.directory import DirectoryStore
from toe.store.location import open_store
from toe.store.port import Store

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server."""
    with s3_server() as address:
        yield address


@pytest.fixture(params=["directory", "memory", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Every store, empty."""
    match request.param:
        case "directory":
            opened = await open_store(f"file://{tmp_path}/root", {})
        case "memory":
            opened = await open_store("memory://", {})
        case _:
            server: str = request.getfixturevalue("s3")
            bucket = f"bucket-{next(_numbers)}"
            await make_bucket(server, bucket)
            options = {**KEYS, "endpoint": server, "allow_http": "true"}
            opened = await open_store(f"s3://{bucket}/some/prefix", options)
    yield opened
    if isinstance(opened, DirectoryStore):
        opened.close()
