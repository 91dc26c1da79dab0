"""From the configs to the catalog: what the API server compares with what :mod:`toe.plan.container` renders.

Pure, for the webhook that writes the catalog and for the command line that shows it. What is not Ready, is suspended or
shares its name with another config is not in it, so the fence refuses it without being told why.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import re2

from toe.api.meta import LabelSelector, LabelSelectorRequirement
from toe.api.powertoolcatalog import (
    MAX_PATTERN,
    CatalogArguments,
    CatalogClaim,
    CatalogEnv,
    CatalogTool,
    Identity,
    PowerToolCatalogSpec,
    PullPolicy,
)
from toe.api.powertoolconfig import Arguments, IntegerRange, OptionValue, PowerToolConfigSpec, Security
from toe.api.reasons import Reason
from toe.api.settings import Settings
from toe.plan.container import words
from toe.plan.go_variables import go_names
from toe.policy.request import JudgedConfig

OPERATOR_VARIABLES = (
    "TOE_RUN",
    "TOE_TOOL",
    "TOE_NAMESPACE",
    "TOE_POD",
    "TOE_CONTAINER",
    "TOE_CONTAINER_ID",
    "TOE_DURATION",
    "TOE_WARMUP",
    "TOE_GRACE",
    "TOE_NOT_AFTER",
    "TOE_STOP_SIGNAL",
    "TOE_LIMITS",
    "TOE_MODE",
    "TOE_OUTPUT",
    "TOE_SUMMARY_MAX",
    "TOE_CA",
    "TOE_TICKET",
    "TOE_COMPRESS",
    "TOE_ROLLING",
    "TOE_FILES",
    "TOE_CLAIM",
    "TOE_CLAIM_PATH",
)
"""The variables whose values a run contributes to: the fence knows their names only."""

_DEFAULT = Settings()
_REPOSITORY = re.compile(
    r"(?:[A-Za-z0-9.:\[\]-]+/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)


def compile_catalog(configs: Iterable[JudgedConfig], settings: Settings = _DEFAULT) -> PowerToolCatalogSpec:
    """Returns the catalog of all configs of the system namespace, sorted by name; equal configs give equal catalogs.

    Configs elsewhere neither count nor make a name ambiguous; every config of the system namespace does the latter,
    whatever is wrong with it. A tool whose arguments are more than the catalog can hold is left out. The settings
    say which collector supervised tools may be given, and what the profile ``compat`` adds.
    """
    here = [judged for judged in configs if not _is_elsewhere(judged)]
    holders = Counter(judged.config.spec.name for judged in here)
    tools = [
        _tool(judged, settings)
        for judged in here
        if judged.readiness.is_ready and not judged.config.spec.suspended and holders[judged.config.spec.name] == 1
    ]
    fitting = [tool for tool in tools if tool.args is None or len(tool.args.pattern) <= MAX_PATTERN]
    return indexed(sorted(fitting, key=lambda tool: tool.name))


def indexed(tools: Sequence[CatalogTool]) -> PowerToolCatalogSpec:
    """Returns the catalog of these tools, in their order."""
    return PowerToolCatalogSpec(tools=tuple(tools), index={tool.name: at for at, tool in enumerate(tools)} or None)


def default_pull_policy(image: str) -> PullPolicy:
    """Returns what the API server writes where a container has no imagePullPolicy.

    Always for the tag ``latest``, written or implied, else IfNotPresent; a reference that it cannot read is the latter.
    Source: k8s.io/kubernetes/pkg/apis/core/v1/defaults.go, SetDefaults_Container, and pkg/util/parsers.
    """
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, ""
    if _REPOSITORY.fullmatch(head) is None:
        return "IfNotPresent"
    return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


def _is_elsewhere(judged: JudgedConfig) -> bool:
    return any(violation.reason is Reason.WRONG_NAMESPACE for violation in judged.readiness.violations)


def _tool(judged: JudgedConfig, settings: Settings) -> CatalogTool:
    config, spec = judged.config, judged.config.spec
    security, targets = spec.effective_security, spec.allowed_targets
    stated = security.capabilities
    command, fixed_args = words(config, ())
    identity, user, group = _identity(security)
    containers = targets.containers if targets else None
    return CatalogTool(
        name=spec.name,
        tier=judged.readiness.tier,
        image=spec.image,
        image_pull_policy=spec.image_pull_policy or default_pull_policy(spec.image),
        command=command,
        fixed_args=fixed_args,
        args=_arguments(spec.arguments, spec.default_args or ()),
        privileged=security.allow_privileged,
        add=(stated.add if stated else None) or (),
        drop=(stated.drop if stated else None) or (),
        seccomp_profile=security.seccomp_profile,
        identity=identity,
        user=user,
        group=group,
        allow_host_pid=security.allow_host_pid,
        image_user=settings.unknown_identity == "image" and identity in ("Target", "NonRoot"),
        env_names=(*OPERATOR_VARIABLES, *(go_names(config) if settings.go_variables else ())),
        env=tuple(CatalogEnv(variable.name, variable.value.replace("$", "$$")) for variable in spec.env or ()),
        collector=(settings.collector or None) if spec.is_supervised else None,
        claims=_claims(spec),
        all_namespaces=spec.allowed_namespaces is None,
        namespaces=spec.allowed_namespaces or (),
        all_containers=containers is None,
        containers=containers or (),
        except_containers=(targets.except_containers if targets else None) or (),
        pod_labels=_requirements(targets.pod_selector if targets else None),
    )


def _identity(security: Security) -> tuple[Identity, int | None, int | None]:
    """Returns whose ids the container has, in the order in which :func:`toe.plan.container.tool_identity` asks."""
    if security.run_as_root:
        return "Root", None, None
    if security.run_as_user is not None and security.run_as_group is not None:
        return "Fixed", security.run_as_user, security.run_as_group
    return ("NonRoot" if security.run_as_root is False else "Target"), None, None


def _claims(spec: PowerToolConfigSpec) -> tuple[CatalogClaim, ...]:
    listed = (spec.output.volumes if spec.output else None) or ()
    return tuple(CatalogClaim(claim_name=claim.claim_name, path=claim.path) for claim in listed)


def _requirements(selector: LabelSelector | None) -> tuple[LabelSelectorRequirement, ...]:
    """Returns a selector as one list: a label that must match is an ``In`` of one value."""
    if selector is None:
        return ()
    equal = [
        LabelSelectorRequirement(key=key, operator="In", values=(value,))
        for key, value in sorted((selector.match_labels or {}).items())
    ]
    return (*equal, *(selector.match_expressions or ()))


def _arguments(arguments: Arguments | None, fixed: Sequence[str]) -> CatalogArguments | None:
    """Returns the grammar word by word: which flags there are, and what every other word looks like.

    Order, repetition and number of words are the judge's, not the fence's.
    """
    if arguments is None or not (arguments.any or arguments.options or arguments.operands):
        return None
    if arguments.any:
        return CatalogArguments(any=True)
    values = [option.value for option in arguments.options if option.value is not None]
    patterns = [_value_pattern(value) for value in values]
    if arguments.operands is not None:
        patterns.append(_closed(arguments.operands.pattern))
    return CatalogArguments(
        flags=tuple(option.flag for option in arguments.options if option.flag not in fixed),
        pattern="|".join(f"(?:{pattern})" for pattern in dict.fromkeys(patterns)),
    )


def _value_pattern(value: OptionValue) -> str:
    if value.integer is not None:
        return _integer_pattern(value.integer)
    if value.enum is not None:
        return "|".join(map(re2.escape, value.enum))
    return _closed(value.pattern or "")


def _integer_pattern(bounds: IntegerRange) -> str:
    """Returns a pattern of the numbers with as many digits as the bounds; between those the judge decides."""
    if bounds.max < 0:
        return r"[^\x00-\x{10FFFF}]"
    fewest, most = len(str(max(bounds.min, 0))), len(str(bounds.max))
    several = f"[1-9][0-9]{{{fewest - 1},{most - 1}}}"
    return f"0|{several}" if bounds.min <= 0 else several


def _closed(pattern: str) -> str:
    r"""Returns a pattern that may stand inside a group: an open ``\Q`` would swallow the bracket that follows it."""
    try:
        re2.compile(f"(?:{pattern})")
    except re2.error:
        return pattern + r"\E"
    return pattern
