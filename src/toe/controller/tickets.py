"""The key that tickets are signed with: a file, read again when it changes, so that it can be exchanged while we run.

The collector knows a key by its id (:func:`toe.api.ticket.key_id`). So an exchange is: the new public key to the
collector, the new private key to the controller, and the old public key away when its tickets have expired.
"""

from pathlib import Path

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from toe.api.ticket import Ticket, key_id, sign
from toe.errors import SettingsError

_log = structlog.get_logger(__name__)


class TicketKey:
    """Signs tickets with the key that is in its file; what cannot be read keeps the key before."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError when there is no Ed25519 private key in PEM at ``path``."""
        self._path = path
        self._seen = self._stamp()
        self._key = self._load()

    def sign(self, ticket: Ticket) -> str:
        """Returns the signed ticket."""
        stamp = self._stamp()
        if stamp != self._seen:
            try:
                self._key, self._seen = self._load(), stamp
                _log.info("ticket key loaded", key=key_id(self._key.public_key()))
            except SettingsError as error:  # half an exchange: the next ticket looks again
                _log.warning("ticket key cannot be loaded", error=str(error))
        return sign(ticket, self._key, key_id(self._key.public_key()))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _load(self) -> Ed25519PrivateKey:
        try:
            key = load_pem_private_key(self._path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsError(f"{self._path}: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SettingsError(f"{self._path}: an Ed25519 private key in PEM is wanted")
        return key
