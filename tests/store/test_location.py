"""One line of text says where artifacts are kept; what is wrong with it is told without any secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from toe.errors import SettingsError
from toe.store.directory import DirectoryStore
from toe.store.location import open_store
from toe.store.objects import ObjectStore


@pytest.mark.parametrize("prefix", ["", "file://"])
async def test_a_path_is_a_directory(tmp_path: Path, prefix: str) -> None:
    """It is made when it is not there."""
    store = await open_store(f"{prefix}{tmp_path}/a/b", {})

    assert isinstance(store, DirectoryStore)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [".partial"]
    store.close()


async def test_memory_is_an_object_store() -> None:
    """For tests."""
    assert isinstance(await open_store("memory://", {}), ObjectStore)


@pytest.mark.parametrize(
    "location",
    [
        *[
            "",
            "a/b",
            "./a",
            "file://host/a",
            "file:a",
            "s3://",
            "s3:///a",
            "gs://",
            "az://",
            "memory://a",
            "http://a/b",
        ],
        *["https://a/b", "ftp://a/b", "s3:bucket", "http://[", "nfs://a/b"],
    ],
)
async def test_what_is_accepted_is_told(location: str) -> None:
    """When something else is given."""
    with pytest.raises(SettingsError, match="s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX"):
        await open_store(location, {})


@pytest.mark.parametrize(
    ("location", "options", "told"),
    [
        ("s3://user:CANARY@bucket/p", {}, "no user, password"),
        ("s3://bucket/p?secret=CANARY", {}, "query"),
        ("s3://bucket/p", {"endpoint": "https://user:CANARY@host"}, "no user and no password"),
        ("s3://bucket/p", {"endpoint": "http://host"}, "allow_http"),
        ("s3://bucket/p", {"endpoint": "host:9000"}, "https://"),
        ("s3://bucket/p", {"endpoint": "http://["}, "no address"),
        ("s3://bucket/p", {"allow_http": "yes"}, "true or false"),
        ("s3://bucket/p", {"frobnicate": "CANARY"}, "'frobnicate' is not valid"),
        ("s3://bucket/p", {"root_certificate": "CANARY"}, "cannot be opened"),
        ("az://container/p", {"account_name": "a", "account_key": "CANARY!!"}, "Access Key"),
        ("gs://bucket/p", {"service_account_key": "CANARY"}, "cannot be opened"),
        ("s3://bucket/p", {"skip_signature": "CANARY"}, "cannot be opened"),
        ("/tmp", {"region": "CANARY"}, "a directory has no options; region"),
    ],
)
async def test_a_wrong_option_is_told(location: str, options: Mapping[str, str], told: str) -> None:
    """By its name; its value may be a secret."""
    with pytest.raises(SettingsError) as caught:
        await open_store(location, options, seconds=0.1)

    assert told in str(caught.value)
    assert "CANARY" not in str(caught.value)


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With its path and the reason."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match=r"nothing can be kept in .*/file/a: Not a directory"):
        await open_store(f"{tmp_path}/file/a", {})
    with pytest.raises(SettingsError, match=r"nothing can be kept in .*/file: "):
        await open_store(f"{tmp_path}/file", {})
