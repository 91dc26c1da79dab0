"""``lint`` says offline what the cluster would refuse, line by line, for people and for editors."""

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.builders import config_manifest, powertool_manifest
from tests.cli.scene import Ran
from toe.api.surroundings import Surroundings
from toe.cli.program import run
from toe.main import now

GOOD = config_manifest()
RUN = powertool_manifest()


def lint(capsys: pytest.CaptureFixture[str], *words: str) -> Ran:
    """Types a command line; there is no cluster anywhere."""
    status = run(("lint", *words), Surroundings(environment={}, home="/nonexistent", is_plugin=True), now)
    return Ran(status, *capsys.readouterr())


def write(path: Path, *manifests: object) -> str:
    """Writes a file with these documents."""
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def test_clean_manifests_are_exit_status_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout, the count on stderr."""
    assert lint(capsys, write(tmp_path / "a.yaml", GOOD, RUN)) == (0, "", "2 documents, 0 problems, 0 notes\n")


def test_every_problem_has_its_line_with_file_document_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an editor or a reviewer clicks on; exit status 1."""
    bad = powertool_manifest(privileged=True, tool={"duration": "5"})
    file = write(tmp_path / "a.yaml", GOOD, bad)
    ran = lint(capsys, file)
    assert ran.status == 1
    assert ran.out.splitlines() == [
        f'{file} document 2: spec.tool.duration: must be a Go duration such as 90s or 2m30s, not "5"',
        f"{file} document 2: spec.privileged: privileged is the administrator's: it is set in PowerToolConfig only",
    ]
    assert ran.err == "2 documents, 2 problems, 0 notes\n"


def test_what_the_controller_would_refuse_about_a_config_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schema cannot know the kernel's capabilities."""
    file = write(tmp_path / "a.yaml", config_manifest(security={"capabilities": {"add": ["SYS_PTRACEE"]}}))
    assert "spec.security.capabilities.add[0]: 'SYS_PTRACEE' is no capability" in lint(capsys, file).out


def test_findings_are_notes_and_no_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Worth knowing, exit status 0."""
    file = write(tmp_path / "a.yaml", config_manifest(image="a:1"))
    ran = lint(capsys, file)
    assert ran.status == 0
    assert ran.out.startswith(f"{file}: note: spec.image: a tag can be moved")


@pytest.mark.parametrize(("profile", "status"), [("compat", 0), ("standard", 0), ("hardened", 1)])
def test_each_profile_judges_by_its_own_rules(
    profile: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run of a tool of tier High whose image has a tag instead of a digest."""
    config = config_manifest(image="a:1", security={"capabilities": {"add": ["SYS_ADMIN"]}})
    ran = lint(capsys, "--profile", profile, write(tmp_path / "a.yaml", config, RUN))
    assert ran.status == status, ran.out
    assert ("of tier High and its image is named by a tag" in ran.out) == bool(status), ran.out


def test_a_run_is_judged_by_the_configs_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the order of files and documents."""
    run_file = write(tmp_path / "a.yaml", powertool_manifest(tool={"args": ["-z"]}))
    config_file = write(tmp_path / "b.yaml", config_manifest(allowedNamespaces=["staging"]))
    ran = lint(capsys, run_file, config_file)
    assert ran.status == 1
    assert ran.out.splitlines() == [
        f"{run_file}: PowerTool namespace 'production' is not allowed for tool 'aperf'. Allowed namespaces: [staging]",
        f"{run_file}: spec.tool.args[0]: aperf accepts no arguments here",
    ]


def test_a_tool_that_is_not_among_the_files_may_be_in_the_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A note beside other configs, nothing without any."""
    run_file = write(tmp_path / "a.yaml", powertool_manifest(tool={"name": "aprf"}))
    assert lint(capsys, run_file).out == ""
    ran = lint(capsys, run_file, write(tmp_path / "b.yaml", GOOD))
    assert ran.status == 0
    assert ran.out == (
        f"{run_file}: note: spec.tool.name: PowerToolConfig not found for tool: aprf (did you mean aperf?); "
        "it is not among these files\n"
    )


def test_a_tool_that_is_suspended_or_invalid_stops_the_runs_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would wait in vain."""
    file = write(tmp_path / "a.yaml", RUN, config_manifest(suspended=True))
    assert "document 1: spec.tool.name: the administrator suspended the tool aperf" in lint(capsys, file).out


def test_a_tool_name_that_two_configs_hold_is_a_problem_of_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same object twice is an update and no problem."""
    one, two = config_manifest({"name": "one"}), config_manifest({"name": "two"})
    ran = lint(capsys, write(tmp_path / "a.yaml", one, two))
    assert ran.status == 1
    assert "document 1: spec.name: the tool name aperf is also held by two: none of them would be used" in ran.out
    assert "document 2: spec.name: the tool name aperf is also held by one" in ran.out
    assert lint(capsys, write(tmp_path / "b.yaml", one, one)).status == 0


def test_other_kinds_are_passed_over_and_misspelt_ones_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Deployment in the same file is not its business; a Powertool is."""
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment"}
    file = write(tmp_path / "a.yaml", RUN, deployment, {"apiVersion": "v1", "kind": "Powertool"}, {"spec": {}})
    ran = lint(capsys, file)
    assert [line.partition(": ")[0] for line in ran.out.splitlines()] == [f"{file} document 3", f"{file} document 4"]
    assert ran.err == "3 documents, 2 problems, 0 notes, 1 of other kinds passed over\n"


def test_directories_and_stdin_are_files_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All YAML and JSON below a directory; ``-`` for a pipe."""
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep/a.yml", GOOD)
    (tmp_path / "deep/b.json").write_text(json.dumps(RUN))
    (tmp_path / "deep/c.txt").write_text("{")
    assert lint(capsys, str(tmp_path)).err.startswith("2 documents, 0 problems")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{")))
    ran = lint(capsys, "-")
    assert ran.status == 1
    assert ran.out.startswith("stdin: is no YAML: ")


def test_programs_get_the_same_as_json_and_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One entry a line."""
    file = write(tmp_path / "a.yaml", config_manifest(image="a:1", supervised=True, command=None))
    found = json.loads(lint(capsys, file, "-o", "json").out)
    assert [(entry["source"], entry["kind"], entry["field"]) for entry in found] == [
        (file, "problem", "spec.supervised"),
    ]
    assert yaml.safe_load(lint(capsys, file, "-o", "yaml").out) == found


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_nothing_to_check_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt path must not look like a clean result."""
    monkeypatch.chdir(tmp_path)
    ran = lint(capsys, name)
    assert ran.status == 2
    assert name in ran.err


def test_a_config_outside_of_the_system_namespace_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which one that is can be told."""
    file = write(tmp_path / "a.yaml", config_manifest({"namespace": "tools"}))
    assert "PowerToolConfigs count only in the namespace toe-system" in lint(capsys, file).out
    assert lint(capsys, "--system-namespace", "tools", file).status == 0
