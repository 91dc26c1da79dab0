"""Ask for the requester's rights, right before each injection; nothing is remembered from one pass to the next."""

import asyncio
from collections.abc import Iterable

import msgspec

from toe.api.powertool import Requester
from toe.kube.access_review import review
from toe.kube.client import Client
from toe.policy.access import Answers, Question


async def ask(client: Client, requester: Requester, questions: Iterable[Question]) -> Answers:
    """Returns an answer to each question; None for those that the API server did not answer."""
    asked = sorted(questions, key=str)
    user = msgspec.to_builtins(requester)
    answers = await asyncio.gather(*(review(client, user, msgspec.to_builtins(question)) for question in asked))
    return dict(zip(asked, answers, strict=True))
