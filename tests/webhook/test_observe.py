"""What a review is judged with, and the questions about rights: 2 rights x 4 tiers x 4 answers."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from tests.builders import APPROVED, NOW, a_config, a_pod, a_powertool
from tests.kube.scripted import Answer, Scripted, hangs, refuses, says
from toe.api.codec import to_builtins
from toe.api.meta import GROUP
from toe.api.pod import Pod
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import PROFILES, Settings
from toe.kube.client import Client
from toe.kube.resource import Namespace
from toe.webhook import observe as module
from toe.webhook.judge import judge_run
from toe.webhook.observe import Observer
from toe.webhook.review import Answer as Verdict
from toe.webhook.review import UserInfo

ALICE = UserInfo(username="alice", uid="u-7", groups=("dev",), extra={"example.com/team": ("shop",)})
TIERS = {"Low": [], "Medium": ["NET_RAW"], "High": ["SYS_ADMIN"], "Extreme": ["SYS_MODULE"]}
ANSWERS: dict[str, Answer] = {
    "allow": says({"status": {"allowed": True}}),
    "deny": says({"status": {"allowed": False}}),
    "error": refuses(403, "Forbidden"),
    "timeout": hangs,
}
RIGHTS = {
    "use": Settings(require_use="Low", require_target_access="no"),
    "enter": Settings(require_use=None, require_target_access="refuse"),
}


def _version(obj: Any, number: int) -> Any:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, resource_version=str(number)))


def _tool(tier: str) -> PowerToolConfig:
    metadata = {**APPROVED} if tier == "Extreme" else {}
    security = {"capabilities": {"drop": ["ALL"], "add": TIERS[tier]}}
    return a_config(metadata, security=security, allowedNamespaces=["production"])


def _fill(observer: Observer, config: PowerToolConfig, *pods: Pod) -> None:
    observer.configs.observe(_version(config, 1))
    for number, pod in enumerate(pods, 2):
        observer.pods.observe(_version(pod, number))
    meta = msgspec.structs.replace(a_pod().metadata, namespace="", name="production", resource_version="9")
    observer.namespaces.observe(Namespace(metadata=meta))


async def _judged(settings: Settings, config: PowerToolConfig, answer: Answer) -> tuple[Verdict, list[dict[str, Any]]]:
    """Returns what becomes of alice's run, and what the API server was asked."""
    run = a_powertool(requester=to_builtins(ALICE.requester))
    async with Scripted([answer]) as server, Client(server.access) as client:
        observer = Observer(client, settings, lambda: None)
        _fill(observer, config, a_pod())
        request = await observer.request(run, NOW, 0.3)
        await observer.close()
        return judge_run(request, ALICE), [json.loads(asked.body)["spec"] for asked in server.asked]


@pytest.mark.parametrize("outcome", ANSWERS)
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("right", RIGHTS)
async def test_a_run_is_let_in_only_with_a_right_that_was_granted(right: str, tier: str, outcome: str) -> None:
    """Denied, an error and silence are refusals; the API server is asked about the whole caller."""
    answer, asked = await _judged(RIGHTS[right], _tool(tier), ANSWERS[outcome])
    assert answer.allowed == (outcome == "allow"), answer
    assert answer.code == (200 if outcome == "allow" else 403)
    if outcome == "deny":
        wanted = "verb use on powertoolconfigs" if right == "use" else "verb create on pods/exec"
        assert wanted in answer.message
    elif outcome != "allow":
        assert "not known yet" in answer.message
    for spec in asked:
        assert (spec["user"], spec["uid"], spec["groups"]) == ("alice", "u-7", ["dev"])
        assert spec["extra"] == {"example.com/team": ["shop"]}
    attributes = asked[0]["resourceAttributes"]
    if right == "enter":
        assert attributes == {"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "production"}
    else:
        place = ("toe-system", "production.aperf") if tier == "Extreme" else ("production", "aperf")
        assert (attributes["namespace"], attributes["name"]) == place
        assert (attributes["verb"], attributes["group"]) == ("use", GROUP)


@pytest.mark.parametrize("outcome", ANSWERS)
async def test_a_right_that_is_only_worth_a_warning_never_refuses(outcome: str) -> None:
    """Where the setting says so, silence about it lets the run in within its time."""
    answer, _ = await _judged(PROFILES["standard"], _tool("Low"), ANSWERS[outcome])
    assert answer.allowed
    assert any("you lack verb create on pods/exec" in warning for warning in answer.warnings) == (outcome == "deny")


async def test_a_warning_is_asked_for_once_and_again_behind_the_back_of_reviews(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty reviews at once ask once; an answer that grew old is used while it is asked anew."""
    changing = [ANSWERS["deny"], ANSWERS["allow"]]
    async with Scripted(changing) as server, Client(server.access) as client:
        observer = Observer(client, PROFILES["standard"], lambda: None)
        _fill(observer, _tool("Low"), a_pod())

        async def said() -> set[bool | None]:
            return set((await observer.request(a_powertool(), NOW, 1.0)).access.values())

        assert await asyncio.gather(*(said() for _ in range(20))) == [{False}] * 20
        assert len(server.asked) == 1
        monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
        assert await said() == {False}
        while observer._asking:
            await asyncio.gather(*observer._asking.values())
        assert await said() == {True}
        await observer.close()


async def test_what_nobody_needs_is_not_asked() -> None:
    """Under compat there is no question at all."""
    answer, asked = await _judged(PROFILES["compat"], _tool("High"), ANSWERS["error"])
    assert (answer.allowed, asked) == (True, [])


async def test_a_pod_in_which_the_tool_becomes_more_needs_more() -> None:
    """NET_RAW in a hostNetwork pod is High: the right is asked for, though the tool itself is Medium."""
    async with Scripted([ANSWERS["allow"]]) as server, Client(server.access) as client:
        observer = Observer(client, PROFILES["standard"], lambda: None)
        _fill(observer, _tool("Medium"), a_pod(), a_pod("web-2", spec={"hostNetwork": True}))
        request = await observer.request(a_powertool(), NOW, 0.3)
    assert request.matching == 2
    assert {question.verb for question in request.access} == {"use", "create"}


async def test_a_config_is_judged_once_for_each_version() -> None:
    """Nearly all reviews are about a config that has not changed."""
    woken = []
    async with Scripted([ANSWERS["deny"]]) as server, Client(server.access) as client:
        observer = Observer(client, PROFILES["standard"], lambda: woken.append(1))
        observer.configs.observe(_version(a_config(), 1))
        first = observer.judged()
        assert observer.judged()[0] is first[0]
        observer.configs.observe(_version(a_config(image="other:1"), 2))
        assert observer.judged()[0].readiness.digest != first[0].readiness.digest
    assert len(woken) == 2
