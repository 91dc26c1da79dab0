"""What the controller may inject: exactly what an administrator wrote down, asked of a real API server."""

import json
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from tests.cluster.fence_tools import (
    ARGUMENTS,
    CATALOG,
    KINDS,
    TOOLS,
    Mutant,
    inject,
    live_pod,
    make_pod,
    mutants,
    pod_status,
    rendered,
)
from tests.cluster.fenced import (
    DEVELOPER,
    MERGE,
    SYSTEM,
    WEBHOOK,
    Answer,
    Fenced,
    Raw,
    fenced_clusters,
    until,
)
from tests.fence_model import as_sent, broken
from toe.api.meta import API_VERSION
from toe.plan.catalog import default_pull_policy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["newest", "oldest"])
def fenced(request: pytest.FixtureRequest) -> Iterator[Fenced]:
    """The fence in the profile standard, on the newest and on the oldest Kubernetes that toe runs on."""
    with fenced_clusters(request, CATALOG) as found:
        for place in ("fence-open", "fence-plain", "fence-shut", "kube-system"):
            make_pod(found, place, "web")
        for name, (spec, users) in PODS.items():
            make_pod(found, "fence-open", name, users, **spec)
        make_pod(found, "fence-open", "nobody")
        path = "/api/v1/namespaces/fence-open/pods/nobody/status"
        found.server.send("PATCH", path, {"status": {"containerStatuses": None}}, MERGE)
        until(lambda: inject(found, [{"name": "x", "image": "x"}]).policy == "catalog", "the fence is in force")
        yield found


PODS: dict[str, tuple[Raw, dict[str, tuple[int, int]]]] = {
    "node": ({"hostPID": True}, {}),
    "root": ({}, {"app": (0, 0)}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_what_the_controller_renders_is_accepted(fenced: Fenced, tool: str, kind: str) -> None:
    """The rendered container of every kind of tool passes, whichever way it is sent."""
    live = live_pod(fenced)
    answer = inject(fenced, [rendered(tool, live)], kind=kind, live=live)
    assert answer.is_accepted, answer


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_every_changed_field_is_stopped_by_the_layer_that_should(fenced: Fenced, tool: str) -> None:
    """One field off and the catalog's policy refuses, or the API does, or the API drops it; the model says the same."""
    live = live_pod(fenced)
    base = rendered(tool, live)
    accepted = inject(fenced, [base], live=live).body["spec"]["ephemeralContainers"][-1]
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    # On the oldest version a sample: one of six, so that each way of sending is in it.
    every = 1 if fenced.is_newest else 6
    for number, mutant in list(enumerate(mutants(base, TOOLS[tool])))[::every]:
        kind = KINDS[number % len(KINDS)]
        answer = inject(fenced, [mutant.container], kind=kind, live=live)
        counts[mutant.layer] += 1
        if complaint := _complaint(mutant, answer, accepted, live):
            wrong.append(f"{mutant.label} ({kind}): {complaint}")
    assert not wrong, f"{len(wrong)} of {counts.total()}:\n" + "\n".join(wrong)
    assert counts["fence"] > 150 / every, counts


def _complaint(mutant: Mutant, answer: Answer, accepted: Raw, live: Raw) -> str:
    if answer.status == 500 and ("not declared in schema" in answer.message or "duplicate entries" in answer.message):
        return ""  # server-side apply refuses what the other ways drop or let through to the fence
    match mutant.layer:
        case "fence":
            model = broken(
                TOOLS, as_sent(mutant.container), live, "fence-open", {"toe.run/allow-privileged-tools": "true"}
            )
            return "" if answer.policy == "catalog" and model else f"{answer}, the model says {model}"
        case "api":
            is_theirs = answer.status in (400, 404, 422) and not answer.policy
            # What a version does not know yet it drops, where a later one refuses it.
            return "" if is_theirs or _is_dropped(answer, accepted) else f"{answer}: {_stored(answer)}"
        case "dropped":
            return "" if _is_dropped(answer, accepted) else str(answer)
        case "open":
            return "" if answer.is_accepted else str(answer)


def _stored(answer: Answer) -> Raw:
    stored = (answer.body.get("spec") or {}).get("ephemeralContainers") or [{}]
    last: Raw = stored[-1]
    return last


def _is_dropped(answer: Answer, accepted: Raw) -> bool:
    """Tells whether the API server took the container without what was added to it."""
    return answer.is_accepted and _stored(answer) == accepted


def test_the_target_is_one_that_the_tool_may_join(fenced: Fenced) -> None:
    """Listed containers and sidecars are joined, excepted ones, init containers and others are not."""
    live = live_pod(fenced)
    assert not inject(fenced, [rendered("careful", live, container="app")]).policy
    for tool, container in [("careful", "vault"), ("loose", "vault"), ("trace", "setup")]:
        changed = rendered(tool, live) | {"targetContainerName": container}
        answer = inject(fenced, [changed])
        assert answer.policy == "catalog", (tool, container, answer)
        assert "may not join this container" in answer.message


def test_the_identity_is_the_one_that_the_kubelet_reported(fenced: Fenced) -> None:
    """The identity of one container does not do for another, and NonRoot never joins a root target."""
    live = live_pod(fenced)
    for tool in ("peek", "loose"):
        mine = rendered(tool, live)
        assert inject(fenced, [mine]).is_accepted
        assert inject(fenced, [mine | {"targetContainerName": "rooted"}]).policy == "catalog"
        assert inject(fenced, [rendered(tool, live, container="rooted")]).is_accepted
    root = live_pod(fenced, name="root")
    assert inject(fenced, [rendered("careful", root)], name="root").policy == "catalog"


def test_where_the_kubelet_reports_no_user_the_pod_says_it_or_nobody(fenced: Fenced) -> None:
    """The fall-back is the judge's: container first, then pod, uid and gid apart; without both nothing is accepted."""
    stated: dict[str, tuple[Raw, Raw, tuple[int, int] | None]] = {
        "whole": ({"runAsUser": 7, "runAsGroup": 8}, {}, (7, 8)),
        "own": ({"runAsUser": 7, "runAsGroup": 8}, {"runAsUser": 9}, (9, 8)),
        "half": ({}, {"runAsUser": 9}, None),
        "none": ({}, {}, None),
    }
    for name, (whole, own, expected) in stated.items():
        containers = [{"name": "app", "image": "shop:1", "securityContext": own}]
        make_pod(fenced, "fence-open", name, None, containers=containers, securityContext=whole, initContainers=[])
        path = f"/api/v1/namespaces/fence-open/pods/{name}/status"
        silent = {"status": {"phase": "Running", "containerStatuses": None}}
        assert fenced.server.send("PATCH", path, silent, MERGE).is_accepted
        base = rendered("peek", live_pod(fenced))
        for uid, gid in [(7, 8), (9, 8), (9, 0), (0, 0), (1000, 1001)]:
            base["securityContext"] |= {"runAsUser": uid, "runAsGroup": gid, "runAsNonRoot": uid != 0}
            answer = inject(fenced, [base], name=name)
            assert answer.is_accepted if (uid, gid) == expected else answer.policy == "catalog", (
                name,
                uid,
                gid,
                answer,
            )


@pytest.mark.parametrize("kind", ["strategic", "merge", "apply", "put"])
def test_facts_about_the_pod_cannot_be_forged_in_the_request(fenced: Fenced, kind: str) -> None:
    """The fence reads the pod as it was: a request that changes status, labels, volumes or hostPID gains nothing."""
    live = live_pod(fenced)
    as_root = rendered("peek", live)
    as_root["securityContext"] |= {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
    forged = pod_status(app=(0, 0))
    assert inject(fenced, [as_root], kind=kind, live=live, **forged).policy == "catalog"
    node = live_pod(fenced, name="node")
    answer = inject(fenced, [rendered("peek", node)], name="node", kind=kind, live=node, spec={"hostPID": False})
    assert answer.policy == "catalog", answer
    mount = rendered("keep", live) | {"volumeMounts": [{"name": "host", "mountPath": "/results"}]}
    volume = {"volumes": [{"name": "host", "persistentVolumeClaim": {"claimName": "results"}}]}
    assert not inject(fenced, [mount], kind=kind, live=live, spec=volume).is_accepted


def test_the_node_s_processes_are_entered_by_permission_only(fenced: Fenced) -> None:
    """A pod with hostPID is closed to tools without allowHostPID, and open to one that has it."""
    node = live_pod(fenced, name="node")
    assert inject(fenced, [rendered("deep", node)], name="node").is_accepted
    answer = inject(fenced, [rendered("trace", node)], name="node")
    assert (answer.policy, "hostPID" in answer.message) == ("catalog", True)


def test_a_tool_stays_in_its_namespaces(fenced: Fenced) -> None:
    """Listed namespaces only; a privileged tool also needs the label that the platform sets."""
    live = live_pod(fenced, "fence-plain")
    assert inject(fenced, [rendered("peek", live)], place="fence-plain").is_accepted
    answer = inject(fenced, [rendered("careful", live)], place="fence-plain")
    assert (answer.policy, "not allowed in this namespace" in answer.message) == ("catalog", True), answer
    answer = inject(fenced, [rendered("deep", live)], place="fence-plain")
    assert answer.policy == "catalog"
    assert "toe.run/allow-privileged-tools=true" in answer.message


@pytest.mark.parametrize(("label", "value"), [("app", "api"), ("app", None), ("tier", "db"), ("secret", "yes")])
def test_a_tool_stays_in_the_pods_of_its_selector(fenced: Fenced, label: str, value: str | None) -> None:
    """allowedTargets.podSelector holds in the API server too."""
    name = f"pod-{label}-{value}".lower()
    make_pod(fenced, "fence-open", name)
    live = live_pod(fenced, name=name)
    assert inject(fenced, [rendered("careful", live)], name=name).is_accepted
    path = f"/api/v1/namespaces/fence-open/pods/{name}"
    assert fenced.server.send("PATCH", path, {"metadata": {"labels": {label: value}}}, MERGE).is_accepted
    assert inject(fenced, [rendered("careful", live)], name=name).policy == "catalog"


def test_one_container_a_request(fenced: Fenced) -> None:
    """Two good ones together are refused, whichever way."""
    live = live_pod(fenced)
    for kind in KINDS:
        answer = inject(fenced, [rendered("peek", live), rendered("trace", live)], kind=kind, live=live)
        assert (answer.policy, "one tool container in a request" in answer.message) == ("catalog", True), (kind, answer)


def test_a_pod_has_room_for_so_many_tools(fenced: Fenced) -> None:
    """The sixteenth container is accepted, the seventeenth is not; a request that changes nothing always is."""
    make_pod(fenced, "fence-open", "full")
    for number in range(16):
        live = live_pod(fenced, name="full")
        new = rendered("peek", live) | {"name": f"toe-peek-{number:010x}"}
        kind = KINDS[number % len(KINDS)]
        answer = inject(fenced, [new], name="full", kind=kind, live=live, dry=False)
        assert answer.is_accepted, (number, kind, answer)
    live = live_pod(fenced, name="full")
    assert len(live["spec"]["ephemeralContainers"]) == 16
    for kind in KINDS:
        answer = inject(fenced, [rendered("peek", live)], name="full", kind=kind, live=live)
        assert (answer.policy, "at most 16" in answer.message) == ("catalog", True), (kind, answer)
    for kind in ("strategic", "merge", "put"):
        assert inject(fenced, [], name="full", kind=kind, live=live).is_accepted, kind


def test_a_pod_that_is_not_running_is_left_alone(fenced: Fenced) -> None:
    """No tool waits in a pod that has not started or has ended."""
    make_pod(fenced, "fence-open", "ended")
    live = live_pod(fenced, name="ended")
    path = "/api/v1/namespaces/fence-open/pods/ended/status"
    assert fenced.server.send("PATCH", path, {"status": {"phase": "Succeeded"}}, MERGE).is_accepted
    answer = inject(fenced, [rendered("peek", live)], name="ended")
    assert (answer.policy, "Running" in answer.message) == ("catalog", True)


@pytest.mark.parametrize(
    ("tool", "args", "is_accepted"),
    [
        ("dump", ["-c", "100000"], True),
        ("dump", ["-c", "1000000"], True),  # a word is judged alone, and this one is a good operand
        ("dump", ["host/a:b.c"], True),
        ("dump", ["-n", "-n"], True),
        ("dump", ["-w"], False),
        ("dump", ["-i"], False),
        ("dump", ["a_b"], False),
        ("dump", ["-a"], False),
        ("peek", ["-e", "trace"], True),
        ("peek", ["traced"], False),
        ("peek", ["$al"], False),
        ("trace", ["x"], False),
        ("fixed", [""], False),
        ("loose", ["a\nb", "-z", "@f"], True),
        ("loose", ["--user-args--"], False),
    ],
)
def test_arguments_are_judged_word_by_word(fenced: Fenced, tool: str, args: list[str], is_accepted: bool) -> None:
    """A flag is a listed flag; an operand pattern that accepts ``-`` does not let a flag in."""
    live = live_pod(fenced)
    answer = inject(fenced, [rendered(tool, live, args=args)], live=live)
    assert answer.is_accepted if is_accepted else answer.policy == "catalog", answer


def test_long_arguments_stay_within_the_cost_of_an_expression(fenced: Fenced) -> None:
    """64 words of 256 characters pass a real grammar: CEL's limit is no limit of ours in practice."""
    live = live_pod(fenced)
    words = ["a" * 256] * 64
    answer = inject(fenced, [rendered("dump", live, args=words)], live=live)
    assert answer.is_accepted, answer
    assert ARGUMENTS["dump"]


def test_the_audit_log_says_which_run_and_tool_it_was(fenced: Fenced) -> None:
    """The API server's own log names run, tool and tier of every injection."""
    make_pod(fenced, "fence-open", "told")
    live = live_pod(fenced, name="told")
    assert inject(fenced, [rendered("dump", live)], name="told", live=live, dry=False).is_accepted
    wanted = {"run": "profile-web", "tool": "dump", "tier": TOOLS["dump"].tier}

    def is_told() -> bool:
        lines = [line for line in fenced.cluster.audit_log.read_text().splitlines() if "/pods/told/" in line]
        told = [json.loads(line).get("annotations", {}) for line in lines]
        return any({key: note.get(f"toe-fence-catalog/{key}") for key in wanted} == wanted for note in told)

    until(is_told, "the audit log tells of the injection")


def test_the_images_user_is_for_targets_that_nobody_knows(fenced: Fenced) -> None:
    """Profile compat: no ids at all, and only there; that a tool is not root is still stated where its config says."""
    nobody, known = live_pod(fenced, name="nobody"), live_pod(fenced)
    for tool, is_not_root in (("legacy", False), ("modest", True)):
        base = rendered(tool, nobody)
        security = base["securityContext"]
        assert not {"runAsUser", "runAsGroup"} & set(security)
        assert inject(fenced, [base], live=nobody, name="nobody").is_accepted
        for change in (
            {"runAsNonRoot": not is_not_root},
            {"runAsUser": 0},
            {"runAsUser": 0, "runAsGroup": 0},
            {"runAsGroup": 0},
            {"runAsUser": 1000, "runAsGroup": 1001},
        ):
            changed = base | {"securityContext": security | change}
            assert inject(fenced, [changed], live=nobody, name="nobody").policy == "catalog", (tool, change)
            assert broken(TOOLS, as_sent(changed), nobody, "fence-open", {})
        assert inject(fenced, [base], live=known).policy == "catalog"
    without = rendered("peek", known)
    without["securityContext"] = {
        key: value for key, value in without["securityContext"].items() if key not in ("runAsUser", "runAsGroup")
    }
    assert inject(fenced, [without], live=nobody, name="nobody").policy == "catalog"


@pytest.mark.parametrize("index", [None, {}, {"peek": 0, "trace": 255}, {"peek": 3, "trace": 0}], ids=str)
def test_an_index_that_is_wrong_costs_time_only(fenced: Fenced, index: dict[str, int] | None) -> None:
    """Neither a missing one nor one that points elsewhere lets another tool's container in, or keeps the tool's out."""
    live = live_pod(fenced)
    path = f"/apis/{API_VERSION}/namespaces/{SYSTEM}/powertoolcatalogs/catalog"
    marked = [tool | ({"image": "seen"} if tool["name"] == "fixed" else {}) for tool in CATALOG["spec"]["tools"]]
    try:
        for stored in (None, index):
            assert fenced.server.send("PATCH", path, {"spec": {"tools": marked, "index": stored}}, MERGE).is_accepted
        new = rendered("fixed", live) | {"image": "seen", "imagePullPolicy": "IfNotPresent"}
        until(lambda: inject(fenced, [new]).is_accepted, "the API server has this catalog")
        for tool in ("peek", "trace"):
            assert inject(fenced, [rendered(tool, live)]).is_accepted
            assert inject(fenced, [rendered(tool, live) | {"image": TOOLS["fixed"].image}]).policy == "catalog"
        other = rendered("trace", live) | {"name": rendered("peek", live)["name"]}
        assert inject(fenced, [other]).policy == "catalog"
    finally:
        fenced.server.send("PATCH", path, {"spec": {"index": None}}, MERGE)
        assert fenced.server.send("PATCH", path, CATALOG, MERGE).is_accepted
        until(lambda: inject(fenced, [rendered("fixed", live)]).is_accepted, "the catalog is back")


def test_every_namespace_that_is_not_protected_is_covered(fenced: Fenced) -> None:
    """Under the profile standard no label is needed, and no label takes a namespace out of the fence."""
    live = live_pod(fenced, "fence-shut")
    assert inject(fenced, [rendered("peek", live)], place="fence-shut").is_accepted
    assert inject(fenced, [rendered("peek", live) | {"image": "evil"}], place="fence-shut").policy == "catalog"


def test_the_pull_policy_of_a_config_that_states_none_is_the_server_s(fenced: Fenced) -> None:
    """What the catalog says about an image is what the API server writes for it."""
    images = (
        "aperf",
        "aperf:latest",
        "aperf:1",
        "r.example:5000/a/b",
        "r.example/a:latest@sha256:" + "0" * 64,
        "Aperf",
    )
    for image in images:
        stored = inject(fenced, [{"name": "debugger-1", "image": image}], by=DEVELOPER).body
        written = stored["spec"]["ephemeralContainers"][-1]["imagePullPolicy"]
        assert written == default_pull_policy(image), image


def test_the_largest_catalog_that_the_schema_accepts_is_accepted(fenced: Fenced) -> None:
    """256 tools, each with every list in use: the bounds hold on a real server, and one tool more is refused."""
    full = msgspec.to_builtins({"spec": {"tools": [TOOLS["careful"]] * 257}})
    for number, tool in enumerate(full["spec"]["tools"]):
        full["spec"]["tools"][number] = tool | {"name": f"tool-{number}"}
    path = f"/apis/{API_VERSION}/namespaces/{SYSTEM}/powertoolcatalogs/catalog?dryRun=All"
    answer = fenced.server.send("PATCH", path, full, MERGE, by=WEBHOOK)
    assert (answer.status, "257" in answer.message) == (422, True), answer
    full["spec"]["tools"].pop()
    assert fenced.server.send("PATCH", path, full, MERGE, by=WEBHOOK).is_accepted
