"""Lint, webhook and controller say the same of the same object in the same cluster.

The way of each is taken whole: lint reads a file, the webhook reads the bytes of a review, the controller reads what
the API server stored and plans. They share the chain, so what could differ is what each makes of its input.
"""

import json
from random import Random
from typing import Any

import msgspec

from tests.builders import APPROVED, NOW, Raw, a_pod, config_manifest, judged, merged, powertool_manifest
from tests.properties.words import a_random_run
from tests.webhook.reviews import ALICE, a_review
from toe.api.codec import decode, problems_of, read_documents
from toe.api.pod import Pod
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig
from toe.api.settings import PROFILES, Settings
from toe.plan.actions import WriteStatus
from toe.plan.planner import plan
from toe.plan.snapshot import Snapshot
from toe.policy.access import Answers, entry_to, use_of
from toe.policy.chains import LINT, evaluate
from toe.policy.request import JudgedConfig, Request
from toe.policy.tier import TIERS
from toe.policy.verdict import Denied
from toe.webhook.judge import judge_run, read_run
from toe.webhook.review import Answer, read_review, write_answer

ROUNDS = 10_000


def _security(random: Random) -> Raw:
    adds = random.sample(
        ["KILL", "NET_RAW", "SYS_PTRACE", "SYS_ADMIN", "SYS_MODULE", "CAP_KILL"], random.choice((0, 0, 1, 2))
    )
    security: Raw = {"capabilities": {"drop": random.choice((["ALL"], [])), "add": adds}}
    if random.random() < 0.3:
        security["runAsRoot"] = random.choice((True, False))
    if random.random() < 0.1:
        security["allowPrivileged"] = True
    return security


def _config(random: Random, name: str) -> Raw:
    metadata: Raw = {"name": f"{name}-config", "uid": f"uid-{name}-{random.random()}"}
    if random.random() < 0.5:
        metadata |= APPROVED
        if random.random() < 0.3:
            review = random.choice(("2026-02-01", "2026-12-01", "soon"))
            metadata["annotations"] = {**APPROVED["annotations"], "security.toe.run/review-date": review}
    if random.random() < 0.05:
        metadata["namespace"] = "production"
    spec: Raw = {"name": name, "security": _security(random), "suspended": random.random() < 0.1}
    if random.random() < 0.3:
        spec["image"] = "registry.example/tool:1"
    if random.random() < 0.4:
        spec["allowedNamespaces"] = random.choice((["production"], ["staging"]))
    if random.random() < 0.4:
        spec["arguments"] = {"options": [{"flag": "-n"}, {"flag": "-c", "value": {"integer": {"min": 1, "max": 9}}}]}
    if random.random() < 0.3:
        spec["limits"] = {"maxDuration": "1m", "maxTargets": random.choice((1, 5))}
    return config_manifest(metadata, **spec)


def _run(random: Random) -> Raw:
    if random.random() < 0.2:
        return a_random_run(random)
    tool: Raw = {"name": random.choice(("aperf", "aperf", "aperf", "aprf"))}
    if random.random() < 0.4:
        tool["args"] = random.choice((["-n"], ["-c", "3"], ["-c", "10"], ["-z"], ["-n", "@x"]))
    if random.random() < 0.3:
        tool["duration"] = random.choice(("30s", "90s", "0s", "x", "2h"))
    spec: Raw = {"tool": tool}
    if random.random() < 0.2:
        expression = {"key": "app", "operator": random.choice(("NotIn", "In")), "values": ["web"]}
        spec["targets"] = {"labelSelector": {"matchLabels": None, "matchExpressions": [expression]}}
    if random.random() < 0.15:
        spec["output"] = {"mode": random.choice(("pvc", "collector", "ephemeral"))}
    if random.random() < 0.1:
        spec[random.choice(("security", "image", "hostPID"))] = {"privileged": True}
    namespace = random.choice(("production",) * 6 + ("staging", "kube-system"))
    return powertool_manifest({"namespace": namespace}, **spec)


def _answers(random: Random, config: JudgedConfig, namespace: str, settings: Settings) -> Answers:
    """Returns what the API server said of every right that may be asked for: a clear yes or no."""
    rights = [use_of(config.config.spec.name, tier, namespace, settings) for tier in TIERS]
    return {right: random.random() < 0.6 for right in (*rights, entry_to(namespace)) if right is not None}


class Cluster:
    """Is what all three look at."""

    def __init__(self, random: Random) -> None:
        self.settings = random.choice(list(PROFILES.values()))
        self.raws = [_config(random, "aperf") for _ in range(random.choice((0, 1, 1, 1, 1, 1, 1, 2)))]
        self.raws += [_config(random, "other")] if random.random() < 0.3 else []
        decoded = [decode(raw) for raw in self.raws if not problems_of(raw)]
        self.configs = judged(*(c for c in decoded if isinstance(c, PowerToolConfig)), settings=self.settings)
        self.pods = [a_pod(f"web-{number}") for number in range(random.choice((0, 1, 1, 3, 6)))]
        self.labels = random.choice(({}, {"toe.run/allow-privileged-tools": "true"}))
        self._random = random
        self._seed = random.random()

    def request(self, run: PowerTool, matching: int | None) -> Request:
        """Returns the run in front of the judge, as a door that follows the cluster sees it."""
        system = self.settings.system_namespace
        here = [c for c in self.configs if c.config.metadata.namespace == system]
        holders = tuple(c for c in here if c.config.spec.name == run.spec.tool.name)
        random = Random(self._seed)
        namespace = run.metadata.namespace
        return Request(
            run=run,
            configs=holders,
            tool_names=tuple({c.config.spec.name for c in here}),
            settings=self.settings,
            namespace_labels=self.labels,
            matching=matching,
            access=_answers(random, holders[0], namespace, self.settings) if len(holders) == 1 else {},
            now=NOW,
        )

    def matching(self, run: PowerTool) -> tuple[Pod, ...]:
        """Returns the pods that a selector matches."""
        selector, namespace = run.spec.targets.label_selector, run.metadata.namespace
        if not selector.is_positive or namespace != "production":
            return ()
        return tuple(pod for pod in self.pods if selector.matches(pod.metadata.labels))


def _webhook(cluster: Cluster, raw: Raw) -> dict[str, Any]:
    """Returns the response to a review of a run, from bytes to bytes."""
    review = read_review(json.dumps(a_review(raw)).encode())
    run = read_run(review)
    answer = run
    if not isinstance(run, Answer):
        answer = judge_run(cluster.request(run, len(cluster.matching(run))), review.user_info)
    assert isinstance(answer, Answer)
    response: dict[str, Any] = json.loads(write_answer(review.uid, answer))["response"]
    return response


def _controller(cluster: Cluster, raw: Raw) -> tuple[bool, str]:
    """Returns whether the controller fails the run for good by a rule, and what it says of it."""
    run = msgspec.convert(raw, PowerTool)
    matching = cluster.matching(run)
    snapshot = Snapshot(now=NOW, request=cluster.request(run, None), matching=matching, pods={}, rivals=())
    (write, *_) = [action for action in plan(snapshot).actions if isinstance(action, WriteStatus)]
    accepted = next(c for c in write.status.conditions if c.type == "Accepted")
    is_refused = write.status.phase == "Failed" and accepted.status == "False"
    return is_refused, accepted.message


def test_lint_webhook_and_controller_agree() -> None:
    """On 10,000 random runs among random configs, pods, labels, rights and profiles."""
    random = Random(5)
    met = dict.fromkeys(("schema", "refused", "waits", "allowed", "lint refuses"), 0)
    for _ in range(ROUNDS):
        cluster, raw = Cluster(random), _run(random)
        raw = merged(raw, {"metadata": {"creationTimestamp": "2026-03-01T12:00:00Z"}, "spec": {"requester": ALICE}})
        response = _webhook(cluster, raw)
        told = (response.get("status") or {}).get("message", "")
        if problems := problems_of(raw):  # the API server stores no such object, and lint says the same words
            met["schema"] += 1
            assert not response["allowed"]
            assert all(str(problem) in told for problem in problems), (problems, told)
            continue
        refused, said = _controller(cluster, raw)
        assert response["allowed"] != refused, (raw, response, said)
        (document,) = read_documents(json.dumps(raw))
        run = decode(document.raw)
        assert isinstance(run, PowerTool)
        offline = msgspec.structs.replace(cluster.request(run, None), namespace_labels=None, access={}, now=None)
        verdict = evaluate(LINT, offline)
        if isinstance(verdict, Denied):
            met["lint refuses"] += 1
            assert refused, (verdict, said)
            assert all(str(violation)[:60] in told for violation in verdict.violations), (verdict, told)
        if refused:
            met["refused"] += 1
            assert told == said or told[:200] == said[:200]
        elif said.startswith(("no running pod", "PowerToolConfig not found", "the tool")) or "waits" in said:
            met["waits"] += 1
            assert any(said[:40] in warning for warning in response["warnings"]), (said, response)
        else:
            met["allowed"] += 1
    assert min(met.values()) > 100, met
