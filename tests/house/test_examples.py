"""Every example gets the verdict that it claims, and every folder tells what it shows."""

from pathlib import Path
from typing import Any

import pytest

from toe.api.codec import decode, problems_of, read_documents
from toe.api.crd import KINDS
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import Settings
from toe.policy.access import Question
from toe.policy.chains import LINT, evaluate
from toe.policy.readiness import judge_config
from toe.policy.request import JudgedConfig, Request
from toe.policy.rights import questions
from toe.policy.verdict import Allowed, Denied

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.glob("[0-9]*") if path.is_dir())
VERDICT = "example.toe.run/verdict"


def _documents(folder: Path) -> list[dict[str, Any]]:
    return [document.raw for path in sorted(folder.glob("*.yaml")) for document in read_documents(path.read_text())]


def _configs(documents: list[dict[str, Any]]) -> tuple[JudgedConfig, ...]:
    found = [decode(raw) for raw in documents if raw["kind"] == "PowerToolConfig"]
    configs = [config for config in found if isinstance(config, PowerToolConfig)]
    return tuple(JudgedConfig(config=config, readiness=judge_config(config, Settings())) for config in configs)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_loads_and_gets_the_verdict_it_claims(folder: Path) -> None:
    """Every manifest is one that the API server takes, every config Ready, and every run says what becomes of it."""
    documents = _documents(folder)
    assert [problem for raw in documents if raw["kind"] in KINDS for problem in problems_of(raw)] == []
    configs = _configs(documents)
    assert [judged.readiness.violations for judged in configs if not judged.readiness.is_ready] == []
    labels = {
        raw["metadata"]["name"]: raw["metadata"].get("labels", {}) for raw in documents if raw["kind"] == "Namespace"
    }
    for raw in documents:
        if raw["kind"] == "PowerTool":
            run = decode(raw)
            assert isinstance(run, PowerTool)
            request = Request(run=run, configs=configs, namespace_labels=labels.get(run.metadata.namespace, {}))
            match evaluate(LINT, request):
                case Allowed():
                    verdict = "Allowed"
                case Denied(violations):
                    verdict = f"Denied: {violations[0].reason}"
                case other:
                    verdict = str(other)
            assert verdict == raw["metadata"]["annotations"][VERDICT], run.metadata.name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_an_example_tells_what_it_shows(folder: Path) -> None:
    """Its README links every file beside it."""
    text = (folder / "README.md").read_text()
    assert [path.name for path in folder.glob("*.yaml") if f"]({path.name})" not in text] == []


def test_the_rights_of_the_examples_are_those_that_are_asked() -> None:
    """Each ``use`` that an example hands out answers a question that toe would ask about another example's tool."""
    tools = {judged.config.spec.name: judged for folder in FOLDERS for judged in _configs(_documents(folder))}
    asked: set[Question] = set()
    for name, namespace in (("tcpdump", "shop-open"), ("kdebug", "kernel-team")):
        asked |= questions(tools[name], namespace, [], Settings())
    given = {
        (raw["metadata"]["namespace"], rule["resourceNames"][0])
        for raw in _documents(EXAMPLES / "05-rights")
        if raw["kind"] == "Role"
        for rule in raw["rules"]
    }
    assert given == {(question.namespace, question.name) for question in asked}
