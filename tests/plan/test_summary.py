"""What the supervisor wrote about itself: it explains, it never decides."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from toe.api.artifact import Artifact
from toe.api.powertool import Reported
from toe.api.reasons import Reason
from toe.plan.summary import MAX_FILES, REASONS, parse_summary, printable


def _summary(**more: Any) -> str:
    return json.dumps({"v": 1, "exit": 0, "reason": "Completed"} | more)


def test_a_summary_of_version_1_is_read() -> None:
    """Fields that are not known are passed over."""
    text = _summary(
        message="ok", uid=1000, gid=0, capEff="00000000a80425fb", noNewPrivs=True, seccomp=2, future=[1], bytes=9
    )
    summary = parse_summary(text)
    assert summary is not None
    assert (summary.exit, summary.message, summary.bytes) == (0, "ok", 9)
    assert summary.reported == Reported(uid=1000, gid=0, cap_eff="00000000a80425fb", no_new_privs=True, seccomp=2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "panic: no such file",
        "{",
        "{}",
        "[1]",
        _summary(v=2),
        _summary(v="1"),
        _summary(exit="0"),
        _summary()[:-2],
        _summary(bytes=2**60),
        _summary(bytes=-1),
        _summary(uid=2**40),
        _summary(seccomp=-1),
        _summary(files=[{"name": "x", "bytes": 2**70}]),
        _summary(files="x"),
        '{"v":1,"exit":0,"reason":"\\ud800"}',
    ],
)
def test_whatever_is_no_summary_is_none(text: str) -> None:
    """What a target forged cannot make a status that the API server refuses."""
    assert parse_summary(text) is None


def test_files_become_artifacts_that_fit_the_schema() -> None:
    """Names and hashes are cut and made printable; more files than a summary can hold are left out."""
    files = [{"name": "a\x1b[31m/b" + "n" * 600, "bytes": 5, "sha256": "f" * 70}] + [{"name": "x"}] * 100
    summary = parse_summary(_summary(files=files))
    assert summary is not None
    artifacts = summary.artifacts("web-1")
    assert len(artifacts) == MAX_FILES
    name = "a\N{REPLACEMENT CHARACTER}[31m/b" + "n" * 504
    assert artifacts[0] == Artifact(pod="web-1", name=name, bytes=5, sha256="f" * 64)


def test_what_is_reported_fits_the_schema() -> None:
    """A forged value is cut and made printable."""
    summary = parse_summary(_summary(capEff="\x1b" + "f" * 99))
    assert summary is not None
    assert summary.reported.cap_eff == "\N{REPLACEMENT CHARACTER}" + "f" * 31


def test_every_word_of_the_supervisor_has_a_reason() -> None:
    """Each is known to people by the same word, or a clearer one where theirs means something else here."""
    assert REASONS == {
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


def test_the_supervisors_words_are_the_ones_it_is_built_with() -> None:
    """runner/reasons.go lists them; Completed is no failure."""
    source = (Path(__file__).parents[2] / "runner" / "reasons.go").read_text()
    assert set(re.findall(r'= "([A-Za-z]+)"', source)) - {"Completed"} == set(REASONS)


def test_text_from_a_pod_is_made_printable() -> None:
    """Nothing from a pod moves a terminal's cursor."""
    assert printable("a\x1b[2J\n\té\u202e") == "a\ufffd[2J\ufffd\ufffdé\ufffd"
