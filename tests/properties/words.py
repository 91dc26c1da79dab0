"""What is drawn: any JSON, runs with foreign fields at every depth, configs of every kind of security."""

from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.builders import Raw, config_manifest, powertool_manifest
from toe.api.powertool import SECURITY_FIELDS
from toe.policy.capabilities import BY_NAME

TEMPTING = (
    *SECURITY_FIELDS,
    "allowPrivileged",
    "allowHostPID",
    "capabilities",
    "add",
    "runAsUser",
    "runAsGroup",
    "runAsRoot",
    "runAsNonRoot",
    "allowPrivilegeEscalation",
    "seccompProfile",
    "seccomp_profile",
    "host_pid",
    "hostNetwork",
    "volumeMounts",
    "ports",
    "envFrom",
    "targetContainerName",
    "ephemeralContainers",
    "containers",
    "defaultArgs",
    "supervised",
    "limits",
    "podTemplate",
    "overrides",
    "nodeName",
    "__class__",
)
"""Names that an attacker tries."""

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=12)
)
any_json = st.recursive(
    scalars | st.sampled_from([0, True, "ALL", "SYS_ADMIN", {"add": ["SYS_ADMIN"]}, {"privileged": True}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(TEMPTING), inner, max_size=2),
    max_leaves=3,
)
foreign = st.dictionaries(st.sampled_from(TEMPTING) | st.text(min_size=1, max_size=8), any_json, max_size=2)
words = st.text(st.sampled_from("$(){}abcTOE_RUN-@=. \n\0é"), max_size=12) | st.text(max_size=12)


@st.composite
def runs(draw: st.DrawFn) -> Raw:
    """Draws a run with foreign fields in the object and in every part of it."""
    raw = powertool_manifest()
    spec = raw["spec"]
    for part in (raw, raw["metadata"], spec, spec["targets"], spec["targets"]["labelSelector"], spec["tool"]):
        part.update({key: value for key, value in draw(foreign).items() if key not in part})
    if draw(st.booleans()):
        spec["output"] = draw(foreign)
    if draw(st.booleans()):
        raw["status"] = draw(foreign)
    spec["tool"]["args"] = draw(st.lists(words, max_size=4))
    spec["tool"]["duration"] = draw(st.sampled_from(["1s", "30s", "$(A)", "x" * 32]) | words)
    if draw(st.booleans()):
        spec["tool"]["warmup"] = draw(words)
    if draw(st.booleans()):
        spec["tool"]["maxCPUPercent"] = draw(st.integers(1, 200))
    raw["metadata"]["name"] = draw(words)
    raw["metadata"]["uid"] = draw(words)
    raw["metadata"]["annotations"] = draw(st.dictionaries(st.sampled_from(TEMPTING), words, max_size=2))
    return raw


def a_random_value(random: Random, depth: int = 3) -> Any:
    """Returns any JSON, often what an attacker would try."""
    match random.randrange(8 if depth else 6):
        case 0:
            return random.choice([None, True, False])
        case 1:
            return random.choice([0, 1, -1, 2**31, 2**63 - 1, 0.5])
        case 2 | 3:
            return random.choice(["ALL", "SYS_ADMIN", "evil:latest", "$(HOME)", "", "\x1b[2J", "é" * 9])
        case 4:
            return {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}
        case 5:
            return [{"name": "root", "hostPath": {"path": "/"}}]
        case 6:
            return [a_random_value(random, depth - 1) for _ in range(random.randrange(3))]
        case _:
            return {random.choice(TEMPTING): a_random_value(random, depth - 1) for _ in range(random.randrange(4))}


def a_random_run(random: Random) -> Raw:
    """Returns a run with foreign fields in the object and in every part of it, one of each at least."""
    raw = powertool_manifest(output={"mode": "ephemeral"})
    spec = raw["spec"]
    raw["status"] = {}
    parts = (
        raw,
        raw["metadata"],
        spec,
        spec["targets"],
        spec["targets"]["labelSelector"],
        spec["tool"],
        spec["output"],
    )
    for part in (*parts, raw["status"]):
        for _ in range(random.randrange(1, 4)):
            part.setdefault(random.choice(TEMPTING), a_random_value(random))
    spec["tool"]["args"] = [str(a_random_value(random, 0)) for _ in range(random.randrange(4))]
    return raw


capability_lists = st.lists(st.sampled_from(sorted(BY_NAME)), max_size=4, unique=True)


@st.composite
def securities(draw: st.DrawFn) -> Raw:
    """Draws a security that the schema accepts."""
    raw: Raw = {
        "allowPrivileged": draw(st.booleans()),
        "allowHostPID": draw(st.booleans()),
        "seccompProfile": draw(st.sampled_from(["RuntimeDefault", "Unconfined"])),
    }
    if draw(st.booleans()):
        drop = draw(st.lists(st.sampled_from(["ALL", *sorted(BY_NAME)]), max_size=3, unique=True))
        raw["capabilities"] = {"add": draw(capability_lists), "drop": drop}
    identity = draw(st.sampled_from(["root", "not root", "ids", "target"]))
    if identity in ("root", "not root"):
        raw["runAsRoot"] = identity == "root"
    if identity == "ids":
        raw |= {"runAsUser": draw(st.integers(0, 2000)), "runAsGroup": draw(st.integers(0, 2000))}
    return raw


@st.composite
def configs(draw: st.DrawFn) -> Raw:
    """Draws a config that the schema accepts."""
    texts = st.text(st.sampled_from("$(){}abTOE -"), min_size=1, max_size=8)
    command = draw(st.none() | st.lists(texts, min_size=1, max_size=3))
    difference: dict[str, Any] = {
        "command": command,
        "security": draw(securities()),
        "defaultArgs": draw(st.lists(texts, max_size=3)),
        "env": draw(st.lists(st.builds(lambda v: {"name": "LANG", "value": v}, texts), max_size=1)),
        "arguments": {"any": True},
        "stopSignal": draw(st.sampled_from(["SIGINT", "SIGTERM"])),
        "imagePullPolicy": draw(st.sampled_from([None, "Always", "Never"])),
    }
    if command is not None:
        difference["supervised"] = draw(st.sampled_from([None, True, False]))
    return config_manifest(**difference)
