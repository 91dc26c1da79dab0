"""Every module has its tests, at the same place under the same name."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE, TESTS = ROOT / "src" / "toe", ROOT / "tests"

ELSEWHERE = {
    "main.py": "the composition root has no behaviour of its own: started as a program by tests/cluster",
    "errors.py": "names and attributes only: raised and read by the tests of every room",
    "controller/apply.py": "what it does is what an API server answers: tests/cluster/test_controller.py",
    "controller/observe.py": "its caches follow an API server: tests/cluster/test_controller.py",
    "controller/program.py": "the operator as a whole: tests/cluster/test_controller.py",
    "collector/program.py": "the collector as a whole, with an API server and toe-run: tests/cluster/test_collector.py",
    "webhook/program.py": "the webhook as a whole, called by an API server: tests/cluster/test_webhook.py",
    "collector/apiserver.py": "the artifacts API as a whole, behind an API server: tests/cluster/test_apiserver.py",
    "collector/discovery.py": "what it tells, asked for as the API server asks: tests/collector/test_artifacts.py",
    "collector/download.py": "what it sends, and to whom: tests/collector/test_artifacts.py",
    "api/fence": "policies are judged together: offline in tests/api/fence, by an API server in tests/cluster",
    "api/powertoolcatalog.py": "the fence's parameters, together with it: tests/api/fence/test_catalog.py",
    "store/port.py": "a shape without behaviour: every store is put through tests/store/test_port_of_all.py",
    "plan/catalog.py": "compared with the judges it must agree with: tests/properties/test_catalog.py",
}
"""Modules whose tests are somewhere else, and why."""


def _modules() -> list[Path]:
    return sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path.name != "__init__.py")


def _is_elsewhere(module: Path) -> bool:
    return any(str(place) in ELSEWHERE for place in (module, *module.parents))


def _test_of(module: Path) -> Path:
    return TESTS / module.parent / f"test_{module.name}"


@pytest.mark.parametrize("module", [module for module in _modules() if not _is_elsewhere(module)], ids=str)
def test_a_module_has_its_tests_at_its_place(module: Path) -> None:
    """A reader finds the promises of a module without searching."""
    assert _test_of(module).exists()


@pytest.mark.parametrize("place", list(ELSEWHERE))
def test_an_exception_is_still_one(place: str) -> None:
    """A module that got its tests, or is gone, is no exception any more."""
    path = SOURCE / place
    assert path.exists()
    assert path.is_dir() or not _test_of(Path(place)).exists()


@pytest.mark.parametrize("room", ["api", "policy", "policy/checks", "plan", "report"])
def test_a_test_of_a_pure_room_is_of_a_module(room: str) -> None:
    """No test file outlives its module."""
    for path in sorted((TESTS / room).glob("test_*.py")):
        assert (SOURCE / room / path.name.removeprefix("test_")).exists(), path


def test_every_test_says_its_promise() -> None:
    """The docstring of a test of a pure room is what is broken when it fails."""
    for room in ("api", "policy", "plan", "properties", "golden", "house"):
        for path in sorted((TESTS / room).rglob("test_*.py")):
            lines = path.read_text().splitlines()
            for number, line in enumerate(lines):
                if line.lstrip().startswith("def test_"):
                    end = next(i for i in range(number, len(lines)) if lines[i].rstrip().endswith(":"))
                    assert lines[end + 1].lstrip().startswith(('"""', 'r"""')), f"{path}:{number + 1}"
