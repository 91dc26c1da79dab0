"""The customs office accepts or refuses; it never breaks."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.builders import Raw, config_manifest, merged
from tests.properties.words import any_json, configs, foreign, runs
from toe.api.codec import Document, Manifest, decode, problems_of, read_documents, to_builtins, to_yaml
from toe.api.time import format_duration, parse_duration
from toe.errors import DecodeError


def _decoded(raw: Raw) -> Manifest | None:
    try:
        return decode(raw)
    except DecodeError:
        return None


@given(raw=runs() | configs() | st.builds(lambda spec: config_manifest(**spec), foreign) | foreign)
def test_no_problem_means_that_it_is_decoded(raw: Raw) -> None:
    """And a problem, that it is not."""
    assert (problems_of(raw) == []) is (_decoded(raw) is not None)


@given(spec=any_json, status=any_json, metadata=any_json)
def test_whatever_stands_in_its_parts_nothing_breaks(spec: Any, status: Any, metadata: Any) -> None:
    """Every problem is on one line."""
    for kind in ("PowerTool", "PowerToolConfig"):
        raw = config_manifest() | {"kind": kind, "spec": spec, "status": status, "metadata": metadata}
        for problem in problems_of(raw):
            assert "\n" not in problem.message
            assert "\x1b" not in problem.message


@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@`#,? \n\t0159.~<="), max_size=40) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """In one line, with its source."""
    documents, error = _read(text)
    if error is None:
        assert all(isinstance(document.raw, dict) for document in documents)
    else:
        assert error.source.startswith("f")
        assert "\n" not in error.message


def _read(text: str) -> tuple[list[Document], DecodeError | None]:
    try:
        return read_documents(text, source="f"), None
    except DecodeError as error:
        return [], error


@given(raw=configs(), version=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20))
@example(raw=config_manifest(), version="a\x85b")
@example(raw=config_manifest(), version="0E0")
def test_what_was_written_is_read_as_the_same(raw: Raw, version: str) -> None:
    """YAML and plain values alike."""
    config = _decoded(merged(raw, {"spec": {"version": version}}))
    assert config is not None
    (document,) = read_documents(to_yaml(config))
    assert decode(document.raw) == config
    assert decode(to_builtins(config)) == config


@settings(max_examples=max(300, settings().max_examples))
@given(millis=st.integers(0, 366 * 86_400_000))
def test_durations_are_read_as_they_are_written(millis: int) -> None:
    """To the millisecond."""
    parsed = parse_duration(f"{millis}ms")
    assert parsed is not None
    assert parse_duration(format_duration(parsed)) == parsed
