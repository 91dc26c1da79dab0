"""The configs of the tools are ready, ask for the least, and accept nothing that reaches past them."""

import re
import subprocess
from pathlib import Path

import pytest

from toe.api import codec
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.policy.arguments import judge_arguments
from toe.policy.readiness import judge_config
from toe.policy.tier import added, drops_all, pod_security_level

TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"

CONFIGS: dict[str, PowerToolConfig] = {}
for _file in sorted(TOOLS.glob("*/powertoolconfig.yaml")):
    for _document in codec.read_documents(_file.read_text(), source=str(_file)):
        _config = codec.decode(_document.raw, source=_document.source)
        assert isinstance(_config, PowerToolConfig)
        CONFIGS[_config.spec.name] = _config

NEEDS = {
    "py-spy": (set(), "restricted"),
    "py-spy-root": ({"SYS_PTRACE"}, "privileged"),
    "strace": (set(), "restricted"),
    "strace-root": ({"SYS_PTRACE"}, "privileged"),
    "tcpdump": ({"NET_RAW", "SETGID"}, "privileged"),
}

ACCEPTED = {
    "py-spy": [
        "--rate 1",
        "--rate 1000",
        "--nonblocking --threads --gil --idle",
        "--subprocesses --function --nolineno",
    ],
    "strace": ["-e trace=%network", "-c -S time -w", "-s 0 -T -tt -yy -z", "-e trace=file -e trace=process"],
    "tcpdump": [
        "-c 5 -n host 10.0.0.1 and port 80",
        "-s 0 tcp or udp",
        "portrange 80-90",
        "ip6 net fd00::/8",
        "not port 443",
        "-Q in -p",
    ],
}

# Each has its way out of the tool: a file elsewhere, a program, another process, a change to the target.
HOSTILE = {
    "py-spy": [
        "--output /proc/1/root/tmp/x",
        "-o x",
        "--output=x",
        "-- sh -c id",
        "sh",
        "--pid 2",
        "-p 2",
        "--format speedscope",
        "--rate 0",
        "--rate 1001",
        "--rate=5",
        "--rate -1",
        "--rate",
        "--native",
        "-n",
        "--duration 9999",
        "-d 1",
        "-rn",
        "--nonblocking=true",
        "--outp x",
        "-h",
        "--rate 1e3",
        "--rate 0x10",
        "--rate ٣",
        "dump",
        "@file",
    ],
    "strace": [
        "sh",
        "-- sh",
        "-o x",
        "-o |sh",
        "-ox",
        "--output=x",
        "-ff",
        "-f",
        "-p 2",
        "-p2",
        "--attach=2",
        "-E LD_PRELOAD=x",
        "-u root",
        "-D",
        "-DD",
        "-b execve",
        "-e inject=all:error=EPERM",
        "-e fault=all",
        "-e read=all",
        "-e write=1",
        "-e trace=!all",
        "-e all",
        "-e trace=/.*",
        "-einject=all",
        "--inject=all",
        "-k",
        "-I 4",
        "-A",
        "-O 1",
        "-P /etc",
        "-s -1",
        "-s 4097",
        "-s",
        "-e",
        "-X raw",
        "--seccomp-bpf",
        "-cf",
        "-Cf",
        "-U name",
    ],
    "tcpdump": [
        "-z reboot",
        "-z sh",
        "-w x",
        "-wx",
        "-r x",
        "-F x",
        "-V x",
        "-Z nobody",
        "-i eth0",
        "-ieth0",
        "-C 1",
        "-G 1",
        "-W 1",
        "-m x",
        "-E x",
        "-B 1",
        "-D",
        "-L",
        "-y RAW",
        "-j host",
        "-c 0",
        "-c -1",
        "-c 100001",
        "-c5",
        "--count=5",
        "-nz sh",
        "-s 262145",
        "-U",
        "--print",
        "-A",
        "@x",
        "-Q bad",
        "-- -z sh",
        "(tcp)",
        "port $(id)",
        "tcp;id",
        "`id`",
        "a|b",
        " ".join(["tcp"] * 25),
    ],
}


def test_there_is_a_config_for_each_kind_of_target() -> None:
    """Nothing else is shipped, nothing is missing."""
    assert set(CONFIGS) == set(NEEDS)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_config_is_ready(name: str) -> None:
    """No problem under the default settings, and the words are supervised."""
    config = CONFIGS[name]
    readiness = judge_config(config, Settings())
    assert not readiness.violations
    assert config.spec.command
    assert config.metadata.namespace == "toe-system"
    assert config.spec.image.startswith("localhost/toe/")


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_config_asks_for_the_least(name: str) -> None:
    """All capabilities dropped, those added that were measured as needed, and the pod security level that follows."""
    security = CONFIGS[name].spec.security
    assert security is not None
    assert drops_all(security)
    assert (set(added(security)), pod_security_level(security)) == NEEDS[name]
    assert security.seccomp_profile == "RuntimeDefault"


@pytest.mark.parametrize(("tool", "line"), [(t, line) for t, lines in ACCEPTED.items() for line in lines])
def test_useful_arguments_are_accepted(tool: str, line: str) -> None:
    """For both configs of a tool."""
    for name in {tool, f"{tool}-root"} & set(CONFIGS):
        spec = CONFIGS[name].spec
        assert judge_arguments(line.split(), spec.arguments, spec.default_args or (), tool) == []


@pytest.mark.parametrize(("tool", "line"), [(t, line) for t, lines in HOSTILE.items() for line in lines])
def test_no_argument_reaches_past_the_config(tool: str, line: str) -> None:
    """No file, no program, no other process, nothing that changes the target."""
    for name in {tool, f"{tool}-root"} & set(CONFIGS):
        spec = CONFIGS[name].spec
        assert judge_arguments(line.split(), spec.arguments, spec.default_args or (), tool) != []


@pytest.mark.parametrize("tool", ["py-spy", "strace"])
def test_both_configs_of_a_tool_run_the_same_words(tool: str) -> None:
    """They differ in security alone."""
    plain, root = CONFIGS[tool].spec, CONFIGS[f"{tool}-root"].spec
    assert (plain.command, plain.default_args, plain.arguments, plain.image, plain.limits) == (
        root.command,
        root.default_args,
        root.arguments,
        root.image,
        root.limits,
    )


def test_no_dockerfile_depends_on_where_it_is_built() -> None:
    """Public images by default, and the supervisor by one COPY line."""
    for file in TOOLS.glob("*/Dockerfile"):
        text = file.read_text()
        assert "COPY --from=runner /toe-run /toe-run\n" in text
        assert re.search(r"^ARG BASE=docker\.io/library/debian:bookworm-slim$", text, re.M)
        assert "http" not in text


def test_the_packing_script_is_a_portable_shell_script() -> None:
    """It runs in build stages that have dash only."""
    subprocess.run(["sh", "-n", TOOLS / "pack.sh"], check=True)
