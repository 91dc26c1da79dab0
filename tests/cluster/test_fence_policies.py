"""Every policy of the fence but the catalog's: what it refuses, what it lets through, and that it is the one that does.

``CASES`` are attacks. Each names the policy that must refuse it and who refuses it when that policy is gone, so a test
takes the bindings away one by one and sees exactly that policy's attacks succeed and all others still fail.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pytest

from tests.builders import config_manifest
from tests.cluster.fence_tools import CATALOG, inject, live_pod, make_pod, rendered
from tests.cluster.fenced import (
    APPLY,
    CONTROLLER,
    DEVELOPER,
    MERGE,
    SYSTEM,
    TESTERS,
    WEBHOOK,
    Answer,
    Caller,
    Fenced,
    Raw,
    fenced_clusters,
    namespace,
    ours,
    path_of,
    run,
    until,
)
from toe.api.fence.canary import canary, gaps
from toe.api.fence.deletion import NAMESPACE_CONTROLLER
from toe.api.meta import API_VERSION, GROUP

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

DRY = "dryRun=All"
TOOL = "toe-peek-0123456789"
KINDS = f"/apis/{API_VERSION}/namespaces"
CATALOG_PATH = f"{KINDS}/{SYSTEM}/powertoolcatalogs/catalog"
CRD_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/powertoolcatalogs.{GROUP}"
LEASES = "/apis/coordination.k8s.io/v1/namespaces"
CLEANER = Caller(NAMESPACE_CONTROLLER)
BREAKER = Caller("oncall", (TESTERS, "fence-breakers"))
OPENER = Caller("platform", (TESTERS, "fence-openers"))
NODE = Caller("system:node:node-none", ("system:nodes", "system:authenticated"))


@pytest.fixture(scope="module", params=["newest", "oldest"])
def fenced(request: pytest.FixtureRequest) -> Iterator[Fenced]:
    """The fence in the profile standard with its objects and some of everybody else's."""
    stamped = request.param == "newest"
    with fenced_clusters(request, CATALOG, stamped=stamped) as found:
        for place in ("fence-open", "fence-shut", "kube-system", SYSTEM):
            make_pod(found, place, "web")
        make_pod(found, SYSTEM, "toe-controller-1", serviceAccountName="toe-controller")
        for name in ("run", "other"):
            until(partial(exists, found, run(name)), f"the run {name}: a kind is known to policies a moment later")
        found.server.make(a_tool())
        settle(found, cases(found))
        yield found


def settle(fenced: Fenced, attacks: "Iterable[Case]") -> None:
    """Waits until every attack is refused; those that never are have a test that says so."""
    with suppress(AssertionError):
        until(lambda: all(case.refused(fenced) for case in attacks), "every attack is refused", 10)


def a_tool(place: str = SYSTEM) -> Raw:
    """Returns a PowerToolConfig as somebody writes it."""
    metadata = {"namespace": place, "uid": None, "generation": None}
    return config_manifest(metadata)


class Case(NamedTuple):
    """Is one attack, and who must refuse it: without that policy it succeeds."""

    policy: str
    label: str
    attack: Callable[[Fenced], Answer]

    def refused(self, fenced: Fenced) -> bool:
        """Tells whether the right policy refuses it now."""
        return self.attack(fenced).policy == self.policy

    def succeeds(self, fenced: Fenced) -> bool:
        """Tells whether nothing holds it; who is let into a container fails there, since its node does not exist."""
        answer = self.attack(fenced)
        return answer.is_accepted or (self.policy == "exec" and not answer.policy)


def new(**fields: Any) -> Raw:
    """Returns a container as kubectl debug adds one."""
    return {"name": "debugger-1", "image": "busybox:1"} | fields


def peek(fenced: Fenced, place: str = "fence-open", **fields: Any) -> list[Raw]:
    """Returns what the controller would inject, with a change."""
    return [rendered("peek", live_pod(fenced, place)) | fields]


def status(
    fenced: Fenced, by: Caller, kind: str = "powertools", name: str = "run", place: str = "fence-open"
) -> Answer:
    """Writes a status."""
    path = f"{KINDS}/{place}/{kind}/{name}/status?{DRY}"
    return fenced.server.send("PATCH", path, {"status": {"observedGeneration": 7}}, MERGE, by=by)


def relabel(
    fenced: Fenced, by: Caller, label: str, value: str | None, part: str = "", name: str = "fence-shut"
) -> Answer:
    """Changes a label of a namespace."""
    body: Raw = {"metadata": {"labels": {label: value}}}
    if part == "/finalize":
        body = fenced.server.send("GET", f"/api/v1/namespaces/{name}").body
        body["metadata"]["labels"][label] = value
        return fenced.server.send("PUT", f"/api/v1/namespaces/{name}/finalize?{DRY}", body, by=by)
    return fenced.server.send("PATCH", f"/api/v1/namespaces/{name}{part}?{DRY}", body, MERGE, by=by)


def write_catalog(fenced: Fenced, by: Caller, part: str = "") -> Answer:
    """Changes the catalog."""
    body = {"metadata": {"annotations": {"x": "y"}}, "status": {"observedGeneration": 7}}
    return fenced.server.send("PATCH", f"{CATALOG_PATH}{part}?{DRY}", body, MERGE, by=by)


def write_lease(fenced: Fenced, by: Caller, place: str = SYSTEM) -> Answer:
    """Makes a lease."""
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "toe"}}
    return fenced.server.send("POST", f"{LEASES}/{place}/leases?{DRY}", lease, by=by)


def mint(fenced: Fenced, by: Caller, *, name: str = "toe-controller", place: str = SYSTEM, pod: str = "") -> Answer:
    """Asks for a token."""
    spec: Raw = {}
    if pod:
        uid = fenced.server.send("GET", f"/api/v1/namespaces/{place}/pods/{pod}").body["metadata"]["uid"]
        spec = {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return fenced.server.send("POST", f"/api/v1/namespaces/{place}/serviceaccounts/{name}/token", body, by=by)


def secret(
    fenced: Fenced, by: Caller, place: str = SYSTEM, kind: str = "kubernetes.io/service-account-token"
) -> Answer:
    """Makes a Secret, by default one that the cluster fills with a token for ever."""
    metadata = {"name": "stolen", "annotations": {"kubernetes.io/service-account.name": "toe-controller"}}
    body = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata}
    return fenced.server.send("POST", f"/api/v1/namespaces/{place}/secrets?{DRY}", body, by=by)


def enter(fenced: Fenced, by: Caller, how: str = "exec", container: str = TOOL, verb: str = "POST") -> Answer:
    """Enters a container; the pod's node does not exist, so what is let in fails behind the fence."""
    query = f"container={container}&command=id&stdin=true&stdout=true"
    return fenced.server.send(verb, f"/api/v1/namespaces/fence-open/pods/web/{how}?{query}", by=by)


def create_tool(fenced: Fenced, by: Caller, place: str) -> Answer:
    """Makes a PowerToolConfig."""
    tool = a_tool(place)
    tool["metadata"]["name"] = "mine"
    return fenced.server.send("POST", f"{KINDS}/{place}/powertoolconfigs?{DRY}", tool, by=by)


def create_namespace(fenced: Fenced, by: Caller, **labels: str) -> Answer:
    """Makes a namespace that is labelled from the start."""
    return fenced.server.send("POST", f"/api/v1/namespaces?{DRY}", namespace("fence-new", **labels), by=by)


def delete(fenced: Fenced, path: str, by: Caller = DEVELOPER) -> Answer:
    """Deletes something, without doing it."""
    return fenced.server.send("DELETE", f"{path}?{DRY}", by=by)


def restamp(fenced: Fenced, by: Caller = DEVELOPER) -> Answer:
    """Changes who asked."""
    body = {"spec": {"requester": {"username": "boss"}}}
    return fenced.server.send("PATCH", f"{KINDS}/fence-open/powertools/run?{DRY}", body, MERGE, by=by)


CASES: tuple[Case, ...] = (
    Case("catalog", "an evil image", lambda f: inject(f, peek(f, image="evil"))),
    Case("catalog", "a tool that nobody wrote down", lambda f: inject(f, peek(f, name="toe-zzz-0123456789"))),
    Case("catalog", "a container of no tool", lambda f: inject(f, [new()])),
    Case("uncovered", "kube-system", lambda f: inject(f, peek(f, "kube-system"), place="kube-system")),
    Case("uncovered", "the operator's own namespace", lambda f: inject(f, peek(f, SYSTEM), place=SYSTEM)),
    Case(
        "uncovered",
        "another account of ours in kube-system",
        lambda f: inject(f, [new()], place="kube-system", by=WEBHOOK),
    ),
    Case("catalog", "the webhook injects", lambda f: inject(f, [new()], by=WEBHOOK)),
    Case("catalog", "an account of ours that nobody knows", lambda f: inject(f, [new()], by=ours("default"))),
    Case(
        "catalog",
        "injection with a token of no pod",
        lambda f: inject(f, peek(f), by=ours("toe-controller", bound=False)),
    ),
    Case("token", "status of a run", lambda f: status(f, ours("toe-controller", bound=False))),
    Case(
        "token",
        "status of a config",
        lambda f: status(f, ours("toe-controller", bound=False), "powertoolconfigs", "aperf-config", SYSTEM),
    ),
    Case("token", "catalog", lambda f: write_catalog(f, ours("toe-webhook", bound=False))),
    Case("token", "lease", lambda f: write_lease(f, ours("toe-controller", bound=False))),
    Case("token", "lease elsewhere", lambda f: write_lease(f, ours("toe-controller", bound=False), "fence-open")),
    Case("mint", "a token for the controller", lambda f: mint(f, DEVELOPER)),
    Case("mint", "a token for itself", lambda f: mint(f, CONTROLLER)),
    Case("mint", "a token that is bound", lambda f: mint(f, DEVELOPER, pod="toe-controller-1")),
    Case("mint", "a token for the webhook", lambda f: mint(f, DEVELOPER, name="toe-webhook")),
    Case("mint", "a token for ever", lambda f: secret(f, DEVELOPER)),
    Case("writers", "a user's status of a run", lambda f: status(f, DEVELOPER)),
    Case(
        "writers",
        "a user's status of a config",
        lambda f: status(f, DEVELOPER, "powertoolconfigs", "aperf-config", SYSTEM),
    ),
    Case("writers", "the webhook's status of a run", lambda f: status(f, WEBHOOK)),
    Case("writers", "the controller's catalog", lambda f: write_catalog(f, CONTROLLER)),
    Case("writers", "the controller's status of the catalog", lambda f: write_catalog(f, CONTROLLER, "/status")),
    Case("writers", "the controller's config", lambda f: create_tool(f, CONTROLLER, SYSTEM)),
    Case("writers", "the webhook's config", lambda f: create_tool(f, WEBHOOK, SYSTEM)),
    Case(
        "writers",
        "the controller deletes a config",
        lambda f: delete(f, f"{KINDS}/{SYSTEM}/powertoolconfigs/aperf-config", CONTROLLER),
    ),
    Case("catalog", "a name of ours", lambda f: inject(f, [new(name=TOOL)], by=DEVELOPER)),
    Case("catalog", "a copy of a tool", lambda f: inject(f, peek(f), by=DEVELOPER)),
    Case(
        "uncovered",
        "a name of ours in kube-system",
        lambda f: inject(f, [new(name=TOOL)], place="kube-system", by=DEVELOPER),
    ),
    Case("exec", "exec", lambda f: enter(f, DEVELOPER)),
    Case("exec", "attach", lambda f: enter(f, DEVELOPER, "attach")),
    Case("exec", "exec as browsers do", lambda f: enter(f, DEVELOPER, verb="GET")),
    Case("exec", "the controller", lambda f: enter(f, CONTROLLER)),
    *(
        Case(
            "labels",
            f"{label} {part or 'itself'}",
            partial(relabel, by=DEVELOPER, label=label, value="true", part=part),
        )
        for label in ("toe.run/tools", "toe.run/allow-privileged-tools")
        for part in ("", "/status", "/finalize")
    ),
    Case("labels", "taken away", lambda f: relabel(f, DEVELOPER, "toe.run/tools", None, name="fence-open")),
    Case("labels", "made with it", lambda f: create_namespace(f, DEVELOPER, tools="enabled")),
    Case("place", "a config in a user's namespace", lambda f: create_tool(f, DEVELOPER, "fence-open")),
    Case("deletion", "the catalog", lambda f: delete(f, CATALOG_PATH)),
    Case("deletion", "every catalog", lambda f: delete(f, CATALOG_PATH.removesuffix("/catalog"))),
    Case("deletion", "the catalog's CRD", lambda f: delete(f, CRD_PATH)),
    Case("deletion", "the system namespace", lambda f: delete(f, f"/api/v1/namespaces/{SYSTEM}")),
)
STAMP_CASES = (Case("requester", "another requester", restamp),)


def cases(fenced: Fenced) -> tuple[Case, ...]:
    """Returns the attacks that this server's version knows."""
    return CASES + STAMP_CASES if fenced.is_newest else CASES


POLICIES = tuple(dict.fromkeys(case.policy for case in CASES + STAMP_CASES))


@pytest.mark.parametrize("case", CASES + STAMP_CASES, ids=lambda case: f"{case.policy}: {case.label}")
def test_an_attack_is_refused_by_its_policy(fenced: Fenced, case: Case) -> None:
    """Refused with 403, by the policy that promises it, in a sentence that begins with ``toe fence:``."""
    if case not in cases(fenced):
        pytest.skip("the stamp needs Kubernetes 1.36")
    assert case.refused(fenced), case.attack(fenced)


@pytest.mark.parametrize("policy", POLICIES)
def test_without_a_policy_exactly_its_own_attacks_succeed(fenced: Fenced, policy: str) -> None:
    """Taking one binding away opens what that policy promises, and nothing else."""
    if not fenced.is_newest:
        pytest.skip("the newest version proves it")
    own = [case for case in CASES + STAMP_CASES if case.policy == policy]
    others = [case for case in CASES + STAMP_CASES if case.policy != policy]
    binding = fenced.binding(policy)
    fenced.server.remove(binding)
    try:
        until(lambda: all(case.succeeds(fenced) for case in own), f"{policy} is out of force")
        held = {case.label: case.attack(fenced) for case in others if not case.refused(fenced)}
        assert not held
    finally:
        fenced.server.make(binding)
        until(lambda: all(case.refused(fenced) for case in own), f"{policy} is in force again")


def test_everybody_does_their_own_work(fenced: Fenced) -> None:
    """What each account is there for is not refused."""
    config = ("powertoolconfigs", "aperf-config", SYSTEM)
    answers = {
        "inject": inject(fenced, peek(fenced)),
        "status of a run": status(fenced, CONTROLLER),
        "status of a config": status(fenced, CONTROLLER, *config),
        "catalog": write_catalog(fenced, WEBHOOK),
        "status of the catalog": write_catalog(fenced, WEBHOOK, "/status"),
        "lease": write_lease(fenced, CONTROLLER),
        "lease of others": write_lease(fenced, Caller("kubelet"), "fence-open"),
        "debug": inject(fenced, [new()], by=DEVELOPER),
        "debug in kube-system": inject(fenced, [new()], by=DEVELOPER, place="kube-system"),
        "a name that only begins like ours": inject(fenced, [new(name="toe-my-sidecar")], by=DEVELOPER),
        "administrator's config": create_tool(fenced, DEVELOPER, SYSTEM),
        "administrator's catalog": write_catalog(fenced, DEVELOPER),
        "other secrets": secret(fenced, DEVELOPER, kind="Opaque"),
        "secrets elsewhere": secret(fenced, DEVELOPER, "fence-open"),
        "tokens elsewhere": mint(fenced, DEVELOPER, name="default", place="fence-open"),
        "the kubelet's token": mint(fenced, NODE, pod="toe-controller-1"),
        "another label": relabel(fenced, DEVELOPER, "team", "a"),
        "opening": relabel(fenced, OPENER, "toe.run/tools", "enabled"),
        "opening from the start": create_namespace(fenced, OPENER, tools="enabled"),
        "closing": relabel(fenced, OPENER, "toe.run/tools", None, name="fence-open"),
        "other namespaces": delete(fenced, "/api/v1/namespaces/fence-open"),
        "the namespace controller": delete(fenced, CATALOG_PATH, CLEANER),
        "the namespace controller's way": delete(fenced, CATALOG_PATH.removesuffix("/catalog"), CLEANER),
    }
    assert {label: answer for label, answer in answers.items() if not answer.is_accepted} == {}


@pytest.mark.parametrize("how", ["exec", "attach"])
def test_break_glass_lets_an_administrator_in(fenced: Fenced, how: str) -> None:
    """With the right the request goes on to the node; other containers never needed it."""
    for answer in (
        enter(fenced, BREAKER, how),
        enter(fenced, DEVELOPER, how, "app"),
        enter(fenced, DEVELOPER, how, "toe-app"),
    ):
        assert (answer.policy, answer.status in (400, 404, 500)) == ("", True), answer


def test_the_token_of_a_node_is_for_pods_only(fenced: Fenced) -> None:
    """What the fence leaves to nodes, Kubernetes' own NodeRestriction bounds to their pods."""
    answer = mint(fenced, NODE)
    assert answer.status == 403
    assert not answer.policy


def test_pods_with_names_like_ours_are_still_made(fenced: Fenced) -> None:
    """Names are reserved for ephemeral containers only: no existing workload stops being scheduled."""
    containers = [{"name": TOOL, "image": "x"}]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "theirs"}, "spec": {"containers": containers}}
    answer = fenced.server.send("POST", f"/api/v1/namespaces/fence-open/pods?{DRY}", body, by=DEVELOPER)
    assert answer.is_accepted, answer


def test_the_canary_dies_and_what_is_installed_is_what_was_generated(fenced: Fenced) -> None:
    """Both questions of readiness are answered yes where the fence stands."""
    for place, is_covered in (("fence-open", True), (SYSTEM, False), ("kube-system", False)):
        bird = canary(place, "web", is_covered=is_covered)
        answer = fenced.server.send("PATCH", bird.path, bird.body, bird.content_type, by=CONTROLLER)
        assert bird.is_refused(answer.status, answer.message), answer
    assert gaps(fenced.objects, installed(fenced)) == ()


def test_a_binding_without_its_policy_is_seen(fenced: Fenced) -> None:
    """Kubernetes lets everything through such a binding; the canary survives and the gap has a name."""
    policy = next(obj for obj in fenced.objects if obj["metadata"]["name"] == "toe-fence-catalog")
    fenced.server.remove(policy)
    bird = canary("fence-open", "web")

    def answer() -> Answer:
        return fenced.server.send("PATCH", bird.path, bird.body, bird.content_type, by=CONTROLLER)

    try:
        until(lambda: answer().is_accepted, "the fence is open")
        assert not bird.is_refused(answer().status, answer().message)
        assert gaps(fenced.objects, installed(fenced)) == ("ValidatingAdmissionPolicy toe-fence-catalog",)
    finally:
        fenced.server.make(policy)
        until(lambda: bird.is_refused(answer().status, answer().message), "the fence is closed again")


def exists(fenced: Fenced, made: Raw) -> bool:
    """Makes a run as a developer; tells whether it is there."""
    answer = fenced.server.send("POST", f"{KINDS}/fence-open/powertools", made, by=DEVELOPER)
    return answer.is_accepted or answer.status == 409


def installed(fenced: Fenced) -> list[Raw]:
    """Returns every object of the fence as the API server has it."""
    found = [fenced.server.send("GET", path_of(obj)) for obj in fenced.objects]
    return [answer.body for answer in found if answer.is_accepted]


def test_a_lost_catalog_refuses_everybody_until_the_binding_is_lifted(fenced: Fenced) -> None:
    """The runbook's last resort: the binding goes, and an engineer's kubectl debug works again."""
    catalog = fenced.server.send("GET", CATALOG_PATH).body
    kept = {key: catalog[key] for key in ("apiVersion", "kind", "spec")} | {
        "metadata": {"name": "catalog", "namespace": SYSTEM}
    }
    guard, binding = fenced.binding("deletion"), fenced.binding("catalog")
    fenced.server.remove(guard)
    try:
        until(lambda: fenced.server.send("DELETE", CATALOG_PATH).status in (200, 404), "the catalog is lost")
        until(lambda: not inject(fenced, [new()], by=DEVELOPER).is_accepted, "everybody is refused")
        assert not inject(fenced, peek(fenced), by=CONTROLLER).is_accepted
        fenced.server.remove(binding)
        until(lambda: inject(fenced, [new()], by=DEVELOPER).is_accepted, "debug works again")
    finally:
        fenced.server.make(kept)
        fenced.server.make(binding)
        fenced.server.make(guard)
        until(lambda: all(case.refused(fenced) for case in CASES), "everything is refused again")
        until(lambda: inject(fenced, peek(fenced)).is_accepted, "tools run again")


class TestStamp:
    """Who asked is what the API server says, whatever the caller writes."""

    SOMEBODY = Caller("ann", (TESTERS, "team-a"), {"example.com/scopes": "few", "b": "c"}, "u-17")
    FORGED: ClassVar[Raw] = {"username": "boss", "uid": "u-1", "groups": ["system:masters"], "extra": {"x": ["y"]}}

    @pytest.fixture(autouse=True)
    def _newest(self, fenced: Fenced) -> None:
        if not fenced.is_newest:
            pytest.skip("the stamp needs Kubernetes 1.36")

    @pytest.mark.parametrize("forged", [None, FORGED, {"username": "boss"}, {}])
    def test_the_caller_is_stamped(self, fenced: Fenced, forged: Raw | None) -> None:
        """Name, uid, groups and extra replace what was written, also under dry run, generateName and apply."""
        path = f"{KINDS}/fence-open/powertools"
        body = run("stamped")
        nameless = run("", generateName="stamped-")
        for made in (body, nameless):
            if forged is not None:
                made["spec"]["requester"] = forged
        del nameless["metadata"]["name"]
        answers = [
            fenced.server.send("POST", f"{path}?{DRY}", body, by=self.SOMEBODY),
            fenced.server.send("POST", f"{path}?{DRY}", nameless, by=self.SOMEBODY),
            fenced.server.send("PATCH", f"{path}/stamped?fieldManager=x&{DRY}", body, APPLY, by=self.SOMEBODY),
        ]
        wanted = {
            "username": "ann",
            "uid": "u-17",
            "groups": [TESTERS, "team-a", "system:authenticated"],
            "extra": {"example.com/scopes": ["few"], "b": ["c"]},
        }
        assert [answer.body.get("spec", {}).get("requester") for answer in answers] == [wanted] * 3, answers

    def test_toe_s_own_accounts_are_stamped_as_themselves(self, fenced: Fenced) -> None:
        """No exception that a stolen token could use to name somebody else."""
        body = run("child")
        body["spec"]["requester"] = self.FORGED
        answer = fenced.server.send("POST", f"{KINDS}/fence-open/powertools?{DRY}", body, by=CONTROLLER)
        assert answer.body["spec"]["requester"]["username"] == CONTROLLER.name, answer

    def test_a_run_without_spec_is_told_so_by_the_schema(self, fenced: Fenced) -> None:
        """The stamp does not hide what is really wrong."""
        body = run("empty")
        del body["spec"]
        answer = fenced.server.send("POST", f"{KINDS}/fence-open/powertools?{DRY}", body, by=DEVELOPER)
        assert (answer.status, "spec" in answer.message) == (422, True), answer

    def test_a_lost_stamp_fails_closed(self, fenced: Fenced) -> None:
        """Without the mutating half every creation is refused, but for one that already says who the caller is."""
        stamp = next(obj for obj in fenced.objects if obj["kind"] == "MutatingAdmissionPolicyBinding")
        path = f"{KINDS}/fence-open/powertools?{DRY}"
        fenced.server.remove(stamp)
        try:
            plain = run("plain")
            until(lambda: fenced.server.send("POST", path, plain, by=DEVELOPER).policy == "requester", "no stamp")
            whole: Raw = {"username": "ann", "uid": "u-17", "groups": [TESTERS, "team-a", "system:authenticated"]}
            extra: Raw = {"extra": {"example.com/scopes": ["few"], "b": ["c"]}}
            for forged in (
                self.FORGED,
                whole,
                whole | {"extra": {}},
                whole | extra | {"uid": ""},
                whole | extra | {"groups": []},
                whole | extra | {"username": "boss"},
            ):
                plain["spec"]["requester"] = forged
                assert fenced.server.send("POST", path, plain, by=self.SOMEBODY).policy == "requester", forged
            plain["spec"]["requester"] = whole | extra
            assert fenced.server.send("POST", path, plain, by=self.SOMEBODY).is_accepted
        finally:
            fenced.server.make(stamp)
            del plain["spec"]["requester"]
            until(lambda: fenced.server.send("POST", path, plain, by=DEVELOPER).is_accepted, "stamped again")
