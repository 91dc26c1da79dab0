"""``explain``: for each pod the exact container, what its process will really hold, and what every layer says."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from toe.api.codec import to_builtins
from toe.api.meta import GROUP
from toe.api.pod import Pod
from toe.api.powertool import PowerTool, PowerToolStatus, Target
from toe.api.settings import Profile
from toe.api.time import format_time
from toe.cli.acting import Actor
from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.installed import installed_settings
from toe.cli.layers import (
    catalog_entry,
    chain,
    creation,
    injection,
    predicted_fence,
    predicted_pod_security,
    rights,
    stamp,
)
from toe.cli.plan import manifests
from toe.cli.request import as_run
from toe.cli.sentences import ComplaintError
from toe.cli.snapshot import Observed, observe, why_left_out
from toe.kube.access_review import review
from toe.kube.calls import DEADLINE
from toe.plan.container import ToolContainer, render, tool_identity
from toe.plan.deadlines import not_after
from toe.plan.targets import find_container, freeze
from toe.policy.access import Answers, Question
from toe.policy.identity import target_identity
from toe.report.debug import kubectl_debug
from toe.report.holdings import UNKNOWN, Held, held
from toe.report.text import facts
from toe.report.verdicts import Layer, Word, lines, worst

_UID = "explain"
"""Stands for the UID of a run that does not exist, from which the name of its container is made."""
_STATUS: dict[Word, int] = {"passes": 0, "not known": 0, "waits": 1, "refuses": 2}


class Explained(msgspec.Struct, frozen=True):
    """Is one pod: the container that it would get, what that will hold, and what the layers say."""

    pod: str
    layers: tuple[Layer, ...]
    container: ToolContainer | None = None
    holds: tuple[Held, ...] = ()
    debug: str = ""
    recorded: str = ""
    """What the run's status says of this pod."""


class Explanation(msgspec.Struct, frozen=True):
    """Is a run: what is said about all of it, and each pod."""

    run: PowerTool
    layers: tuple[Layer, ...]
    pods: tuple[Explained, ...]
    unread: tuple[str, ...] = ()


def explain(call: Call, name: str | None, files: tuple[str, ...], profile: Profile | None, output: str) -> int:
    """Explains a run of the cluster, or every PowerTool of the files.

    Exit status 0 when every pod would get its tool, 2 when none would, 3 when some would not, 1 when the run waits.
    """
    raws = [] if name is not None else list(manifests(files))
    return reach(call, lambda cluster: _explain(cluster, name, raws, profile, output))


async def _explain(
    cluster: Cluster, name: str | None, raws: list[dict[str, Any]], profile: Profile | None, output: str
) -> int:
    cluster.settings = await installed_settings(cluster, profile)
    screen = cluster.call.screen
    async with Actor(cluster.client.access, DEADLINE) as actor:
        if name is not None:
            run = await cluster.run(name)
            asked = stamp(run.spec.requester.username if run.spec.requester else "")
            found = [await _explanation(cluster, actor, run, (asked,))]
        else:
            found = [await _of_manifest(cluster, actor, raw) for raw in raws]
    if output == "table":
        for explanation in found:
            _tell(cluster, explanation)
        screen.say("Nothing was changed.")
    else:
        plain = json.loads(json.dumps([_plain(explanation) for explanation in found]))
        screen.document(json.dumps(plain, indent=2) if output == "json" else yaml.safe_dump(plain, sort_keys=False))
    return max(map(_status, found))


async def _of_manifest(cluster: Cluster, actor: Actor, raw: dict[str, Any]) -> Explanation:
    stated = raw["metadata"].get("namespace")
    if stated and cluster.call.flags.namespace and stated != cluster.namespace:
        message = f"the manifest is for the namespace {stated}, -n says {cluster.namespace}"
        raise ComplaintError(message, status=2)
    cluster.namespace = stated or cluster.namespace
    run = as_run(raw, cluster.namespace)
    meta = msgspec.structs.replace(run.metadata, uid=_UID)
    run = msgspec.structs.replace(run, metadata=meta, spec=msgspec.structs.replace(run.spec, requester=None))
    return await _explanation(cluster, actor, run, await creation(cluster, actor, raw))


async def _explanation(cluster: Cluster, actor: Actor, run: PowerTool, first: tuple[Layer, ...]) -> Explanation:
    now = cluster.call.now()
    recorded = {target.pod_uid: target for target in run.status.targets}
    fresh = run if run.metadata.creation_timestamp else _created(run, format_time(now))
    fresh = msgspec.structs.replace(fresh, status=PowerToolStatus())
    observed = await observe(cluster, fresh, now)
    observed, asked = await _asked(cluster, observed, is_stored=run.spec.requester is not None)
    request = observed.snapshot.request
    program = cluster.call.program
    layers = (*first, chain(request, program), *rights(asked, request, program))
    pods: list[Explained] = []
    if request.config is not None:
        entry = await catalog_entry(cluster, request.config.spec.name)
        fence = predicted_fence(request.configs[0], entry, request)
        security = predicted_pod_security(request.configs[0], observed)
        targets = freeze(request, observed.snapshot.matching)
        by_uid = {pod.metadata.uid: pod for pod in observed.snapshot.matching}
        for target in targets:
            pod = by_uid[target.pod_uid]
            pods.append(
                await _explained(
                    cluster, actor, observed, (pod, target), (security, fence), recorded.get(target.pod_uid)
                )
            )
    left_out = [
        Explained(pod.metadata.name, (Layer("target", "waits", why_left_out(pod)),)) for pod in observed.left_out
    ]
    return Explanation(run, layers, (*pods, *left_out), observed.unread)


def _created(run: PowerTool, time: str) -> PowerTool:
    return msgspec.structs.replace(run, metadata=msgspec.structs.replace(run.metadata, creation_timestamp=time))


async def _asked(cluster: Cluster, observed: Observed, *, is_stored: bool) -> tuple[Observed, Answers]:
    """Returns the rights of whoever asked: of the person, or of another requester, as far as one may ask about him."""
    request = observed.snapshot.request
    requester = request.run.spec.requester
    create = Question("create", "powertools", cluster.namespace, group=GROUP)
    if not is_stored or requester is None:
        return observed, {create: await cluster.may(create), **request.access}
    if requester.username == await cluster.user():
        return observed, request.access
    user = msgspec.to_builtins(requester)
    questions = list(request.access)
    answers = await asyncio.gather(*(review(cluster.client, user, msgspec.to_builtins(right)) for right in questions))
    access = dict(zip(questions, answers, strict=True))
    request = msgspec.structs.replace(request, access=access)
    snapshot = msgspec.structs.replace(observed.snapshot, request=request)
    return msgspec.structs.replace(observed, snapshot=snapshot), access


async def _explained(
    cluster: Cluster,
    actor: Actor,
    observed: Observed,
    place: tuple[Pod, Target],
    predicted: tuple[Layer, ...],
    recorded: Target | None,
) -> Explained:
    pod, target = place
    request = observed.snapshot.request
    config = request.config
    assert config is not None
    said = f"{recorded.state}{': ' + recorded.message if recorded.message else ''}" if recorded else ""
    refused = Layer("target", "refuses", target.message) if target.state == "Refused" else None
    security = config.spec.effective_security
    identity = tool_identity(security, target_identity(pod, target.container))
    guesses = request.settings.unknown_identity == "image"
    if not target.container or (identity is None and not guesses):
        return Explained(pod.metadata.name, (refused,) if refused else (), recorded=said)
    until = not_after(request.run, observed.snapshot.now, observed.snapshot)
    container = render(request.run, config, pod, target.container, until, request.settings)
    if find_container(pod, container.name) is not None:
        layers: tuple[Layer, ...] = (Layer("target", "passes", f"{container.name} is in the pod already"),)
    elif refused:
        layers = (refused, *predicted)
    else:
        answers = await injection(cluster, actor, pod.metadata.name, container)
        layers = (Layer("target", "passes", "every rule of the chain TARGET holds"), *(answers or predicted))
    raw = to_builtins(container)
    holds = held(security, identity, pod, target.container) if identity else (UNKNOWN,)
    debug = kubectl_debug(cluster.namespace, pod.metadata.name, raw)
    return Explained(pod.metadata.name, layers, container, holds, debug, said)


def _status(explanation: Explanation) -> int:
    if status := _STATUS[worst(explanation.layers)]:
        return status
    words = [worst(explained.layers) for explained in explanation.pods]
    if set(words) <= {"waits"}:
        return 1
    refused = words.count("refuses")
    if refused:
        return 2 if refused == len(words) else 3
    return 0


def _tell(cluster: Cluster, explanation: Explanation) -> None:
    screen, run = cluster.call.screen, explanation.run
    for unread in explanation.unread:
        screen.warn(f"you may not read {unread}; the explanation does without")
    phase = f", {run.status.phase}" if run.status.phase else ""
    screen.out(f"{run.metadata.name}: {run.spec.tool.name} in {run.metadata.namespace}{phase}")
    screen.lines(f"  {line}" for line in lines(explanation.layers, _within(screen.width)))
    for explained in explanation.pods:
        screen.out()
        screen.out(f"{explained.pod}{f' ({explained.recorded})' if explained.recorded else ''}")
        screen.lines(f"  {line}" for line in lines(explained.layers, _within(screen.width)))
        if explained.container is not None:
            screen.lines(facts(_described(explained, explained.container), screen.width))


def _within(width: int | None) -> int | None:
    return width - 2 if width else None


def _described(explained: Explained, container: ToolContainer) -> Iterator[tuple[str, str]]:
    yield "container", f"{container.name}, joins {container.target_container_name}"
    yield "image", container.image
    yield "command", " ".join(container.command) or "the image's own"
    if container.args:
        yield "args", " ".join(container.args)
    yield "env", f"{len(container.env)} variables (-o yaml for all of it)"
    yield "securityContext", json.dumps(to_builtins(container.security_context), separators=(", ", ": "))
    for fact in explained.holds:
        yield fact.name, fact.says
    yield "by hand", explained.debug


def _plain(explanation: Explanation) -> dict[str, Any]:
    run = explanation.run
    return {
        "run": run.metadata.name,
        "namespace": run.metadata.namespace,
        "tool": run.spec.tool.name,
        "layers": [_plain_layer(layer) for layer in explanation.layers],
        "unread": list(explanation.unread),
        "pods": [
            {
                "pod": explained.pod,
                "layers": [_plain_layer(layer) for layer in explained.layers],
                **({"recorded": explained.recorded} if explained.recorded else {}),
                **({"ephemeralContainer": to_builtins(explained.container)} if explained.container else {}),
                "holds": {fact.name: fact.says for fact in explained.holds},
                "kubectlDebug": explained.debug,
            }
            for explained in explanation.pods
        ],
    }


def _plain_layer(layer: Layer) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "verdict": layer.word,
        "asked": layer.asked,
        "says": layer.says,
        **({"wayOut": layer.way_out} if layer.way_out else {}),
    }
