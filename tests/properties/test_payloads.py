"""What an attacker writes ends up on terminals, in logs and in events: it is told, and acts upon nothing (T49)."""

import io
import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from tests.builders import NOW, Raw, a_config, a_pod, a_smuggled_powertool, a_snapshot, merged, powertool_manifest
from tests.webhook.reviews import ALICE, a_review
from toe.api.codec import problems_of
from toe.cli.lint import Remark
from toe.kube.log import configure_log
from toe.plan.actions import RecordEvent, WriteStatus
from toe.plan.planner import plan
from toe.policy.request import Request
from toe.report.text import one_line
from toe.webhook.judge import judge_run, read_run
from toe.webhook.review import MAX_MESSAGE, Answer, read_review, write_answer

PAYLOADS = (
    *("\n", "\r", "\r\n", "\t", "\0", "\x07", "\x08\x08\x08", "\x0b", "\x0c", "\x7f", "\x1b", "\x1b[2J", "\x1b[31mred"),
    *("\x1b]0;title\x07", "\x1b]8;;https://evil.example\x07link", "\x1b[6n", "\x1bc", "\x9b31m", "\x85", "\u2028"),
    *("\u2029", "\u202egpj.exe", "\u2066x\u2069", "\u200b", "\ufeff", "\u00ad", "\U000e0041", "\U0001f600"),
    *(
        "a\nERROR forged=1",
        '{"level":"error"}',
        '"}\n{"event":"forged"}',
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(1)",
    ),
    *(
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "]]>",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "%n%s",
        "$(id)",
    ),
    *("`id`", "'; DROP TABLE runs; --", "x" * 5000),
)
"""Control characters, escapes of terminals, directions, forged lines, formulas, markup, templates, and length."""


def test_there_are_enough_of_them() -> None:
    """As many as the threat asks for."""
    assert len(set(PAYLOADS)) >= 40


def _bearers(payload: str) -> Iterator[Raw]:
    """Yields runs that carry a payload where a message would quote it."""
    yield powertool_manifest(tool={"args": [payload]})
    yield powertool_manifest(tool={"name": payload})
    yield powertool_manifest(tool={"duration": payload})
    yield powertool_manifest(targets={"container": payload})
    yield powertool_manifest(targets={"labelSelector": {"matchLabels": {payload: payload}}})
    yield powertool_manifest(output={"mode": payload})
    yield powertool_manifest(**{payload: payload})
    yield powertool_manifest({"namespace": payload})


def _clean(text: str, most: int = MAX_MESSAGE) -> bool:
    return text.isprintable() and len(text) <= most


@pytest.mark.parametrize("payload", PAYLOADS, ids=[ascii(payload)[:24] for payload in PAYLOADS])
def test_no_refusal_repeats_what_a_terminal_acts_upon(payload: str) -> None:
    """Not the webhook's, not lint's; each is one bounded line."""
    for raw in _bearers(payload):
        for problem in problems_of(raw):
            assert one_line(str(Remark("run.yaml", "problem", problem.path, problem.message))).isprintable()
        try:
            review = read_review(json.dumps(a_review(merged(raw, {"spec": {"requester": ALICE}}))).encode())
        except UnicodeError:
            continue
        run = read_run(review)
        request = None if isinstance(run, Answer) else Request(run=run, now=NOW)
        answer = run if isinstance(run, Answer) else judge_run(request, review.user_info)  # type: ignore[arg-type]
        response = json.loads(write_answer(review.uid, answer))["response"]
        told = (response.get("status") or {}).get("message", "")
        assert _clean(told), told
        assert all(_clean(warning) for warning in response.get("warnings") or ()), response


@pytest.mark.parametrize("payload", PAYLOADS, ids=[ascii(payload)[:24] for payload in PAYLOADS])
def test_no_condition_and_no_event_repeats_it(payload: str) -> None:
    """Whatever came past admission: what the controller writes is read with kubectl."""
    tools: tuple[dict[str, Any], ...] = (
        {"args": [payload]},
        {"name": payload[:1000]},
        {"duration": payload[:1000]},
    )
    for tool in tools:
        run = a_smuggled_powertool(tool=tool)
        snapshot = a_snapshot(run, [a_pod("web-1")], configs=[a_config()])
        for action in plan(snapshot).actions:
            match action:
                case WriteStatus(status=status):
                    assert all(_clean(c.message, 32768) for c in status.conditions)
                    assert _clean(status.last_error, 1024)
                case RecordEvent(message=message):
                    assert message.isprintable(), message


@pytest.mark.parametrize("payload", PAYLOADS, ids=[ascii(payload)[:24] for payload in PAYLOADS])
def test_no_line_of_the_log_is_forged(monkeypatch: pytest.MonkeyPatch, payload: str) -> None:
    """One JSON object for each call, whatever a fact holds."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=written))
    before = structlog.get_config()
    try:
        configure_log("info")
        structlog.get_logger("test").bind().info("tool injected", pod=payload, powertool=payload)
    finally:
        structlog.configure(**before)
    (line,) = written.getvalue().splitlines()
    assert json.loads(line)["event"] == "tool injected"
    assert b"\x1b" not in line
