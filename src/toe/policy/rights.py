"""Every right that a run needs, all of them before any is asked."""

from collections.abc import Iterable

from toe.api.pod import Pod
from toe.api.settings import Settings
from toe.policy.access import Question, entry_to, use_of
from toe.policy.exposure import tier_in
from toe.policy.request import JudgedConfig


def questions(judged: JudgedConfig, namespace: str, pods: Iterable[Pod], settings: Settings) -> frozenset[Question]:
    """Returns the rights a tool in these pods needs: by its own tier, by what it becomes in a pod, and by its reach."""
    config, tier = judged.config, judged.readiness.tier
    tiers = {tier, *(tier_in(config, tier, pod) for pod in pods)}
    needed = {use_of(config.spec.name, each, namespace, settings) for each in tiers}
    if judged.readiness.reach and settings.require_target_access == "refuse":
        needed.add(entry_to(namespace))
    return frozenset(question for question in needed if question is not None)
