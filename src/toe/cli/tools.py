"""``tools``: what there is, what each runs with, and whether it is for you, in this namespace, and why not."""

import json
from typing import Any

import msgspec
import yaml

from toe.api.codec import to_builtins
from toe.api.meta import GROUP
from toe.api.powertool import PowerTool
from toe.api.powertoolconfig import PowerToolConfig, Security
from toe.api.quantity import format_bytes
from toe.cli.call import Call
from toe.cli.cluster import Asker, Cluster, manifest, reach
from toe.cli.request import as_run
from toe.cli.sentences import ComplaintError, right
from toe.cli.snapshot import forbidden_by_pod_security
from toe.cli.verdicts import short
from toe.policy.access import Question
from toe.policy.arguments import describe
from toe.policy.chains import RUN
from toe.policy.request import JudgedConfig, Request
from toe.policy.tier import added, drops_all
from toe.report.text import columns, facts

HEADER = ("TOOL", "WHAT IT SHOWS", "RUNS WITH", "TIER")


class Offer(msgspec.Struct, frozen=True):
    """Is one tool as it stands for one person in one namespace; ``obstacles`` is empty when it may be used."""

    judged: JudgedConfig
    obstacles: tuple[str, ...]

    @property
    def for_you(self) -> str:
        """Says yes, or no with the reasons."""
        return f"no: {'; '.join(self.obstacles)}" if self.obstacles else "yes"

    @property
    def in_short(self) -> str:
        """Says yes, or no with the first reason."""
        more = f" ({len(self.obstacles) - 1} more)" if len(self.obstacles) > 1 else ""
        return f"no: {self.obstacles[0]}{more}" if self.obstacles else "yes"


def show(call: Call, name: str | None, output: str) -> int:
    """Prints all tools, or one of them in detail."""
    return reach(call, lambda cluster: _show(cluster, name, output))


async def _show(cluster: Cluster, name: str | None, output: str) -> int:
    screen, namespace = cluster.call.screen, cluster.namespace
    offers = await _offers(cluster)
    if name is not None:
        chosen = [offer for offer in offers if offer.judged.config.spec.name == name]
        if not chosen:
            raise ComplaintError(
                f"there is no tool {name}", hints=[f"`{cluster.call.program} tools` lists them"], status=2
            )
        offers = chosen
    if output != "table":
        plain = [_plain(offer, namespace) for offer in offers]
        screen.document(json.dumps(plain, indent=2) if output == "json" else yaml.safe_dump(plain, sort_keys=False))
    elif name is not None:
        for offer in offers:
            screen.out(name)
            screen.lines(facts(_details(offer, namespace), screen.width))
    elif not offers:
        screen.say(f"there is no PowerToolConfig in the namespace {cluster.settings.system_namespace}")
        screen.hint("an administrator adds tools; --system-namespace names another namespace")
    else:
        rows = [(*_cells(offer), offer.in_short) for offer in offers]
        screen.lines(columns((*HEADER, f"FOR YOU IN {namespace}"), rows, screen.width))
    return 0


async def _offers(cluster: Cluster) -> list[Offer]:
    configs = await cluster.configs()
    labels = await cluster.namespace_labels()
    may = await cluster.may(Question("create", "powertools", cluster.namespace, group=GROUP))
    user = await cluster.user()
    return [
        _offer(cluster, judged, configs, labels, await cluster.asker(user, judged), may=may is not False)
        for judged in configs
    ]


def _offer(
    cluster: Cluster,
    judged: JudgedConfig,
    configs: tuple[JudgedConfig, ...],
    labels: dict[str, str] | None,
    asker: Asker,
    *,
    may: bool,
) -> Offer:
    name = judged.config.spec.name
    request = Request(
        run=asker.asking(_simplest(name, cluster.namespace)),
        configs=tuple(other for other in configs if other.config.spec.name == name),
        settings=cluster.settings,
        namespace_labels=labels,
        access=asker.access,
        now=cluster.call.now(),
    )
    found = [] if may else [f"you lack the right: {right('create', 'powertools', cluster.namespace)}"]
    found += [short(answer, judged.config) for check in RUN for answer in check(request)]
    found += [why] if (why := forbidden_by_pod_security(judged, labels)) else []
    return Offer(judged, tuple(found))


def _simplest(tool: str, namespace: str) -> PowerTool:
    """Returns the plainest run of a tool: whatever is refused about it is refused about every run."""
    spec = {"targets": {"labelSelector": {"matchLabels": {"app": "any"}}}, "tool": {"name": tool, "duration": "1s"}}
    return as_run(manifest(tool, spec), namespace)


def _cells(offer: Offer) -> tuple[str, str, str, str]:
    spec = offer.judged.config.spec
    return (spec.name, spec.description or "-", runs_with(spec.effective_security), offer.judged.readiness.tier)


def runs_with(security: Security) -> str:
    """Says as whom and with which capabilities a tool runs: ``the target's uid, no capability``."""
    if security.allow_privileged:
        return "privileged"
    if security.run_as_root or security.run_as_user == 0:
        who = "root"
    elif security.run_as_user is not None:
        who = f"uid {security.run_as_user}"
    else:
        who = "the target's uid"
    has = " ".join(sorted(added(security)))
    if not drops_all(security):
        has = f"default capabilities {has}".rstrip()
    return f"{who}, {has or 'no capability'}"


def _details(offer: Offer, namespace: str) -> list[tuple[str, str]]:
    config, readiness = offer.judged.config, offer.judged.readiness
    spec = config.spec
    found = [
        (f"in {namespace}", offer.for_you),
        ("shows", spec.description),
        ("version", spec.version),
        ("image", spec.image),
        ("command", " ".join((*(spec.command or ()), *(spec.default_args or ())))),
        ("runs with", runs_with(spec.effective_security)),
        ("tier", readiness.tier),
        ("reach", reach_in_words(readiness.reach)),
        ("needs", f"Pod Security {readiness.pod_security_level}"),
        ("accepts", describe(spec.arguments)),
        ("at most", _limits(config)),
        ("results", "printed and kept in the log" if not spec.is_supervised else "files, out of the pod's log"),
        ("namespaces", ", ".join(spec.allowed_namespaces) if spec.allowed_namespaces else "all but protected ones"),
        ("config", f"{config.metadata.name}, generation {config.metadata.generation}"),
    ]
    found += [("wrong", str(violation)) for violation in readiness.violations]
    found += [("note", f"{finding.field}: {finding.message}") for finding in readiness.findings]
    return [(name, value) for name, value in found if value]


def _limits(config: PowerToolConfig) -> str:
    limits = config.spec.effective_limits
    parts = [limits.max_duration, f"{limits.max_targets} pods", f"{format_bytes(limits.max_artifact_bytes)} of files"]
    parts += [f"{limits.memory} of memory"] if limits.memory else []
    parts += [f"{limits.cpu_percent} % of a core"] if limits.cpu_percent else []
    return ", ".join(parts)


def reach_in_words(reach: tuple[str, ...]) -> str:
    """Says what a tool sees beyond itself, and what that is worth."""
    words = {
        "memory": "memory of the target (worth as much as exec into it)",
        "traffic": "traffic of the pod",
        "node": "the node, beyond the pod",
    }
    return ", ".join(words[part] for part in reach) or "nothing beyond itself"


def _plain(offer: Offer, namespace: str) -> dict[str, Any]:
    spec, readiness = offer.judged.config.spec, offer.judged.readiness
    return {
        "tool": spec.name,
        "description": spec.description,
        "runsWith": runs_with(spec.effective_security),
        "tier": readiness.tier,
        "reach": list(readiness.reach),
        "podSecurityLevel": readiness.pod_security_level,
        "accepts": describe(spec.arguments),
        "namespace": namespace,
        "forYou": not offer.obstacles,
        "obstacles": list(offer.obstacles),
        "findings": to_builtins(readiness.findings),
    }
