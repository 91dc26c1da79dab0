"""What the supervisor wrote about itself as the container's termination message.

A compromised target that shares the tool's identity could forge it: it explains, it never decides. Whatever does not
parse is ignored.
"""

from typing import Annotated

import msgspec

from toe.api.artifact import Artifact
from toe.api.meta import Struct
from toe.api.powertool import Reported
from toe.api.reasons import Reason

MAX_FILES = 64

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Small = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class SummaryFile(Struct, frozen=True, gc=False):
    """Is one file the supervisor lists."""

    name: str
    bytes: _Count = 0
    sha256: str = ""


class Summary(Struct, frozen=True):
    """Is the supervisor's summary, version 1. Numbers that the status could not hold make it none."""

    v: int
    exit: int
    reason: str
    message: str = ""
    uid: _Small | None = None
    gid: _Small | None = None
    cap_eff: str = ""
    no_new_privs: bool | None = None
    seccomp: _Small | None = None
    files: tuple[SummaryFile, ...] = ()
    bytes: _Count = 0

    @property
    def reported(self) -> Reported:
        """Is the part that status keeps."""
        return Reported(
            uid=self.uid,
            gid=self.gid,
            cap_eff=printable(self.cap_eff)[:32],
            no_new_privs=self.no_new_privs,
            seccomp=self.seccomp,
        )

    def artifacts(self, pod: str) -> tuple[Artifact, ...]:
        """Returns the files as artifacts of a pod; names and hashes are cut to what the schema takes."""
        return tuple(
            Artifact(pod=pod, name=printable(file.name)[:512], bytes=file.bytes, sha256=printable(file.sha256)[:64])
            for file in self.files[:MAX_FILES]
        )


REASONS: dict[str, Reason] = {
    "ToolFailed": Reason.TOOL_FAILED,
    "GraceExceeded": Reason.GRACE_EXCEEDED,
    "MemoryLimitExceeded": Reason.MEMORY_LIMIT_EXCEEDED,
    "CPULimitExceeded": Reason.CPU_LIMIT_EXCEEDED,
    "NotAfterPassed": Reason.NOT_AFTER_PASSED,
    "Terminated": Reason.TERMINATED,
    "ArtifactTooLarge": Reason.ARTIFACT_TOO_LARGE,
    "ToolNotFound": Reason.TOOL_BINARY_NOT_FOUND,
    "ToolNotExecutable": Reason.TOOL_NOT_EXECUTABLE,
    "TargetNotFound": Reason.TARGET_PROCESS_NOT_FOUND,
    "BadEnvironment": Reason.BAD_ENVIRONMENT,
    "TicketClaimed": Reason.TICKET_CLAIMED,
    "CollectorRefused": Reason.COLLECTOR_REFUSED,
    "CollectorUnreachable": Reason.COLLECTOR_UNREACHABLE,
    "LeaseLost": Reason.LEASE_LOST,
    "UploadFailed": Reason.UPLOAD_FAILED,
    "Canceled": Reason.CANCELED,
    "RunDeleted": Reason.RUN_DELETED,
    "ToolSuspended": Reason.TOOL_SUSPENDED,
}
"""The supervisor's word for a failure, and ours."""

_decoder = msgspec.json.Decoder(Summary)


def parse_summary(message: str) -> Summary | None:
    """Reads a termination message; None for anything that is no summary of version 1."""
    if not message.startswith("{"):
        return None
    try:
        summary = _decoder.decode(message)
    except msgspec.DecodeError:
        return None
    return summary if summary.v == 1 else None


def printable(text: str) -> str:
    """Replaces control and other unprintable characters: text from a pod ends up on terminals and in reports."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
