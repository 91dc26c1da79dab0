"""The public keys that tickets are verified with: a directory of ``KID.pem`` and ``*.crt``, read again when it changes.

A ``.crt`` is a certificate around such a key: Helm can make one, and no public key alone. Its dates, names and issuer
mean nothing here, since whoever can put a file there could put any key there.

A new key is put beside the old one before the controller signs with it, and the old one goes when its tickets have
expired: for a while both are good.
"""

from collections.abc import Mapping
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from toe.api.ticket import key_id

KEY, CERTIFICATE = ".pem", ".crt"
_log = structlog.get_logger(__name__)


class TicketKeys:
    """Knows the keys that are in a directory now; a file that is no Ed25519 public key in PEM is left out, and told."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._seen: object = None
        self._keys: dict[str, Ed25519PublicKey] = {}

    def current(self) -> Mapping[str, Ed25519PublicKey]:
        """Returns the keys by their ids; none while the directory is not there."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._keys, self._seen = self._load(), stamp
            _log.info("ticket keys loaded", keys=sorted(self._keys))
        return self._keys

    def _files(self) -> list[Path]:
        found = (path for suffix in (KEY, CERTIFICATE) for path in self._place.glob(f"*{suffix}"))
        return sorted(path for path in found if not path.name.startswith("."))

    def _stamp(self) -> object:
        found = []
        for path in self._files():
            try:
                status = path.stat()
            except OSError:  # half an exchange: its file comes or goes at this moment
                continue
            found.append((path.name, status.st_mtime_ns, status.st_ino, status.st_size))
        return tuple(found)

    def _load(self) -> dict[str, Ed25519PublicKey]:
        keys = {}
        for path in self._files():
            try:
                key = _public_key(path)
            except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
                key = None
            if isinstance(key, Ed25519PublicKey):
                keys[key_id(key) if path.suffix == CERTIFICATE else path.stem] = key
            else:
                _log.warning("ticket key cannot be loaded", file=str(path))
        return keys


def _public_key(path: Path) -> object:
    content = path.read_bytes()
    if path.suffix == CERTIFICATE:
        return x509.load_pem_x509_certificate(content).public_key()
    return load_pem_public_key(content)
