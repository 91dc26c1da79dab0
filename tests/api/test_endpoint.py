"""The collector's address is a host, and nothing behind it."""

import pytest

from toe.api.endpoint import checked_endpoint
from toe.errors import SettingsError


@pytest.mark.parametrize(
    "url",
    [
        "https://toe-collector.toe-system.svc",
        "https://toe-collector.toe-system.svc:8443",
        "https://10.96.0.17:443",
        "https://[fd00::1]:8443",
    ],
)
def test_a_host_and_a_port_are_accepted(url: str) -> None:
    """Names, IPv4 and IPv6."""
    assert checked_endpoint(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "toe-collector",
        "http://toe-collector",
        "HTTPS://toe-collector",
        "ftp://toe-collector",
        "file:///etc/passwd",
        "gopher://toe-collector",
        "https://",
        "https://user@toe-collector",
        "https://user:password@toe-collector",
        "https://toe-collector/",
        "https://toe-collector/path",
        "https://toe-collector?x=y",
        "https://toe-collector#x",
        "https://toe-collector:",
        "https://toe-collector:0",
        "https://toe-collector:65536",
        "https://toe-collector:https",
        "https://-toe",
        "https://toe-",
        "https://toe collector",
        "https://toe-collector\n",
        " https://toe-collector",
        "https://fd00::1",
        "https://toe-coll\u0435ctor",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    """Supervisors send tickets there."""
    with pytest.raises(SettingsError, match=r"https://HOST or https://HOST:PORT is wanted"):
        checked_endpoint(url)
