"""Nobody is led to nowhere: links resolve, pages are found, and what is typed exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.programs import group

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), TOP / "README.md", TOP / "CONTRIBUTING.md"])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!https?://)([^)#\s]*)(#[^)\s]*)?\)")
VALUES = yaml.safe_load((TOP / "charts/toe/values.yaml").read_text())


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yields where a page leads, and the heading there."""
    for target, heading in LINK.findall(page.read_text()):
        yield (page.parent / target).resolve() if target else page, heading


def _headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_resolve(page: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    for target, heading in _links(page):
        assert target.exists(), target
        assert not heading or heading in _headings(target), (target, heading)


def test_every_page_is_found_from_the_index() -> None:
    """In one step; decisions are a folder."""
    found = {target for target, _ in _links(DOCS / "README.md")}
    lost = [page for page in DOCS.rglob("*.md") if page not in found and "decisions" not in page.parts]
    assert lost == [DOCS / "README.md"]


def _commands(page: Path) -> Iterator[list[str]]:
    """Yields what a page has people type after ``kubectl toe``, in its blocks of code."""
    for block in re.findall(r"```(?:sh)?\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.match(r"(?:\$ )?kubectl toe ([^|>#&;]+)", line.strip()):
                yield found.group(1).split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_commands_exist(page: Path) -> None:
    """With the options that they are shown with."""
    root = group()
    of_all = {name for parameter in root.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for name, *words in _commands(page):
        assert name in root.commands, (name, words)
        known = {option for parameter in root.commands[name].params for option in parameter.opts} | of_all
        own = words[: words.index("--")] if "--" in words else words
        for word in own:
            if word.startswith("--") or re.fullmatch(r"-[a-z]", word):
                assert word.partition("=")[0] in known, (name, word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_values_of_the_chart_exist(page: Path) -> None:
    """Whatever a page sets, and names as a path of two words or more."""
    text = page.read_text()
    tops = "|".join(name for name, value in VALUES.items() if isinstance(value, dict))
    named = re.findall(rf"`((?:{tops})\.[A-Za-z.]+)", text)
    named += re.findall(r"--set(?:-string)?[= ]([A-Za-z.]+)=", text)
    for path in named:
        found = VALUES
        for word in path.rstrip(".").split("."):
            if not found and isinstance(found, dict):
                break  # a map of people's own
            assert isinstance(found, dict), path
            assert word in found, path
            found = found[word]
