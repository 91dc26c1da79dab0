"""The command line takes what kubectl's takes, and says in one line what is wrong with the rest."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.scene import Ran
from toe.cli.program import run, spelled
from toe.main import Surroundings, now

COMMANDS = ("run", "plan", "lint", "tools", "get", "logs", "cancel")


def type_in(capsys: pytest.CaptureFixture[str], *words: str, plugin: bool = True) -> Ran:
    """Types a command line that needs no cluster."""
    status = run(words, Surroundings(environment={}, home="/nonexistent", is_plugin=plugin), now)
    return Ran(status, *capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "x", "--wait=false"], ["run", "x", "--no-wait"]),
        (["run", "x", "--wait=true"], ["run", "x", "--wait"]),
        (["logs", "--follow=false", "x"], ["logs", "x"]),
        (["run", "x", "--", "--wait=false"], ["run", "x", "--", "--wait=false"]),
        (["-n", "shop", "tools", "-o", "json"], ["tools", "-n", "shop", "-o", "json"]),
        (
            ["--context=a", "--insecure-skip-tls-verify", "tools"],
            ["tools", "--context=a", "--insecure-skip-tls-verify"],
        ),
        (["-n", "tools"], ["-n", "tools"]),
        (["--bogus", "tools"], ["--bogus", "tools"]),
        (["--", "run"], ["--", "run"]),
        ([], []),
    ],
)
def test_words_are_taken_as_kubectl_takes_them(words: list[str], expected: list[str]) -> None:
    """--wait=false, flags before the command; and what follows ``--`` is nobody's but the tool's."""
    assert spelled(words) == expected


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """With no word at all, too, and under the name that was typed."""
    ran = type_in(capsys)
    assert ran.status == 0
    assert "Usage: kubectl toe " in ran.out
    assert all(f"\n  {command} " in ran.out for command in COMMANDS)
    assert "Usage: toe " in type_in(capsys, "--help", plugin=False).out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """With the three cluster flags that people use; the others are in the program's own help."""
    ran = type_in(capsys, command, "-h")
    assert ran.status == 0
    assert f"Usage: kubectl toe {command} " in ran.out
    assert "--context" in ran.out
    assert "--as-group" not in ran.out
    assert "--as-group" in type_in(capsys, "--help").out


def test_help_loads_nothing_that_talks_or_draws() -> None:
    """So that it answers at once: no HTTP client, no terminal library, no YAML, no validation library of typer's."""
    code = (
        "import sys\n"
        "from toe.main import kubectl_plugin\n"
        "sys.argv = ['kubectl-toe', *{words}]\n"
        "try:\n    kubectl_plugin()\n"
        "except SystemExit: pass\n"
        "heavy = {{'aiohttp', 'rich', 'yaml', 'pydantic', 'structlog', 'uvloop', 're2'}} & sys.modules.keys()\n"
        "print(heavy, file=sys.stderr)\n"
    )
    for words in (["--help"], *([command, "--help"] for command in COMMANDS)):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(words=words)], capture_output=True, text=True, check=True
        )
        assert ran.stdout.startswith("Usage: kubectl toe")
        assert ran.stderr == "set()\n"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """One line."""
    assert type_in(capsys, "--version").out.startswith("toe 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rnu",), "error: no such command 'rnu'\n  did you mean 'run'?\n  see kubectl toe --help\n"),
        (("run",), "error: missing argument 'TOOL'\n  see kubectl toe run --help\n"),
        (("run", "x"), "error: missing option '--selector' / '-l'\n  see kubectl toe run --help\n"),
        (("get",), "error: missing argument 'RUN'\n  see kubectl toe get --help\n"),
        (("tools", "-n"), "error: option '-n' requires an argument\n  see kubectl toe tools --help\n"),
        (
            ("tools", "-o", "xml"),
            (
                "error: invalid value for '--output' / '-o': 'xml' is not one of 'table', 'json', 'yaml'\n"
                "  see kubectl toe tools --help\n"
            ),
        ),
    ],
)
def test_wrong_usage_is_one_line_and_a_way_out(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Exit status 2, nothing on stdout."""
    assert type_in(capsys, *words) == (2, "", message)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """``kubectl toe lint ... | head -1`` ends quietly."""
    file = tmp_path / "bad.yaml"
    file.write_text("---\n".join(["kind: PowerTool\n"] * 2000))
    command = f"{sys.executable} -c 'from toe.main import kubectl_plugin; kubectl_plugin()' lint {file} | head -1"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert len(ran.stdout.splitlines()) == 1
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


def test_completion_is_for_the_name_kubectl_looks_for() -> None:
    """The script that shells load."""
    code = "from toe.main import kubectl_plugin; kubectl_plugin()"
    words = [sys.executable, "-c", code, "--show-completion", "bash"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "kubectl-toe" in ran.stdout, ran.stderr
