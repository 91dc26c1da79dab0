"""The collector's address, as an administrator writes it."""

import re

from toe.errors import SettingsError

_ADDRESS = re.compile(r"https://([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,39}\])(:([0-9]{1,5}))?")


def checked_endpoint(url: str) -> str:
    """Returns the address as it is; SettingsError unless it is ``https://HOST[:PORT]`` and nothing else.

    No path, query, credentials or other scheme: it is handed to supervisors in pods, who send tickets to it.
    """
    found = _ADDRESS.fullmatch(url)
    port = found.group(4) if found else None
    if found is None or (port is not None and not 1 <= int(port) <= 65535):
        raise SettingsError(f"{url!r}: https://HOST or https://HOST:PORT is wanted, with nothing behind it")
    return url
