"""Every right is asked, with the requester's whole identity; nothing is remembered."""

import json

from tests.kube.scripted import Scripted, refuses, says
from toe.api.powertool import Requester
from toe.controller.access import ask
from toe.kube.client import Client
from toe.policy.access import Question, entry_to

USE = Question("use", "powertoolconfigs", "shop", "tcpdump", "codriverlabs.ai.toe.run")
ALICE = Requester(username="alice", groups=("dev",))


async def test_each_question_gets_its_own_answer() -> None:
    """A missing answer is None beside the others."""
    answers = [says({"status": {"allowed": True}}), refuses(403, "Forbidden")]
    async with Scripted(answers) as server, Client(server.access) as client:
        found = await ask(client, ALICE, [USE, entry_to("shop")])
        assert sorted(found.values(), key=str) == [None, True]
        assert set(found) == {USE, entry_to("shop")}
        asked = [json.loads(request.body)["spec"] for request in server.asked]
    assert {spec["user"] for spec in asked} == {"alice"}
    assert sorted(spec["resourceAttributes"]["verb"] for spec in asked) == ["create", "use"]


async def test_no_question_is_no_request() -> None:
    """A harmless tool costs nothing."""
    async with Scripted([says({})]) as server, Client(server.access) as client:
        assert await ask(client, ALICE, []) == {}
        assert server.asked == []
