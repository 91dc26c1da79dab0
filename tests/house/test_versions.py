"""What ``make test-kubernetes`` writes."""

from pathlib import Path

from tests.versions import HEAD, PAGE, counted, write


def test_a_result_is_counted_from_the_report() -> None:
    """Errors are failures."""
    report = '<testsuites><testsuite tests="9" skipped="2" failures="1" errors="1"/></testsuites>'
    assert counted(report) == (5, 2, 2)


def test_the_last_result_of_a_version_stands_in_the_page(tmp_path: Path) -> None:
    """In the order of versions; what is written around the table stays."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{HEAD}\nafter\n")
    write("v1.37.2", "2026-01-01", (5, 1, 3), 4, page)
    write("v1.35.4", "2026-01-02", (6, 0, 0), 4, page)
    write("v1.37.2", "2026-01-03", (9, 0, 0), 5, page)
    rows = "| v1.35.4 | 2026-01-02 | 6 | 0 | 0 | 4 |\n| v1.37.2 | 2026-01-03 | 9 | 0 | 0 | 5 |\n"
    assert page.read_text() == f"before\n\n{HEAD}{rows}\nafter\n"


def test_the_page_has_the_table() -> None:
    """Where results are written."""
    assert HEAD in PAGE.read_text()
