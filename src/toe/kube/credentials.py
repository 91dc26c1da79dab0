"""Who we are to the API server: tokens, client certificates and the programs that hand them out."""

import asyncio
import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from toe.errors import SettingsError

TOKEN_MAX_AGE = 60.0
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
EXEC_TIMEOUT = 60.0
EXEC_LEEWAY = 10.0


@dataclass(frozen=True, slots=True)
class Credential:
    """Is what one request shows: an ``Authorization`` header, a client certificate (PEM), both or neither."""

    authorization: str = ""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)

    def __repr__(self) -> str:
        """Says what kind of credential this is, never its secret."""
        kinds = [word for word, there in (("header", self.authorization), ("certificate", self.certificate)) if there]
        return f"Credential({'+'.join(kinds) or 'anonymous'})"


class Source(Protocol):
    """Gives the credential to use now."""

    async def get(self, *, refused: Credential | None = None) -> Credential:
        """Returns the credential; SettingsError when there is none to be had.

        ``refused`` is one which the server answered with 401: if it is still the current one, a fresh one is fetched.
        """
        ...


class Fixed:
    """Is a credential that never changes."""

    def __init__(self, credential: Credential = Credential()) -> None:
        self._credential = credential

    async def get(self, *, refused: Credential | None = None) -> Credential:
        """Returns the one credential."""
        return self._credential


class Files:
    """Reads a token, or a certificate and its key, from files which somebody else renews.

    What was read is used for at most ``max_age`` seconds (60 by default, as client-go does) and never after a 401, so a
    rotated token is picked up without a restart. A file that vanishes for a moment (a projected volume being swapped)
    leaves the last good credential in use.
    Source: https://kubernetes.io/docs/concepts/security/service-accounts/#bound-tokens
    """

    def __init__(
        self,
        *,
        token: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        certificate_data: bytes = b"",
        key_data: bytes = b"",
        max_age: float = TOKEN_MAX_AGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token, self._certificate, self._key = token, certificate, key
        self._certificate_data, self._key_data = certificate_data, key_data
        self._max_age, self._clock = max_age, clock
        self._read_at = float("-inf")
        self._credential: Credential | None = None

    async def get(self, *, refused: Credential | None = None) -> Credential:
        """Returns what the files held within the last ``max_age`` seconds; SettingsError if never readable."""
        now = self._clock()
        current = self._credential
        if current is None or current is refused or now - self._read_at >= self._max_age:
            fresh, self._read_at = self._read(), now
            if current is None or fresh != current:
                self._credential = current = fresh
        return current

    def _read(self) -> Credential:
        try:
            token = self._token.read_text().strip() if self._token else ""
            certificate = self._certificate.read_bytes() if self._certificate else self._certificate_data
            key = self._key.read_bytes() if self._key else self._key_data
        except (OSError, UnicodeDecodeError) as error:
            if self._credential is not None:
                return self._credential
            raise SettingsError(f"credentials cannot be read: {error}") from error
        if self._token and not token:
            if self._credential is not None:
                return self._credential
            raise SettingsError(f"{self._token}: the token file is empty")
        return Credential(f"Bearer {token}" if token else "", certificate, key)


class ExecStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Is ``status`` of an ExecCredential."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: str = ""


class ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    """Is what an exec plugin prints.

    Source: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/
    """

    api_version: str = ""
    kind: str = ""
    status: ExecStatus | None = None


class Exec:
    """Runs a credential plugin and keeps its answer until it expires or the server refuses it.

    ``environment`` is the environment of this program as the composition root read it; ``extra`` is what the kubeconfig
    adds. ``info`` is the ``spec.cluster`` handed over when ``provideClusterInfo`` is set. ``wall`` tells the present
    time in seconds since the epoch, for the expiry. The plugin never reads our terminal.
    """

    def __init__(
        self,
        command: str,
        arguments: Sequence[str],
        *,
        api_version: str,
        environment: Mapping[str, str],
        extra: Mapping[str, str] | None = None,
        info: Mapping[str, object] | None = None,
        hint: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._command, self._arguments, self._api_version = command, tuple(arguments), api_version
        self._environment = {**environment, **(extra or {})}
        self._info, self._hint, self._wall = info, hint, wall
        self._credential: Credential | None = None
        self._expires = float("inf")
        self._lock = asyncio.Lock()
        self.runs = 0

    async def get(self, *, refused: Credential | None = None) -> Credential:
        """Returns the cached answer or runs the plugin; at most one runs at a time, and all who wait share its answer.

        Raises SettingsError with the plugin's own last words when it fails.
        """
        before = self._credential
        if before is not None and before is not refused and self._wall() < self._expires - EXEC_LEEWAY:
            return before
        async with self._lock:
            if self._credential is None or self._credential is before:
                self._credential, self._expires = await self._run()
            return self._credential

    async def _run(self) -> tuple[Credential, float]:
        self.runs += 1
        spec: dict[str, object] = {"interactive": False}
        if self._info is not None:
            spec["cluster"] = self._info
        info = {"apiVersion": self._api_version, "kind": "ExecCredential", "spec": spec}
        environment = {**self._environment, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._arguments,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            hint = f"\n{self._hint}" if self._hint else ""
            raise SettingsError(f"exec plugin {self._command} cannot be started: {error}{hint}") from error
        try:
            async with asyncio.timeout(EXEC_TIMEOUT):
                out, err = await process.communicate()
        except TimeoutError as error:
            raise SettingsError(f"exec plugin {self._command} gave no answer within {EXEC_TIMEOUT:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            words = err.decode(errors="replace").strip()[-500:]
            raise SettingsError(f"exec plugin {self._command} failed with {process.returncode}: {words}")
        return self._understand(out)

    def _understand(self, out: bytes) -> tuple[Credential, float]:
        where = f"exec plugin {self._command}"
        try:
            answer = msgspec.json.decode(out, type=ExecCredential)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{where}: the answer is not an ExecCredential: {error}") from error
        if answer.api_version != self._api_version:
            raise SettingsError(f"{where}: answered apiVersion {answer.api_version!r}, wanted {self._api_version!r}")
        status = answer.status
        if status is None or not (status.token or status.client_certificate_data):
            raise SettingsError(f"{where}: the answer has neither token nor client certificate")
        if bool(status.client_certificate_data) != bool(status.client_key_data):
            raise SettingsError(f"{where}: clientCertificateData and clientKeyData come together or not at all")
        return (
            Credential(
                f"Bearer {status.token}" if status.token else "",
                status.client_certificate_data.encode(),
                status.client_key_data.encode(),
            ),
            _epoch(status.expiration_timestamp, where),
        )


def _epoch(text: str, where: str) -> float:
    """Is an RFC 3339 time in seconds since the epoch; never, for no text."""
    if not text:
        return float("inf")
    try:
        return msgspec.convert(text, datetime).timestamp()
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: expirationTimestamp: {error}") from error


def basic(username: str, password: str) -> str:
    """Is the ``Authorization`` header of a user name and password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
