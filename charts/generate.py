"""Writes what the chart gets from the types: the CustomResourceDefinitions.

``python charts/generate.py`` writes them; tests/house compares what is on disk with the types.
"""

from pathlib import Path

from toe.api.codec import to_yaml
from toe.api.crd import KINDS, custom_resource_definition

CRDS = Path(__file__).parent / "toe" / "crds"
HEAD = "# Generated from src/toe/api by `make generate`. Do not edit.\n"


def files() -> dict[Path, str]:
    """Returns every generated file with its content."""
    return {CRDS / f"{kind.lower()}s.yaml": HEAD + to_yaml(custom_resource_definition(kind)) for kind in sorted(KINDS)}


def main() -> None:
    """Writes the files that differ and names them."""
    for path, content in files().items():
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            print(path.relative_to(Path(__file__).parents[1]))


if __name__ == "__main__":
    main()
