"""What is generated is what is on disk."""

from pathlib import Path

import pytest

from charts.generate import CRDS, files


@pytest.mark.parametrize("path", list(files()), ids=lambda path: path.name)
def test_a_definition_on_disk_is_the_one_of_the_types(path: Path) -> None:
    """``make generate`` mends it."""
    assert path.read_text() == files()[path]


def test_there_is_no_definition_of_a_kind_that_is_gone() -> None:
    """Every file is generated."""
    assert set(CRDS.glob("*.yaml")) <= set(files())
