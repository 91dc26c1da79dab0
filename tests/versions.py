"""``make test-kubernetes VERSION=1.37.2``: the API server's tests on another version, and a line about it in the docs.

The version is built once, from the Go module proxy; Go itself comes as a wheel where the machine's is too old.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from devcluster import DevClusterError
from devcluster.__main__ import cluster_here
from toe.main import now

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "reference" / "kubernetes-versions.md"
HEAD = "| version | day | passed | skipped | failed | minutes |\n| --- | --- | --- | --- | --- | --- |\n"


def main(arguments: list[str]) -> int:
    """Builds, tests and writes the result; returns the tests' exit status."""
    if len(arguments) != 1 or not re.fullmatch(r"v?1\.\d+\.\d+(-[a-z]+\.\d+)?", arguments[0]):
        print("make test-kubernetes VERSION=1.37.2: one version is wanted", file=sys.stderr)
        return 2
    version = f"v{arguments[0].removeprefix('v')}"
    try:
        cluster_here(kubernetes_version=version).build()
    except DevClusterError as error:
        print(f"test-kubernetes: {error}", file=sys.stderr)
        return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "cluster", "tests", f"--junitxml={report}"]
        around = {**os.environ, "TOE_KUBERNETES_VERSION": version}  # noqa: TID251 the tests' own environment
        status = subprocess.run(command, cwd=TOP, env=around, check=False).returncode
        counts = counted(report.read_text())
    write(version, now().strftime("%Y-%m-%d"), counts, round((time.monotonic() - began) / 60))
    return status


def counted(report: str) -> tuple[int, int, int]:
    """Returns how many tests passed, were skipped and failed, of a report in JUnit's format."""
    suites = list(ElementTree.fromstring(report).iter("testsuite"))
    total, skipped, failed, errors = (
        sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "skipped", "failures", "errors")
    )
    return total - skipped - failed - errors, skipped, failed + errors


def write(version: str, day: str, counts: tuple[int, int, int], minutes: int, page: Path = PAGE) -> None:
    """Puts the line of this version into the page's table, in place of an earlier one."""
    passed, skipped, failed = counts
    text = page.read_text()
    line = f"| {version} | {day} | {passed} | {skipped} | {failed} | {minutes} |\n"
    kept = [old for old in text.partition(HEAD)[2].splitlines(keepends=True) if old.startswith("| v")]
    others = [old for old in kept if not old.startswith(f"| {version} ")]
    page.write_text(text.replace(HEAD + "".join(kept), HEAD + "".join(sorted([*others, line]))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
