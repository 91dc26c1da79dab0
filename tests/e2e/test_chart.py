"""The chart on a real node: installed, upgraded under load, its pods killed, its authorities rolled over, removed."""

import asyncio
import base64
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from charts import manifests, rights
from devcluster import Cluster
from examples.shop import demo
from tests.cluster.rest import Object, RefusedError, Rest, runs
from tests.e2e.nodes import node_for_the_operator
from toe.api.settings import Settings
from toe.policy.duties import DUTIES

pytestmark = [pytest.mark.node, pytest.mark.timeout(700)]

SYSTEM = "toe-system"
LOAD = "load"
PARTS = ("controller", "webhook", "collector", "apiserver")
TARGETS = 24
"""Pods that runs are spread over: each takes 16 tool containers over its life."""
PORTS = {"toe-controller": {8081, 8443}, "toe-webhook": {8443}, "toe-collector": {8443}, "toe-apiserver": {8443}}
POD_NAME = "statefulset.kubernetes.io/pod-name"
OF_THE_DEFINITIONS = "apiservice.apiregistration.k8s.io/v1alpha1.codriverlabs.ai.toe.run"
"""Kubernetes has it as long as the definitions are there."""
KINDS = (
    "all,pvc,secrets,configmaps,serviceaccounts,roles,rolebindings,leases,networkpolicies,poddisruptionbudgets,"
    "clusterroles,clusterrolebindings,apiservices,validatingwebhookconfigurations,mutatingwebhookconfigurations,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,"
    "mutatingadmissionpolicybindings,priorityclasses,persistentvolumes"
)


@pytest.fixture(scope="module")
def image() -> Iterator[tuple[Cluster, str]]:
    """A node of its own with toe's image and targets that tools may join."""
    with node_for_the_operator("toe-chart-test") as found:
        yield found


@pytest.fixture(scope="module")
def installed_chart(image: tuple[Cluster, str]) -> Cluster:
    """The chart as it is installed by Helm, two of each part, and targets for a load of runs."""
    cluster, operator = image
    install(cluster, operator)
    demo.apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LOAD}}, targets())
    targets_are_ready(cluster)
    return cluster


def install(cluster: Cluster, operator: str) -> None:
    demo.install(cluster, operator)
    config = demo.tool_configs("strace")[0]
    config["spec"]["allowedNamespaces"] = [LOAD]
    demo.apply(cluster, config)
    name = config["metadata"]["name"]
    cluster.kubectl("wait", "--for=condition=Ready", f"ptc/{name}", "-n", SYSTEM, "--timeout=30s")


def targets() -> Object:
    """Returns pods that do nothing, for tools to join."""
    container = {
        "name": "app",
        "image": "localhost/toe/shop:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import time; time.sleep(1e9)"],
        "securityContext": {"runAsUser": 10001, "runAsGroup": 10001},
    }
    pod = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [container]}
    labels = {"app": "shop"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "shop", "namespace": LOAD},
        "spec": {
            "replicas": TARGETS,
            "serviceName": "shop",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def helm(cluster: Cluster, *words: str) -> str:
    """Upgrades the release with the values that it has and these, and waits until every part is ready."""
    chart = (str(demo.CHART), "--namespace", SYSTEM, "--reuse-values", "--wait", "--timeout", "120s")
    return cluster.helm("upgrade", "toe", *chart, *words, seconds=150)


@pytest.fixture
async def rest(installed_chart: Cluster) -> AsyncIterator[Rest]:
    async with Rest.of(installed_chart.kubeconfig) as found:
        yield found


class Load:
    """Creates runs at a pace, as people do: what is refused for a moment is typed once more."""

    def __init__(self, rest: Rest, prefix: str, pods: list[str], each: float) -> None:
        self.rest, self.prefix, self.pods, self.each = rest, prefix, pods, each
        self.made: list[str] = []
        self.typed_again = 0

    async def go(self) -> None:
        """Goes on until it is cancelled."""
        began = time.monotonic()
        while True:
            await self._create(f"{self.prefix}-{len(self.made)}")
            await asyncio.sleep(max(0.0, began + len(self.made) * self.each - time.monotonic()))

    async def _create(self, name: str) -> None:
        pod = self.pods[len(self.made) % len(self.pods)]
        spec = {
            "targets": {"labelSelector": {"matchLabels": {POD_NAME: pod}}, "container": "app"},
            "tool": {"name": "strace", "duration": "1s"},
            "output": {"mode": "collector"},
        }
        body = {
            "apiVersion": "codriverlabs.ai.toe.run/v1alpha1",
            "kind": "PowerTool",
            "metadata": {"name": name},
            "spec": spec,
        }
        for _ in range(20):
            try:
                await self.rest.create(runs(LOAD), body)
            except RefusedError as error:
                if error.status not in (500, 503, 504):  # the webhook that was asked is gone: another one answers
                    raise
                self.typed_again += 1
                await asyncio.sleep(0.5)
            else:
                break
        self.made.append(name)

    async def outcomes(self, seconds: float = 300) -> dict[str, str]:
        """Waits until every run has ended; returns how."""
        end = time.monotonic() + seconds
        while True:
            found = {run["metadata"]["name"]: run for run in (await self.rest.get(runs(LOAD)))["items"]}
            phases = {name: found[name].get("status", {}).get("phase", "") for name in self.made}
            if all(phase in ("Completed", "Failed", "Canceled", "PartiallyFailed") for phase in phases.values()):
                return {name: _outcome(found[name]) for name in self.made}
            assert time.monotonic() < end, {name: phase for name, phase in phases.items() if phase != "Completed"}
            await asyncio.sleep(0.5)


def _outcome(run: Object) -> str:
    """Returns the phase, how many files were kept, and what a person would read if it went wrong."""
    status = run["status"]
    if status["phase"] == "Completed":
        return "Completed"
    return f"{status['phase']}: {[c for c in status['conditions'] if c['type'] == 'Completed']}"


async def loaded(rest: Rest, prefix: str, each: float, during: Callable[[], Awaitable[Any]]) -> Load:
    """Runs something while tools are asked for at a pace; returns the load, which goes on for five seconds more."""
    found = (await rest.get(f"/api/v1/namespaces/{LOAD}/pods", labelSelector="app=shop"))["items"]
    load = Load(rest, prefix, [pod["metadata"]["name"] for pod in found], each)
    work = asyncio.create_task(load.go())
    try:
        await asyncio.sleep(2)
        await during()
        await asyncio.sleep(5)
        assert not work.done(), work.exception()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    return load


async def fresh_targets(cluster: Cluster) -> None:
    """Gives the load pods without tool containers."""
    await asyncio.to_thread(cluster.kubectl, "delete", "pods", "-n", LOAD, "--all", "--force", "--grace-period=0")
    await asyncio.to_thread(targets_are_ready, cluster)


def targets_are_ready(cluster: Cluster) -> None:
    cluster.kubectl("rollout", "status", "statefulset/shop", "-n", LOAD, "--timeout=90s", seconds=100)


async def test_a_rolling_upgrade_under_load_fails_no_run(installed_chart: Cluster, rest: Rest) -> None:
    """Five runs a second while every part gets new pods: all are Completed, and one container was added for each."""
    await fresh_targets(installed_chart)
    roll = f"--set-string=pods.annotations.roll={time.time_ns()}"
    load = await loaded(rest, f"roll-{time.time_ns():x}", 0.2, lambda: asyncio.to_thread(helm, installed_chart, roll))
    outcomes = await load.outcomes()
    assert set(outcomes.values()) == {"Completed"}, {n: o for n, o in outcomes.items() if o != "Completed"}
    assert len(outcomes) > 40
    await _one_container_for_each(rest, load.made)


async def test_killing_any_pod_at_any_moment_loses_no_run(installed_chart: Cluster, rest: Rest) -> None:
    """One pod of a part after the other, without a moment of grace, while tools are asked for."""
    await fresh_targets(installed_chart)
    chance = random.Random(6)

    async def kill() -> None:
        for part in (*PARTS, *PARTS):
            found = await rest.get(
                f"/api/v1/namespaces/{SYSTEM}/pods", labelSelector=f"app.kubernetes.io/name=toe-{part}"
            )
            victim = chance.choice(sorted(pod["metadata"]["name"] for pod in found["items"]))
            await rest.delete(f"/api/v1/namespaces/{SYSTEM}/pods/{victim}", grace=0)
            await asyncio.sleep(chance.uniform(1.0, 5.0))

    load = await loaded(rest, f"kill-{time.time_ns():x}", 0.5, kill)
    outcomes = await load.outcomes()
    assert set(outcomes.values()) == {"Completed"}, {n: o for n, o in outcomes.items() if o != "Completed"}
    await _one_container_for_each(rest, load.made)


async def _one_container_for_each(rest: Rest, made: list[str]) -> None:
    counted = Counter(
        variable["value"]
        for pod in (await rest.get(f"/api/v1/namespaces/{LOAD}/pods"))["items"]
        for container in pod["spec"].get("ephemeralContainers", ())
        for variable in container["env"]
        if variable["name"] == "TOE_RUN"
    )
    assert {name: counted[name] for name in made} == dict.fromkeys(made, 1)


def _secret(cluster: Cluster, name: str, key: str) -> str:
    text = cluster.kubectl(
        "get", "secret", name, "-n", SYSTEM, "-o", f"jsonpath={{.data.{key.replace('.', chr(92) + '.')}}}"
    )
    return base64.b64decode(text).decode()


async def test_an_upgrade_keeps_keys_and_another_generation_rolls_them_over(
    installed_chart: Cluster, rest: Rest
) -> None:
    """Under load: both authorities are trusted, tools that were started before still deliver, nothing fails."""
    await fresh_targets(installed_chart)
    before = {part: _secret(installed_chart, f"toe-{part}-ca", "ca.crt") for part in PARTS}
    helm(installed_chart)
    assert before == {part: _secret(installed_chart, f"toe-{part}-ca", "ca.crt") for part in PARTS}
    ticket = _secret(installed_chart, "toe-ticket-key", "ticket.crt")
    other = str(time.time_ns())

    async def roll_over() -> None:
        flags = (f"--set-string=certificates.generation={other}", f"--set-string=tickets.generation={other}")
        await asyncio.to_thread(helm, installed_chart, *flags)
        await asyncio.sleep(70)  # a kubelet shows a mounted Secret's change within about a minute

    load = await loaded(rest, f"ca-{time.time_ns():x}", 0.7, roll_over)
    after = {part: _secret(installed_chart, f"toe-{part}-ca", "ca.crt") for part in PARTS}
    end = "-----END CERTIFICATE-----\n"
    for part in PARTS:
        assert after[part] != before[part]
        assert after[part].endswith(before[part].partition(end)[0] + end)
    assert _secret(installed_chart, "toe-ticket-key", "previous.crt") == ticket
    hook = json.loads(installed_chart.kubectl("get", "validatingwebhookconfiguration", "toe", "-o", "json"))
    assert base64.b64decode(hook["webhooks"][0]["clientConfig"]["caBundle"]).decode() == after["webhook"]
    outcomes = await load.outcomes()
    assert set(outcomes.values()) == {"Completed"}, {n: o for n, o in outcomes.items() if o != "Completed"}
    assert load.typed_again == 0


async def test_a_rollback_is_an_upgrade_to_what_was(installed_chart: Cluster, rest: Rest) -> None:
    """Helm puts back what it had; the catalog stays what the configs say."""
    helm(installed_chart, "--set=controller.maxActiveRuns=7")
    place = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/toe-controller"
    words = (await rest.get(place))["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--max-active-runs=7" in words
    installed_chart.helm("rollback", "toe", "--namespace", SYSTEM, "--wait", "--timeout", "120s", seconds=150)
    words = (await rest.get(place))["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--max-active-runs=1000" in words
    catalog = json.loads(installed_chart.kubectl("get", "powertoolcatalogs", "catalog", "-n", SYSTEM, "-o", "json"))
    assert [tool["name"] for tool in catalog["spec"]["tools"]] == ["strace"]


def _rules(cluster: Cluster, account: str, namespace: str) -> set[tuple[str, str, str, str]]:
    """Asks the API server what an account may do: verb, group, resource, name; and URLs."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    who = (f"--as=system:serviceaccount:{SYSTEM}:{account}", "--as-group=system:serviceaccounts")
    who += (f"--as-group=system:serviceaccounts:{SYSTEM}", "--as-group=system:authenticated")
    status = json.loads(
        cluster.kubectl("create", "--validate=false", "-f", "-", "-o", "json", *who, stdin=json.dumps(review))
    )["status"]
    assert not status["incomplete"]
    return {
        (verb, group, resource, name)
        for rule in status["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or ("",)
    } | {
        (verb, "", url, "")
        for rule in status["nonResourceRules"]
        for verb in rule["verbs"]
        for url in rule["nonResourceURLs"]
    }


@pytest.mark.parametrize("account", DUTIES)
@pytest.mark.parametrize("namespace", [SYSTEM, "default"])
def test_effective_rights_are_the_documented_ones_exactly(
    installed_chart: Cluster, account: str, namespace: str
) -> None:
    """As the API server sees them; what every account of the namespace has without toe is left out."""
    found = _rules(installed_chart, account, namespace) - _rules(installed_chart, "nobody", namespace)
    objects = rights.account(account, Settings())
    wanted = {
        (verb, group, resource, name)
        for obj in objects
        if obj["kind"] == "ClusterRole" or (obj["kind"] == "Role" and obj["metadata"]["namespace"] == namespace)
        for rule in obj["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ("",))
    }
    assert found == wanted


SCAN = """
import selectors, socket, sys, time
found, ports, waiting = [], iter(range(1, 65536)), 0
select = selectors.DefaultSelector()
def more():
    global waiting
    for port in ports:
        s = socket.socket(); s.setblocking(False)
        if (code := s.connect_ex((sys.argv[1], port))) == 0: found.append(port)
        elif code == 115: select.register(s, selectors.EVENT_WRITE, port); waiting += 1
        if waiting >= 200: return
more()
while waiting:
    for key, _ in select.select(5):
        if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0: found.append(key.data)
        select.unregister(key.fileobj); key.fileobj.close(); waiting -= 1
    more()
print(*sorted(found))
"""


def test_only_documented_ports_are_open(installed_chart: Cluster) -> None:
    """Every port of a pod of every part, tried from another pod."""
    found = json.loads(installed_chart.kubectl("get", "pods", "-n", SYSTEM, "-o", "json"))["items"]
    address = {pod["metadata"]["labels"]["app.kubernetes.io/name"]: pod["status"]["podIP"] for pod in found}
    assert set(address) == set(PORTS)
    for part, ip in address.items():
        words = ("exec", "statefulset/shop", "-n", LOAD, "-c", "app", "--", "python3", "-c", SCAN, ip)
        open_ports = {int(word) for word in installed_chart.kubectl(*words, seconds=120).split()}
        assert open_ports == PORTS[part], part


def test_pods_pass_pod_security_restricted(installed_chart: Cluster) -> None:
    """The namespace enforces it, and says nothing when it is asked again about what is there."""
    words = ("label", "--overwrite", "--dry-run=server", "namespace", SYSTEM)
    assert "Warning" not in _complaints(installed_chart, *words, "pod-security.kubernetes.io/enforce=restricted")
    labels = json.loads(installed_chart.kubectl("get", "namespace", SYSTEM, "-o", "json"))["metadata"]["labels"]
    assert {labels[name] for name in demo.RESTRICTED} == {"restricted"}


def test_metrics_are_for_whoever_has_the_right(installed_chart: Cluster) -> None:
    """Without a token 401, without the right 403; with both what Prometheus reads, of every pod of every part."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "scraper", "namespace": LOAD}}
    stranger = {**account, "metadata": {"name": "stranger", "namespace": LOAD}}
    rbac = "rbac.authorization.k8s.io"
    bound = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "scraper"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "toe-metrics-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "scraper", "namespace": LOAD}],
    }
    demo.apply(installed_chart, account, stranger, bound)
    try:
        tokens = [
            installed_chart.kubectl("create", "token", name, "-n", LOAD).strip() for name in ("scraper", "stranger")
        ]
        found = json.loads(installed_chart.kubectl("get", "pods", "-n", SYSTEM, "-o", "json"))["items"]
        assert len(found) == 2 * len(PARTS)
        addresses = [pod["status"]["podIP"] for pod in found]
        words = ("exec", "statefulset/shop", "-n", LOAD, "-c", "app", "--", "python3", "-c", SCRAPE)
        answers = json.loads(installed_chart.kubectl(*words, ",".join(addresses), *tokens, seconds=60))
        assert answers == {address: [401, 401, 200, 403] for address in addresses}
    finally:
        installed_chart.kubectl("delete", "clusterrolebinding", "scraper")


SCRAPE = """
import json, ssl, sys, urllib.error, urllib.request
def ask(address, token):
    request = urllib.request.Request(f"https://{address}:8443/metrics")
    if token: request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=10) as answer:
            return answer.status if b"toe_certificate_not_after_seconds" in answer.read() else 0
    except urllib.error.HTTPError as error: return error.code
print(json.dumps({a: [ask(a, t) for t in ("", "nonsense", *sys.argv[2:])] for a in sys.argv[1].split(",")}))
"""


def _removed(cluster: Cluster) -> None:
    """Takes away what an uninstallation leaves, as the documentation says, and looks that nothing is left."""
    kinds = [f"{kind}.codriverlabs.ai.toe.run" for kind in ("powertools", "powertoolconfigs", "powertoolcatalogs")]
    time.sleep(3)  # policies that are gone refuse for a second more
    cluster.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--timeout=60s", seconds=70)
    cluster.kubectl("delete", "crd", *kinds, "--ignore-not-found", "--timeout=60s", seconds=70)
    cluster.kubectl("delete", "pv", "toe-artifacts", "--ignore-not-found", "--timeout=30s")
    left = cluster.kubectl("get", f"{KINDS},crd,ns", "-A", "-o", "name").split()
    assert [name for name in left if "toe" in name] == []


def test_uninstalled_it_leaves_what_it_says_it_leaves(image: tuple[Cluster, str], installed_chart: Cluster) -> None:
    """Nothing of toe's answers or refuses any more; what stays goes when it is told to."""
    cluster, operator = image
    try:
        said = cluster.helm("uninstall", "toe", "--namespace", SYSTEM, "--wait", seconds=90)
        assert "[PersistentVolumeClaim] toe-artifacts" in said
        assert "[PowerToolCatalog] catalog" in said
        cluster.kubectl("wait", "--for=delete", "pods", "--all", "-n", SYSTEM, "--timeout=60s", seconds=70)
        left = cluster.kubectl("get", KINDS, "-A", "-o", "name").split()
        ours = [name for name in left if "toe" in name and name != OF_THE_DEFINITIONS]
        assert sorted(ours) == ["persistentvolume/toe-artifacts", "persistentvolumeclaim/toe-artifacts"], ours
        _removed(cluster)
        _without_helm(cluster, operator)
        _removed(cluster)
    finally:
        install(cluster, operator)


def _without_helm(cluster: Cluster, operator: str) -> None:
    """Installs what ``make manifests`` writes, which raises no warning, and removes it in the documented order."""
    repository, _, digest = operator.partition("@")
    values = (f"image.repository={repository}", f"image.digest={digest}", f"collector.storage.claim.size={demo.SIZE}")
    place = cluster.kubeconfig.parent / "install.yaml"
    assert manifests.main([f"--output={place}", *(f"--set={value}" for value in values)]) == 0
    demo.apply(cluster, demo.volume(cluster))
    apply = ("apply", "-f", str(place))
    assert "Warning" not in _complaints(cluster, *apply)
    cluster.kubectl("rollout", "status", "deployment/toe-webhook", "-n", SYSTEM, "--timeout=90s", seconds=100)
    assert _complaints(cluster, *apply, "--dry-run=server") == ""
    for part in ("deployment/toe-controller", "deployment/toe-apiserver", "statefulset/toe-collector"):
        cluster.kubectl("rollout", "status", part, "-n", SYSTEM, "--timeout=90s", seconds=100)
    cluster.kubectl("delete", "apiservice", "v1alpha1.artifacts.toe.run")
    policies = ("validatingadmissionpolicy", "mutatingadmissionpolicy")
    guards = ",".join(f"{policy}bindings,{policy[:-1]}ies" for policy in policies)
    cluster.kubectl("delete", guards, "-l", "app.kubernetes.io/part-of=toe")
    time.sleep(3)
    cluster.kubectl("delete", "-f", str(place), "--ignore-not-found", "--timeout=60s", seconds=90)


def _complaints(cluster: Cluster, *words: str) -> str:
    """Runs kubectl, which succeeds; returns what it says beside its result."""
    command = [str(cluster.kubectl_program()), f"--kubeconfig={cluster.kubeconfig}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr
