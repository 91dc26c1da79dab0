"""Nothing is injected while the API server's fence is not in force."""

import asyncio
from typing import Any

import msgspec
import pytest

from toe.api.fence.canary import canary
from toe.api.fence.objects import fence
from toe.api.meta import ObjectMeta
from toe.api.settings import Settings
from toe.controller.fence import FenceWatch, is_refused
from toe.errors import ForbiddenError
from toe.kube.resource import POLICIES, AdmissionPolicy

CANARY = canary("toe-system", "toe-controller-1", is_covered=False)
REFUSED = ForbiddenError(
    "ValidatingAdmissionPolicy 'toe-fence-uncovered' with binding 'toe-fence-uncovered' denied request: toe fence: no",
    status=403,
)


class ScriptedClient:
    """Answers every request in the same way."""

    def __init__(self, answer: Exception | None) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    async def raw(self, method: str, path: str, **request: Any) -> bytes:
        self.asked.append({"method": method, "path": path, **request})
        if self.answer is not None:
            raise self.answer
        return b"{}"


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (REFUSED, True),
        (None, False),
        (ForbiddenError("pods is forbidden: User cannot patch", status=403), False),
        (ForbiddenError("ValidatingAdmissionPolicy 'other' denied request: toe fence: no", status=403), False),
    ],
)
async def test_only_the_policy_that_must_refuse_counts(answer: Exception | None, refused: bool) -> None:
    """A refusal by anybody else proves nothing, and an accepted request proves that the fence is open."""
    client = ScriptedClient(answer)
    assert await is_refused(client, CANARY) is refused  # type: ignore[arg-type]
    (asked,) = client.asked
    assert asked["params"] == {"dryRun": "All"}


async def test_the_fence_comes_into_force_and_falls() -> None:
    """With every object as generated and the canary dead; one changed object is enough to fall."""
    changes: list[str] = []
    client = ScriptedClient(REFUSED)
    watch = FenceWatch(client, Settings(), "toe-controller-1", lambda: changes.append(watch.missing))  # type: ignore[arg-type]
    _fill(watch)
    task = asyncio.create_task(watch.run())
    await _until(lambda: watch.missing == "")
    (policies, _) = watch.caches
    policy = policies.list()[0]
    weaker = msgspec.structs.replace(
        policy,
        metadata=msgspec.structs.replace(policy.metadata, resource_version="9000"),
        spec={**policy.spec, "failurePolicy": "Ignore"},
    )
    policies._mirror.apply("MODIFIED", weaker)
    await _until(lambda: watch.missing != "")
    task.cancel()
    assert changes[0] == ""
    assert policy.metadata.name in changes[1]


async def test_a_living_canary_keeps_it_down() -> None:
    """Everything is installed, and the request that must be refused is not."""
    client = ScriptedClient(None)
    watch = FenceWatch(client, Settings(), "toe-controller-1", lambda: None)  # type: ignore[arg-type]
    _fill(watch)
    task = asyncio.create_task(watch.run())
    await _until(lambda: "was not" in watch.missing)
    task.cancel()


def _fill(watch: FenceWatch) -> None:
    for number, wanted in enumerate(fence(Settings(), "standard", stamped=True), 1):
        cache = watch.caches[0 if wanted["kind"] == POLICIES.kind else 1]
        meta = ObjectMeta(name=wanted["metadata"]["name"], uid=str(number), resource_version=str(number))
        cache._mirror.apply("ADDED", AdmissionPolicy(metadata=meta, spec=wanted["spec"]))
    for cache in watch.caches:
        cache._synced.set()


async def _until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 what is waited for has no event
            await asyncio.sleep(0.01)
