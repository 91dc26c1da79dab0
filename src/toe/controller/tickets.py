"""The key that tickets are signed with: a file, read again when it changes, so that it can be exchanged while we run.

The collector knows a key by its id (:func:`toe.api.ticket.key_id`). So an exchange is: the new public key to the
collector, the new private key to the controller, and the old public key away when its tickets have expired.

Where both come in one Secret nobody knows whose pod has it first. So the old private key is beside the new one
(:data:`PREVIOUS`), and signs for each run that was created before the new one had been here for :data:`WAIT`: every
collector knows the old one before and after. Only times of files and of runs count, so that who starts anew, or takes
over, need not know what was before.
"""

from datetime import timedelta
from pathlib import Path

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from toe.api.ticket import Ticket, key_id, sign
from toe.errors import SettingsError

PREVIOUS = "previous.key"
"""The name of the file with the key before, beside the key that signs."""
WAIT = timedelta(minutes=3)
"""From a key's coming here until it signs: kubelets look once a minute, and clocks may be a minute apart."""
_log = structlog.get_logger(__name__)


class TicketKey:
    """Signs tickets with the key that is in its file, or the one before; what cannot be read changes nothing."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError when there is no Ed25519 private key in PEM at ``path``."""
        self._files = (path, path.with_name(PREVIOUS))
        self._seen = self._stamps()
        self._keys = self._load()

    def sign(self, ticket: Ticket) -> str:
        """Returns the signed ticket."""
        stamps = self._stamps()
        if stamps != self._seen:
            try:
                self._keys, self._seen = self._load(), stamps
                _log.info("ticket keys loaded", keys=[key_id(key.public_key()) for key in self._keys])
            except SettingsError as error:  # half an exchange: the next ticket looks again
                _log.warning("ticket key cannot be loaded", error=str(error))
        key, *before = self._keys
        here_since = self._seen[0][0] / 1e9
        if before and ticket.not_before < here_since + WAIT.total_seconds():
            key = before[0]
        return sign(ticket, key, key_id(key.public_key()))

    def _stamps(self) -> list[tuple[int, int]]:
        """Returns when each of the files came and which it is; zeros where there is none."""
        found = []
        for path in self._files:
            try:
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_ino))
            except OSError:
                found.append((0, 0))
        return found

    def _load(self) -> list[Ed25519PrivateKey]:
        """Returns the key, and the one before where there is one."""
        path, previous = self._files
        return [_private_key(path), *([_private_key(previous)] if previous.exists() else [])]


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: an Ed25519 private key in PEM is wanted")
    return key
