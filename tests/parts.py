"""Runs every test: what needs a node, and beside it everything else. Both mostly wait, for different things.

    python -m tests.parts

Real servers on a busy machine: what fails is run once more, by itself. Twice is a failure. Each part keeps its own
record of what failed, and its output comes whole, when it has ended.
"""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

PARTS = {"node": "node", "everything else": "not node"}
AGAIN = ("--last-failed", "--last-failed-no-failures=none")


def run(markers: str, name: str, more: Sequence[str] = ()) -> tuple[int, str]:
    """Runs one part; returns pytest's exit status and what it printed."""
    cache = f"cache_dir=.pytest_cache/{name.replace(' ', '-')}"
    words = [sys.executable, "-X", "utf8", "-m", "pytest", "-q", "-m", markers, "-o", cache, *more]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def main() -> int:
    """Runs both at once, then what failed; prints the closing line of each run and returns 1 where one failed twice."""
    with ThreadPoolExecutor(len(PARTS)) as pool:
        first = dict(zip(PARTS, pool.map(lambda name: run(PARTS[name], name), PARTS), strict=True))
    failed = False
    closing = []
    for name, (status, said) in first.items():
        print(f"== {name}\n{said}", flush=True)
        closing.append(f"{name}: {said.rstrip().splitlines()[-1]}")
        if status == 0:
            continue
        print(f"== {name}, once more, only what failed", flush=True)
        status, said = run(PARTS[name], name, AGAIN)
        print(said, flush=True)
        closing.append(f"{name}, once more: {said.rstrip().splitlines()[-1]}")
        failed = failed or status != 0
    print(*closing, sep="\n", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
