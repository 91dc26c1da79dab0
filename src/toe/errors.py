"""Every error toe raises.

::

    ToeError
    ├── DecodeError(path, source)       a manifest or message that cannot be understood
    ├── SettingsError                   the program was started wrongly
    ├── StoreError                      artifacts cannot be kept or read
    │   ├── ExistsError                 something is kept under this key already
    │   └── MissingError                nothing is kept under this key
    └── ClusterError                    the Kubernetes API answered with an error, or not at all
        ├── NotFoundError               404
        ├── ConflictError               409: somebody else wrote first, or the name exists
        ├── ForbiddenError              401, 403: RBAC, Pod Security or an admission policy
        ├── InvalidError                400, 413, 422: the request can never succeed as it is
        ├── ExpiredError                410: the resourceVersion is too old
        └── UnavailableError            no answer, 429, 5xx: try again later

A denied run is not an error: that is a :class:`toe.policy.verdict.Denied`.
"""


class ToeError(Exception):
    """Is the root of every error that toe raises on purpose."""


class DecodeError(ToeError):
    """Says which field of which source cannot be understood.

    ``path`` is a field path such as ``spec.tool.args[2]`` (empty for the whole document), ``source`` names the file or
    message it came from.
    """

    def __init__(self, message: str, *, path: str = "", source: str = "") -> None:
        self.message = message
        self.path = path
        self.source = source
        where = ": ".join(part for part in (source, path) if part)
        super().__init__(f"{where}: {message}" if where else message)


class SettingsError(ToeError):
    """Says which flag, variable or file the program was started with wrongly."""


class StoreError(ToeError):
    """Says what the store of artifacts did not do; names the key."""


class ExistsError(StoreError):
    """Something is kept under this key already, and nothing is ever overwritten."""


class MissingError(StoreError):
    """Nothing is kept under this key."""


class ClusterError(ToeError):
    """Carries what the Kubernetes API said: HTTP ``status``, its ``reason`` and ``message``.

    ``retry_after`` is the server's wish in seconds, or None. ``causes`` holds ``(field, message)`` pairs of an Invalid
    answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        causes: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.message = message
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.causes = causes
        super().__init__(message)


class NotFoundError(ClusterError):
    """The object, or the kind itself, is not there (404)."""


class ConflictError(ClusterError):
    """Somebody else wrote first, or an object of this name exists (409)."""


class ForbiddenError(ClusterError):
    """The caller may not do this (401, 403): RBAC, Pod Security or an admission policy."""


class InvalidError(ClusterError):
    """The request can never succeed as it is (400, 405, 413, 415, 422)."""


class ExpiredError(ClusterError):
    """The resourceVersion or continue token is too old (410): list again."""


class UnavailableError(ClusterError):
    """No answer, or one that means "later" (connection errors, timeouts, 429, 5xx)."""
