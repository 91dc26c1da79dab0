"""How the operator's doors log."""

import io
import json
import sys
from types import SimpleNamespace

import pytest
import structlog

from toe.kube.log import configure_log


def test_a_line_is_one_json_object_with_facts_as_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newline in a fact stays in its field, so that nobody forges a line; what is below the level is not told."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=written))
    before = structlog.get_config()
    try:
        configure_log("info")
        log = structlog.get_logger("test").bind()
        log.info("tool injected", pod="a\n{}", uid=7)
        log.debug("not told")
    finally:
        structlog.configure(**before)
    (line,) = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (line["event"], line["pod"], line["uid"], line["level"]) == ("tool injected", "a\n{}", 7, "info")
