"""Files come out of a log whole and checked, or not at all, whatever else is in the log."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toe.report.frames import Framed, FrameReader, unsafe

NAMES = st.from_regex(r"[a-z0-9]{1,8}(/[a-zé0-9. -]{1,8}[a-z])?", fullmatch=True)


def framed(files: dict[str, bytes], *, part: int = 3072) -> list[bytes]:
    """Writes files as the supervisor does (runner/frames.go)."""
    lines = [_frame("begin", v=1, files=len(files), bytes=sum(map(len, files.values())))]
    for name, content in files.items():
        lines.append(_frame("file", name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
        pieces = range(0, len(content), part)
        lines += [b"#toe-data " + base64.b64encode(content[at : at + part]) for at in pieces]
        lines.append(_frame("end", name=name))
    return [*lines, _frame("done", files=len(files))]


def _frame(kind: str, **content: object) -> bytes:
    return f"#toe-{kind} ".encode() + json.dumps(content).encode()


def read(lines: list[bytes], **limits: int) -> tuple[Framed, list[bytes]]:
    """Feeds a log; returns what is in it and what the tool printed."""
    reader = FrameReader(**limits)
    shown = [line for line in map(reader.feed, lines) if line is not None]
    return reader.close(), shown


def problems(lines: list[bytes], **limits: int) -> list[str]:
    """Returns what is told about a log from which not one file is taken."""
    found, _ = read(lines, **limits)
    assert found.files == ()
    return [str(problem) for problem in found.problems]


@given(st.dictionaries(NAMES, st.binary(max_size=9000), max_size=4))
def test_what_the_supervisor_frames_comes_out_the_same(files: dict[str, bytes]) -> None:
    """Any content, any number of files, between lines of the tool."""
    files = {name: content for name, content in files.items() if not any(n.startswith(name + "/") for n in files)}
    found, shown = read([b"hello", *framed(files), b"bye"])
    assert {file.name: file.content for file in found.files} == files
    assert found.problems == ()
    assert found.found
    assert shown == [b"hello", b"bye"]


def test_the_format_is_the_supervisors() -> None:
    """The very lines that the supervisor's own test expects (runner/frames_test.go)."""
    log = b"""#toe-begin {"v":1,"files":2,"bytes":5}
#toe-file {"name":"a<b>.txt","bytes":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}
#toe-data aGVsbG8=
#toe-end {"name":"a<b>.txt"}
#toe-file {"name":"empty","bytes":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
#toe-end {"name":"empty"}
#toe-done {"files":2}"""
    found, _ = read(log.split(b"\n"))
    assert [(file.name, file.content) for file in found.files] == [("a<b>.txt", b"hello"), ("empty", b"")]
    assert found.problems == ()


def test_a_line_of_the_tool_that_looks_like_a_frame_is_a_line_of_the_tool() -> None:
    """The supervisor marks it; it is shown as the tool printed it and begins nothing."""
    found, shown = read([b'#toe-text #toe-begin {"v":1}', b"#toe-text #toe-text x"])
    assert shown == [b'#toe-begin {"v":1}', b"#toe-text x"]
    assert found == Framed()


def test_a_log_without_frames_says_so() -> None:
    """An unsupervised tool leaves its log and nothing else."""
    assert read([b"just", b"text"]) == (Framed(), [b"just", b"text"])


PATHS = ("", "/etc/passwd", "../up", "a/../../b", "a/./b", "a//b", "a/", ".", "..")
UNPRINTABLE = ("a\nb", "a\x1b[2J", "a\u202eb", "c:\\x")


@pytest.mark.parametrize("name", [*PATHS, *UNPRINTABLE, "x" * 600, "y" * 300])
def test_a_name_that_is_a_path_elsewhere_is_refused(name: str) -> None:
    """Names are data: nothing absolute, no way up, no control character, nothing too long for a file system."""
    assert unsafe(name)
    found, _ = read(framed({name: b"x", "good": b"y"}))
    assert [file.name for file in found.files] == ["good"]
    assert len(found.problems) == 1
    assert str(found.problems[0]).isprintable()


def test_a_name_comes_once() -> None:
    """Neither twice, nor as a directory of another file: the first one counts."""
    again = [*framed({"a": b"1"})[:-1], *framed({"a": b"2"})[1:-1], *framed({"a/b": b"3"})[1:-1]]
    found, _ = read([*again, _frame("done", files=3)])
    assert [(file.name, file.content) for file in found.files] == [("a", b"1")]
    assert len(found.problems) == 2


def test_content_that_was_changed_does_not_count() -> None:
    """One other byte, and the file is told as broken."""
    lines = framed({"a": b"hello"})
    lines[2] = b"#toe-data " + base64.b64encode(b"hellO")
    assert problems(lines) == ["a: its sha256 is not the one that was announced"]


def test_missing_and_surplus_content_does_not_count() -> None:
    """The size is as announced or the file is broken."""
    lines = framed({"a": b"x" * 5000})
    assert problems(lines[:2] + lines[3:]) == ["a: has 1928 of 5000 bytes"]
    assert problems([*lines[:3], lines[2], *lines[3:]]) == ["a: is longer than the 5000 bytes that were announced"]
    assert problems([*lines[:2], b"#toe-data ???", *lines[3:]]) == ["a: a line of its content is no base64"]


def test_a_log_that_was_cut_is_told() -> None:
    """At the end by a full disk, at the beginning by rotation."""
    lines = framed({"a": b"x" * 5000})
    assert problems(lines[:3]) == ["a: the log ends before the files do"]
    assert "out of order" in problems(lines[2:])[0]


def test_more_files_announced_than_there_are_is_told() -> None:
    """A whole file counts, and that another one lacks is said."""
    found, _ = read([*framed({"a": b"1"})[:-1], _frame("done", files=2)])
    assert [file.name for file in found.files] == ["a"]
    assert [str(problem) for problem in found.problems] == ["1 of 2 files are in the log"]


def test_a_file_that_ends_as_another_does_not_count() -> None:
    """The end names the file that began."""
    lines = framed({"a": b"1"})
    lines[3] = _frame("end", name="b")
    assert problems(lines) == ["a: ends as another file"]


def test_sizes_are_bounded() -> None:
    """A forged log cannot fill the memory, by one file, by many, or by a negative size."""
    assert problems(framed({"a": b"12345"}), most_bytes=4) == ["a: more than 4 B in all"]
    found, _ = read(framed({"a": b"1", "b": b"2"}), most_files=1)
    assert [file.name for file in found.files] == ["a"]
    assert problems([framed({})[0], _frame("file", name="a", bytes=-1), *framed({})[1:]])[0].startswith("a: more than")


def test_a_newer_format_asks_for_a_newer_program() -> None:
    """Files of an unknown version are not guessed at."""
    assert "upgrade" in problems([_frame("begin", v=2), *framed({"a": b"1"})[1:]])[0]


@given(st.lists(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(lambda tail: b"#toe-" + tail))))
def test_no_log_breaks_the_reader(lines: list[bytes]) -> None:
    """Anything may stand in a log; what is told about it is safe for a terminal."""
    found, _ = read(lines)
    assert all(str(problem).isprintable() for problem in found.problems)


@given(st.lists(st.sampled_from([*framed({"a": b"1", "b": b"2" * 4000}), b"#toe-x", b"#toe-file {", b"text"])))
def test_frames_in_any_order_give_only_whole_files(lines: list[bytes]) -> None:
    """Repeated, missing or shuffled frames: a file is as announced or it is not there."""
    found, _ = read(lines)
    assert all({"a": b"1", "b": b"2" * 4000}[file.name] == file.content for file in found.files)
