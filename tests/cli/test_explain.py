"""``explain`` tells what a run will really do to each pod, and what every layer says about that."""

import json
from pathlib import Path

import pytest
import yaml

from tests.builders import powertool_manifest
from tests.cli.fakecluster import CONFIGS, PODS, RUNS, FakeCluster, Object
from tests.cli.scene import Person, Ran, a_run, a_running_pod, a_target, a_tool
from toe.api.meta import API_VERSION
from toe.plan.container import container_name

CATALOG = f"/apis/{API_VERSION}/namespaces/toe-system/powertoolcatalogs/catalog"
PATCH = f"{PODS}/shop-1/ephemeralcontainers"
NOT_AS_THE_OPERATOR = 'users "x" is forbidden: User "alice" cannot impersonate resource "users" in API group ""'
FENCED = (
    "pods \"shop-1\" is forbidden: ValidatingAdmissionPolicy 'toe-fence-catalog' with binding 'toe-fence-catalog' "
    "denied request: toe fence: no tool py-spy in the catalog"
)
POD_SECURITY = 'pods "shop-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


@pytest.fixture
def manifest(tmp_path: Path, cluster: FakeCluster) -> str:
    """A file with a run of py-spy, in front of a cluster where nobody may act as the operator."""
    return _manifest(tmp_path, cluster)


def _manifest(place: Path, cluster: FakeCluster, **tool: object) -> str:
    for pod in ("shop-1", "shop-2"):
        cluster.answers["PATCH", f"{PODS}/{pod}/ephemeralcontainers"] = (403, {"message": NOT_AS_THE_OPERATOR})
    spec = {"name": "py-spy", "duration": "10s", **tool}
    raw = powertool_manifest(
        {"name": "mine", "namespace": None, "uid": None, "generation": None, "creationTimestamp": None},
        tool=spec,
        targets={"labelSelector": {"matchLabels": {"app": "shop"}}},
    )
    file = place / "run.yaml"
    file.write_text(yaml.safe_dump(raw))
    return str(file)


def _layers(ran: Ran, pod: int | None = None) -> dict[str, Object]:
    (found,) = json.loads(ran.out)
    layers = found["layers"] if pod is None else found["pods"][pod]["layers"]
    return {layer["layer"]: layer for layer in layers}


def test_a_user_reads_what_the_process_will_hold(manifest: str, person: Person) -> None:
    """Not what the YAML says: a capability for somebody who is not root is none."""
    ran = person("explain", "-f", manifest)
    assert "capabilities     none" in ran.out
    assert "memory           of the target, as its own user" in ran.out
    assert "by hand          kubectl debug -n shop shop-1 --image=" in ran.out
    assert "securityContext  {" in ran.out
    assert ran.err.endswith("Nothing was changed.\n")


def test_nothing_is_stored(manifest: str, cluster: FakeCluster, person: Person) -> None:
    """Every write is a dry run."""
    person("explain", "-f", manifest)
    for method, path, params in cluster.requests:
        assert method == "GET" or "review" in path or params.get("dryRun") == "All", (method, path)
    assert not [path for path in cluster.objects if path.startswith(RUNS)]


def test_a_user_gets_predictions_that_say_so(manifest: str, cluster: FakeCluster, person: Person) -> None:
    """The fence and Pod Security are not asked; the catalog that may be read is compared."""
    cluster.put(CATALOG, {"spec": {"tools": []}})
    ran = person("explain", "-f", manifest, "-o", "json")
    fence = _layers(ran, 0)["fence"]
    assert (fence["verdict"], fence["asked"]) == ("refuses", False)
    assert "py-spy is not in the catalog" in fence["says"]
    assert ran.status == 2
    cluster.forbidden.add(("get", "powertoolcatalogs"))
    cluster.answers["GET", CATALOG] = (403, {"message": "no"})
    ran = person("explain", "-f", manifest, "-o", "json")
    assert "the catalog itself could not be read" in _layers(ran, 0)["fence"]["says"]
    assert _layers(ran, 0)["Pod Security"]["verdict"] == "passes"
    assert _layers(ran)["creation"]["verdict"] == _layers(ran)["stamp"]["verdict"] == "passes"
    assert ran.status == 0


@pytest.mark.parametrize(
    ("answer", "layer", "words"),
    [
        ((200, {}), "API server", ("passes", "passes", "passes")),
        ((403, {"message": FENCED}), "fence", ("passes", "refuses", None)),
        ((403, {"message": POD_SECURITY}), "Pod Security", ("refuses", "not known", None)),
        ((403, {"message": 'admission webhook "x" denied the request: no'}), "API server", (None, None, "refuses")),
        ((403, {"message": "exceeded quota: few, requested: pods=1"}), "API server", (None, None, "refuses")),
    ],
)
def test_an_administrator_gets_the_servers_own_answer(
    manifest: str, cluster: FakeCluster, person: Person, answer: tuple[int, Object], layer: str, words: Object
) -> None:
    """By a dry run as the operator: which layer refused, and that those behind it were not heard."""
    cluster.answers["PATCH", PATCH] = answer
    ran = person("explain", "-f", manifest, "-o", "json")
    layers = _layers(ran, 0)
    assert tuple(layers.get(name, {}).get("verdict") for name in ("Pod Security", "fence", "API server")) == words
    assert layers[layer]["asked"] is True
    assert ran.status == (0 if answer[0] == 200 else 3)


def test_the_operator_s_own_missing_right_is_no_fault_of_the_user(
    manifest: str, cluster: FakeCluster, person: Person
) -> None:
    """It says whose it is."""
    message = 'pods is forbidden: User "system:serviceaccount:toe-system:toe-controller" cannot patch resource "pods"'
    cluster.answers["PATCH", PATCH] = (403, {"message": message})
    ran = person("explain", "-f", manifest, "-o", "json")
    assert "operator's own rights" in _layers(ran, 0)["API server"]["wayOut"]


def test_a_missing_right_comes_with_the_command_that_grants_it(
    manifest: str, cluster: FakeCluster, person: Person
) -> None:
    """To be handed to an administrator."""
    cluster.forbidden.add(("create", "powertools"))
    ran = person("explain", "-f", manifest)
    assert "kubectl toe rbac py-spy --user alice -n shop | kubectl apply -f -" in ran.out
    assert ran.status == 2


def test_a_refused_run_is_explained_all_the_same(tmp_path: Path, cluster: FakeCluster, person: Person) -> None:
    """The rule that refuses, and still what the container would be."""
    ran = person("explain", "-f", _manifest(tmp_path, cluster, args=["--evil"]))
    assert "rules     refuses" in ran.out
    assert "joins app" in ran.out
    assert ran.status == 2


def test_a_run_of_the_cluster_is_explained_as_it_was_asked_for(cluster: FakeCluster, person: Person) -> None:
    """With the requester's rights, its own container names, and what is recorded."""
    uid = "uid-old"
    path = a_run(cluster, "old", a_target("shop-1", state="Refused", message="no room"), phase="Failed")
    cluster.put(path, cluster.objects[path] | {"metadata": {"name": "old", "namespace": "shop", "uid": uid}})
    cluster.objects[path]["spec"]["requester"] = {"username": "system:serviceaccount:build:ci"}
    cluster.objects[path]["spec"]["targets"] = {"labelSelector": {"matchLabels": {"app": "shop"}}}
    cluster.put(f"{CONFIGS}/py-spy", _high("py-spy"))
    for pod in ("shop-1", "shop-2"):
        cluster.answers["PATCH", f"{PODS}/{pod}/ephemeralcontainers"] = (403, {"message": NOT_AS_THE_OPERATOR})
    ran = person("explain", "old")
    assert "asked by system:serviceaccount:build:ci" in ran.out
    assert "rbac py-spy --service-account build:ci -n shop" in ran.out
    assert container_name("py-spy", uid, "uid-shop-1") in ran.out
    assert "shop-1 (Refused: no room)" in ran.out
    cluster.answers["POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"] = (403, {"message": "no"})
    assert "could not be asked" in person("explain", "old").out


def _high(name: str) -> Object:
    tool = a_tool(name, security={"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}})
    del tool["metadata"]["annotations"]
    return tool


def test_a_pod_that_a_rule_refuses_or_that_is_left_out_says_so(
    manifest: str, cluster: FakeCluster, person: Person
) -> None:
    """One line each."""
    cluster.put(f"{PODS}/shop-1", a_running_pod("shop-1", spec={"hostPID": True}))
    cluster.put(f"{PODS}/shop-2", a_running_pod("shop-2", status={"phase": "Pending"}))
    ran = person("explain", "-f", manifest)
    assert "target        refuses" in ran.out
    assert "the pod is Pending" in ran.out
    assert ran.status == 3


def test_the_exact_container_is_in_yaml(manifest: str, person: Person) -> None:
    """All of it, for each pod."""
    (found,) = yaml.safe_load(person("explain", "-f", manifest, "-o", "yaml").out)
    container = found["pods"][0]["ephemeralContainer"]
    assert container["securityContext"]["capabilities"] == {"add": [], "drop": ["ALL"]}
    assert found["pods"][0]["holds"]["capabilities"] == "none"


def test_a_run_or_a_file_is_wanted(manifest: str, person: Person) -> None:
    """Not both, not neither."""
    assert person("explain").status == person("explain", "x", "-f", manifest).status == 2


def test_a_manifest_for_another_namespace_is_refused(tmp_path: Path, cluster: FakeCluster, person: Person) -> None:
    """As plan does."""
    file = Path(_manifest(tmp_path, cluster))
    raw = yaml.safe_load(file.read_text())
    raw["metadata"]["namespace"] = "other"
    file.write_text(yaml.safe_dump(raw))
    assert person("explain", "-f", str(file), "-n", "shop").status == 2
