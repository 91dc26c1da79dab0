"""The certificate that the API server sees, loaded again when the file changes (cert-manager, a renewed Secret).

Each handshake asks for the context as it is then, so that a renewal needs no restart and drops no connection.
"""

import ssl
from pathlib import Path

import structlog

from toe.errors import SettingsError

_log = structlog.get_logger(__name__)


class Certificate:
    """Serves a certificate and its key from two files, as they are at each handshake."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises SettingsError when the files cannot be used."""
        self._files = (certificate, key)
        self._seen = self._stamp()
        try:
            self._current = self._load()
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"--tls-cert {certificate} and --tls-key {key}: {error}") from None

    def context(self) -> ssl.SSLContext:
        """Returns the context to listen with; what it serves follows the files."""
        listening = self._load()
        listening.sni_callback = self._choose
        return listening

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        stamp = self._stamp()
        if stamp != self._seen:
            try:
                self._current, self._seen = self._load(), stamp
                _log.info("certificate loaded", file=str(self._files[0]))
            except (OSError, ssl.SSLError) as error:  # half a renewal: the next handshake looks again
                _log.warning("certificate cannot be loaded", file=str(self._files[0]), error=str(error))
        connection.context = self._current

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files)
        return context

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        try:
            return tuple((status.st_mtime_ns, status.st_ino) for status in (path.stat() for path in self._files))
        except OSError:
            return ()
