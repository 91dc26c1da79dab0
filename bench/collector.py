"""What ``toe collector`` bears: faults, a large file, and connections that drip.

    python -m bench.collector [faults] [large] [drips] [--uploads 1000] [--gib 2] [--dribblers 500]

``faults``: so many uploads over connections that are cut, with chunks that come twice, early or damaged, while the
collector is killed with SIGKILL again and again. What must hold is asserted.
``large``: one file, beside ``curl -T`` to nginx (WebDAV PUT, Debian's packages) over TLS on the same disk, in turn. The
collector checks a sha256 of each chunk and of the whole, and its commit is durable; nginx's PUT is neither, so a
``sync`` of what it wrote is timed too. The client sends over one connection, and knows its digests before.
``drips``: a good upload, alone and beside connections that send a byte a second: half of them headers, half of them
bodies of claims with good tickets. Each dribbler comes from an address of its own, and comes again when it is let go.
"""

import argparse
import asyncio
import hashlib
import json
import mmap
import os
import random
import shutil
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.controller import cpu, peak
from tests.cluster.hooked import free_port
from tests.collector.stage import Collector, a_session, as_json, collecting, digest, request
from tests.collector.test_faults import bring_all, kill_often, nothing_else

MIB, GIB = 1 << 20, 1 << 30
CHUNK = 4 * MIB
CONFIG = """
daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/nginx.log;
events {{ worker_connections 64; }}
http {{
    access_log off; client_max_body_size 0; client_body_temp_path {place}/temporary;
    client_body_buffer_size 1m; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u;
    scgi_temp_path {place}/s;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
        location / {{ root {place}/files; dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""


async def faults(place: Path, uploads: int) -> None:
    """Prints what was counted; fails when anything is lost, doubled, altered, outside or left."""
    chance = random.Random(int(os.urandom(4).hex(), 16))
    async with collecting(place, "--low-water", "64Mi") as (collector, _):
        began = time.monotonic()
        starts: list[float] = []

        async def killing() -> None:
            while True:
                await kill_often(collector, chance, 1)
                starts.append(time.monotonic())

        killer = asyncio.create_task(killing())
        wanted = await bring_all(collector, chance, uploads, at_once=16)
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
        await collector.kill()
        await collector.start()
        seconds = time.monotonic() - began
        nothing_else(collector, wanted)
    print(
        f"faults: {uploads} uploads of {len(wanted)} files and {sum(map(len, wanted.values())) / MIB:.0f} MiB in "
        f"{seconds:.0f} s, {len(starts) + 1} kills: 0 lost, 0 doubled, 0 altered, 0 outside, 0 left behind"
    )


async def large(place: Path, size: int, rounds: int) -> None:
    """Prints the rates of both, and the memory that the collector took."""
    source = place / "source"
    with source.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        digests = [digest(content[at : at + CHUNK]) for at in range(0, size, CHUNK)]
        whole = hashlib.sha256(content).hexdigest()
        home = place / "collector"
        home.mkdir()
        async with collecting(home, "--low-water", "64Mi") as (collector, _):
            assert collector.process is not None
            pid, ours, theirs, synced = collector.process.pid, [], [], []
            used = cpu(pid)
            for number in range(rounds):
                await collector.ready()
                session = await collector.claim(collector.tickets.sign(max_bytes=2 * size))
                file_id = await collector.open(session, "large")
                told = (collector.port, collector.trust, session, file_id, content, digests, whole)
                ours.append(await asyncio.to_thread(send, *told))
                with nginx(place / f"nginx-{number}", collector) as url:
                    theirs.append(await asyncio.to_thread(timed, ["curl", "-sfk", "-T", str(source), f"{url}/large"]))
                    synced.append(theirs[-1] + await asyncio.to_thread(timed, ["sync", "-f", str(source)]))
                (key,) = await asyncio.to_thread(collector.kept)  # reads and compares all of it
                (collector.store / key).unlink()
                (collector.store / f"{key}.toe.json").unlink()
            print(
                f"large: {size / GIB:.1f} GiB, median of {rounds}: toe collector {rate(size, ours)} (sha256 of chunks "
                f"and whole, durable), curl -T to nginx {rate(size, theirs)}, and {rate(size, synced)} with a sync; "
                f"the collector's memory peaked at {peak(pid):.0f} MiB, CPU {(cpu(pid) - used) / rounds:.1f} s a file"
            )
            assert peak(pid) < 150


def rate(size: int, seconds: list[float]) -> str:
    """Is the median rate, for people."""
    return f"{size / statistics.median(seconds) / MIB:.0f} MiB/s"


def timed(command: list[str]) -> float:
    """Runs a program and returns its seconds."""
    began = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - began


def send(
    port: int, trust: ssl.SSLContext, session: str, file: str, content: mmap.mmap, digests: list[str], whole: str
) -> float:
    """Sends a file over one connection, as fast as a client can, and returns the seconds until it is kept."""
    size = len(content)
    with socket.create_connection(("127.0.0.1", port)) as plain, trust.wrap_socket(plain) as wire:
        began = time.monotonic()
        with memoryview(content) as view:
            for number, known in enumerate(digests):
                at = number * CHUNK
                piece = view[at : at + CHUNK]
                headers = {"Toe-Chunk-Sha256": known, "Content-Length": str(len(piece))}
                wire.sendall(request("PUT", f"/v1/files/{file}?offset={at}", session, None, headers))
                wire.sendall(piece)
                piece.release()
                answer = wire.recv(4096)
                assert answer.startswith(b"HTTP/1.1 200"), answer
        body = as_json({"bytes": size, "sha256": whole})
        wire.sendall(request("POST", f"/v1/files/{file}/commit", session, body))
        answer = wire.recv(4096)
        assert answer.startswith(b"HTTP/1.1 201"), answer
        return time.monotonic() - began


@contextmanager
def nginx(place: Path, collector: Collector) -> Iterator[str]:
    """Is an nginx that takes files by PUT, over TLS with the same certificate."""
    program = shutil.which("nginx") or unpacked(place.parent)
    (place / "files").mkdir(parents=True)
    port = free_port()
    config = place / "nginx.conf"
    config.write_text(CONFIG.format(place=place, port=port, certificate=collector.tls[0], key=collector.tls[1]))
    process = subprocess.Popen([program, "-p", place, "-c", config], stderr=subprocess.DEVNULL)
    try:
        until(lambda: socket.create_connection(("127.0.0.1", port)).close())
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(place)


def unpacked(place: Path) -> str:
    """Fetches Debian's nginx and unpacks it, without installing anything."""
    found = place / "debian" / "usr/sbin/nginx"
    if not found.exists():
        subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=place, check=True, stderr=subprocess.DEVNULL)
        (archive,) = place.glob("nginx_*.deb")
        subprocess.run(["dpkg", "-x", archive, place / "debian"], check=True)
    return str(found)


def until(attempt: Callable[[], None]) -> None:
    """Tries again until it goes well."""
    ends = time.monotonic() + 10
    while True:
        try:
            return attempt()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


async def drips(place: Path, dribblers: int, rounds: int) -> None:
    """Prints how long a good upload takes alone, and beside the dribblers."""
    content = os.urandom(64 * MIB)
    async with collecting(place, "--low-water", "64Mi") as (collector, _):
        alone = [await good(collector, content) for _ in range(rounds)]
        let_go: list[int] = [0]
        tasks = [asyncio.create_task(dribble(collector, number, let_go)) for number in range(dribblers)]
        await asyncio.sleep(5)
        beside = [await good(collector, content) for _ in range(rounds)]
        text = await collector.metrics()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    open_ones = next(line.split()[1] for line in text.splitlines() if line.startswith("toe_collector_connections "))
    before, after = statistics.median(alone), statistics.median(beside)
    print(
        f"drips: 64 MiB alone {before:.2f} s, beside {dribblers} dribblers ({open_ones} connections at once, "
        f"{let_go[0]} let go) {after:.2f} s: {after / before:.2f} times (medians of {rounds})"
    )
    assert after < 2 * before


async def good(collector: Collector, content: bytes) -> float:
    """Returns the seconds that an upload takes."""
    session = await collector.claim()
    file = await collector.open(session)
    digests = [digest(content[at : at + CHUNK]) for at in range(0, len(content), CHUNK)]
    whole = digest(content)
    with mmap.mmap(-1, len(content)) as mapped:
        mapped.write(content)
        return await asyncio.to_thread(send, collector.port, collector.trust, session, file, mapped, digests, whole)


async def dribble(collector: Collector, number: int, let_go: list[int]) -> None:
    """Sends a byte a second for ever, over connections from an address of its own."""
    source = f"127.0.{1 + number // 250}.{1 + number % 250}"
    if number % 2:
        sent = request("POST", "/v1/claim", "t" * 400, None, {"X-Filler": "a" * 1000})[:-600]
    else:
        body = as_json({"session": a_session()})
        sent = request("POST", "/v1/claim", collector.tickets.sign(), body)[: -len(body)]
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            async with collector.wire(source) as wire:
                await wire.send(sent)
                gone = asyncio.create_task(wire.reader.read())
                while not gone.done():
                    await wire.send(b" ")
                    await asyncio.wait({gone}, timeout=1)
        let_go[0] += 1
        await asyncio.sleep(0.1)


async def main(options: argparse.Namespace) -> None:
    """Does what is asked for, each in a directory of its own on the disk of ``--place``."""
    wanted = options.what or ["faults", "large", "drips"]
    for what in wanted:
        with tempfile.TemporaryDirectory(dir=options.place, prefix="toe-bench-") as name:
            place = Path(name)
            match what:
                case "faults":
                    await faults(place, options.uploads)
                case "large":
                    await large(place, round(options.gib * GIB), options.rounds)
                case _:
                    await drips(place, options.dribblers, options.rounds)
    print(json.dumps({"load": os.getloadavg(), "cores": os.cpu_count()}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["faults", "large", "drips", []])
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--dribblers", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure")
    asyncio.run(main(parser.parse_args()))
