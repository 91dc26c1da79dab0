"""toe-run and ``toe collector`` as they are, each in a process of its own: both keep to docs/reference/collector.md."""

import asyncio
import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devcluster import toolchain
from tests.collector.stage import RUN, TOOL, Collector
from tests.collector.toyapi import ToyApi
from tests.webhook.pki import an_authority

RUNNER = Path(__file__).resolve().parents[2] / "runner"
MIB = 1024 * 1024
FLAGS = ("--low-water", "1Mi")


@pytest.fixture(scope="session")
def toe_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Is toe-run with its tests: as ``as-toe-run FILE`` it leaves its summary in that file and not in /dev."""
    program = tmp_path_factory.mktemp("runner") / "toe-run.test"
    go = toolchain.go(Path.home() / ".cache" / "toe", (1, 24), print)
    done = subprocess.run(
        [go, "test", "-c", "-o", program, "."], cwd=RUNNER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return program


class Ended(NamedTuple):
    """Is what toe-run left behind."""

    code: int
    out: str
    err: str
    summary: dict[str, Any]
    ended: float

    def must(self, code: int, reason: str) -> None:
        """Asserts how it ended."""
        assert (self.code, self.summary["reason"]) == (code, reason), (self.summary, self.out[-500:], self.err[-1500:])


class Scene:
    """Is a collector, what the cluster says of runs, and a toe-run for it."""

    def __init__(self, place: Path, program: Path, collector: Collector, api: ToyApi) -> None:
        self._place, self._program, self.collector, self.api = place, program, collector, api
        self.started: list[asyncio.subprocess.Process] = []

    async def play(self, script: str, ticket: str | None = None, **changes: str) -> Ended:
        """Runs a shell script as the tool."""
        process, log = await self.begin(script, ticket, **changes)
        out, err = await process.communicate()
        ended = time.monotonic()
        return Ended(process.returncode or 0, out.decode(), err.decode(), json.loads(log.read_bytes()), ended)

    async def begin(
        self, script: str, ticket: str | None = None, **changes: str
    ) -> tuple[asyncio.subprocess.Process, Path]:
        """Starts it; the file is where its summary will be."""
        place = self._place / f"pod-{len(self.started) + 1}"
        place.mkdir()
        process = await asyncio.create_subprocess_exec(
            *(self._program, "as-toe-run", place / "log", "--", "/bin/sh", "-c", script, "--user-args--"),
            env=self._environment(place, ticket or self.collector.tickets.sign()) | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process, place / "log"

    def _environment(self, place: Path, ticket: str) -> dict[str, str]:
        not_after = datetime.fromtimestamp(time.time() + 120, UTC)
        return {
            "PATH": os.defpath,
            "TOE_RUN": RUN,
            "TOE_TOOL": TOOL,
            "TOE_NAMESPACE": "production",
            "TOE_POD": "web-1",
            "TOE_CONTAINER": "app",
            "TOE_DURATION": "60s",
            "TOE_WARMUP": "0s",
            "TOE_GRACE": "5s",
            "TOE_NOT_AFTER": not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "TOE_STOP_SIGNAL": "SIGINT",
            "TOE_LIMITS": "{}",
            "TOE_MODE": "collector",
            "TOE_OUTPUT": str(place / "output"),
            "TOE_SUMMARY_MAX": "1024",
            "TOE_COLLECTOR": f"https://127.0.0.1:{self.collector.port}",
            "TOE_CA": (self.collector.place / "ca.crt").read_text(),
            "TOE_TICKET": ticket,
        }

    def kept(self) -> dict[str, bytes]:
        """Is what the collector keeps, by the tool's names."""
        found = {}
        for key, content in self.collector.kept().items():
            record = json.loads((self.collector.store / f"{key}.toe.json").read_text())
            found[record["name"]] = content
        return found


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits until it holds; TimeoutError when it does not."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def acting(place: Path, program: Path, *flags: str, serving: tuple[str, ...] = ()) -> AsyncIterator[Scene]:
    """Is a scene with one run; ``serving`` says with which certificate, where it is not a mounted one."""
    async with ToyApi() as api:
        await api.config(TOOL)
        await api.run(RUN)
        (place / "collector").mkdir()
        collector = Collector(place / "collector", api.kubeconfig(place), *FLAGS, *flags)
        authority = an_authority()
        authority.save(collector.place)
        authority.issue(collector.place, "127.0.0.1")
        collector.serving = serving or collector.serving
        await collector.start()
        scene = Scene(place, program, collector, api)
        try:
            yield scene
        finally:
            for process in scene.started:
                if process.returncode is None:
                    process.kill()
                    await process.communicate()
            if collector.process is not None and collector.process.returncode is None:
                await collector.kill()


def files_in(place: Path, contents: Mapping[str, bytes]) -> Path:
    """Writes files, for a tool to leave."""
    for name, content in contents.items():
        path = place / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place / "made"


def some_files(chance: random.Random) -> dict[str, bytes]:
    """Is what a tool may leave: all sizes, and names that are no names of objects."""
    names = ("a", "deep/er/b.bin", "with space.txt", "%41", "\u00fcber/\u6587.txt", ".hidden", "-rf", "..2")
    sizes = (0, 1, 1000, 4 * MIB, 4 * MIB + 1, 9 * MIB, 17, 65536)
    return {name: chance.randbytes(size) for name, size in zip(names, sizes, strict=True)}


def unpacked(content: bytes) -> bytes:
    """Is what zstd makes of it."""
    return subprocess.run(["zstd", "-dc"], input=content, capture_output=True, check=True).stdout


async def test_every_file_is_kept_as_it_was_written(tmp_path: Path, toe_run: Path) -> None:
    """Files of all sizes and names, and what the tool printed; the summary tells the digests of what is kept."""
    files = some_files(random.Random(1))
    made = files_in(tmp_path, files)
    async with acting(tmp_path, toe_run) as scene:
        ended = await scene.play(f"cp -r {made}/. {{output}}; echo said; echo complained >&2", TOE_SUMMARY_MAX="1024")

        ended.must(0, "Completed")
        wanted = files | {"stdout.txt": b"said\n", "stderr.txt": b"complained\n"}
        assert scene.kept() == wanted
        assert ended.summary["bytes"] == sum(map(len, wanted.values()))
        for file in ended.summary["files"]:
            assert file["sha256"] == hashlib.sha256(wanted[file["name"]]).hexdigest()
        assert len(ended.summary["files"]) + ended.summary.get("more", 0) == len(wanted)
        assert "#toe-" not in ended.out
        assert scene.collector.partials() == []
        assert scene.collector.orphans() == []


async def test_compressed_files_are_zstd(tmp_path: Path, toe_run: Path) -> None:
    """The collector keeps what it got, under a name that says so."""
    content = b"a line much like the one before\n" * 300_000
    made = files_in(tmp_path, {"lines": content})
    async with acting(tmp_path, toe_run) as scene:
        ended = await scene.play(f"cp {made}/lines {{output}}", TOE_COMPRESS="zstd")

        ended.must(0, "Completed")
        (kept,) = scene.kept().items()
        assert kept[0] == "lines.zst"
        assert kept[1].startswith(b"\x28\xb5\x2f\xfd")
        assert len(kept[1]) < len(content) / 50
        if shutil.which("zstd"):
            assert unpacked(kept[1]) == content


async def test_files_leave_while_the_tool_runs(tmp_path: Path, toe_run: Path) -> None:
    """One that is finished is kept long before the tool ends; one that grows is whole at the end."""
    script = (
        'echo done >{output}/early; exec 3>{output}/grows; while [ ! -e "$STOP" ]; do echo more >&3; sleep 0.1; done'
    )
    async with acting(tmp_path, toe_run) as scene:
        process, log = await scene.begin(script, TOE_ROLLING="1s", STOP=str(tmp_path / "stop"))
        await until(lambda: "early" in scene.kept())
        assert process.returncode is None
        assert "grows" not in scene.kept()
        assert scene.collector.partials()
        (tmp_path / "stop").touch()
        await process.communicate()

        assert process.returncode == 0, log.read_text()
        kept = scene.kept()
        assert kept.keys() == {"early", "grows"}
        assert kept["grows"] == (tmp_path / "pod-1/output/grows").read_bytes()


@pytest.mark.parametrize("compress", ["", "zstd"], ids=["plain", "zstd"])
async def test_a_collector_that_is_killed_again_and_again_gets_everything(
    compress: str, tmp_path: Path, toe_run: Path
) -> None:
    """0 lost, 0 altered, 0 kept twice, 0 left over."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = {f"file {n}": chance.randbytes(chance.randrange(3 * MIB)) for n in range(60)}
    made = files_in(tmp_path, files)
    changes = {"TOE_COMPRESS": compress} if compress else {}
    async with acting(tmp_path, toe_run) as scene:
        playing = asyncio.create_task(scene.play(f"cp -r {made}/. {{output}}", TOE_GRACE="30s", **changes))
        kills = 0
        while not playing.done() and kills < 4:
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            await scene.collector.kill()
            kills += 1
            await scene.collector.start()
        ended = await playing

        ended.must(0, "Completed")
        assert kills > 1
        kept = scene.kept()
        if compress:
            assert kept.keys() == {f"{name}.zst" for name in files}
            if shutil.which("zstd"):
                kept = {name.removesuffix(".zst"): unpacked(content) for name, content in kept.items()}
                assert kept == files
        else:
            assert kept == files
        assert scene.collector.orphans() == []


@pytest.mark.parametrize(("reason", "stays"), [("Canceled", True), ("ToolSuspended", True), ("RunDeleted", False)])
async def test_a_tool_that_is_no_longer_wanted_ends_within_five_seconds(
    reason: str, stays: bool, tmp_path: Path, toe_run: Path
) -> None:
    """What it left is kept, unless its run was deleted."""
    async with acting(tmp_path, toe_run) as scene:
        process, log = await scene.begin("echo half >{output}/half; touch {output}/ready; exec sleep 60")
        await until((tmp_path / "pod-1/output/ready").exists)
        told = time.monotonic()
        match reason:
            case "Canceled":
                await scene.api.run(RUN, cancel=True)
            case "ToolSuspended":
                await scene.api.config(TOOL, suspended=True)
            case _:
                await scene.api.delete(RUN)
        await process.communicate()

        assert time.monotonic() - told < 5
        summary = json.loads(log.read_bytes())
        assert (process.returncode, summary["reason"]) == (125, reason), summary
        assert ("half" in scene.kept()) == stays


async def test_a_ticket_is_good_for_one_tool(tmp_path: Path, toe_run: Path) -> None:
    """The second is refused before its tool starts, and somebody hears of it."""
    async with acting(tmp_path, toe_run) as scene:
        ticket = scene.collector.tickets.sign()
        (await scene.play("echo first >{output}/a", ticket)).must(0, "Completed")
        ended = await scene.play(f"touch {tmp_path}/started", ticket)

        ended.must(125, "TicketClaimed")
        assert not (tmp_path / "started").exists()
        assert scene.kept() == {"a": b"first\n"}
        await until(lambda: any(event.get("reason") == "TicketClaimed" for event in scene.api.events))


async def test_a_lease_holds_in_every_mode(tmp_path: Path, toe_run: Path) -> None:
    """With its files in the log a tool is ended all the same when its collector has gone."""
    async with acting(tmp_path, toe_run, "--lease", "3s") as scene:
        process, log = await scene.begin("touch {output}/ready; exec sleep 60", TOE_MODE="ephemeral")
        await until((tmp_path / "pod-1/output/ready").exists)
        await scene.collector.kill()
        gone = time.monotonic()
        out, _ = await process.communicate()

        assert time.monotonic() - gone < 6
        assert json.loads(log.read_bytes())["reason"] == "LeaseLost"
        assert b'"name":"ready"' in out


@pytest.mark.parametrize(
    ("flags", "most", "reason", "says"),
    [
        (("--quota-namespace", "1Mi"), 1 << 30, "UploadFailed", "QuotaExceeded"),
        (("--quota-total", "1Mi"), 1 << 30, "UploadFailed", "QuotaExceeded"),
        ((), MIB, "ArtifactTooLarge", ""),
    ],
    ids=["namespace", "all", "ticket"],
)
async def test_a_file_that_there_is_no_room_for_is_no_success(
    flags: tuple[str, ...], most: int, reason: str, says: str, tmp_path: Path, toe_run: Path
) -> None:
    """Nothing of it is kept, and the reason is told."""
    async with acting(tmp_path, toe_run, *flags) as scene:
        ended = await scene.play(
            "head -c 3000000 /dev/urandom >{output}/large", scene.collector.tickets.sign(max_bytes=most)
        )

        ended.must(125, reason)
        assert says in ended.summary["message"]
        assert scene.kept() == {}


async def test_a_tool_that_fails_keeps_its_own_reason(tmp_path: Path, toe_run: Path) -> None:
    """Its files are kept, and its exit code is its own."""
    async with acting(tmp_path, toe_run) as scene:
        ended = await scene.play("echo half >{output}/half; echo no >&2; exit 3")

        ended.must(3, "ToolFailed")
        assert scene.kept() == {"half": b"half\n", "stderr.txt": b"no\n"}
