"""The cluster flags are kubectl's, in name and meaning."""

from tests.builders import NOW
from tests.cli.fakecluster import CONFIGS, FakeCluster
from tests.cli.scene import Person
from toe.api.surroundings import Surroundings
from toe.cli.call import WORDS_OF_FLAG, Call, Flags, given_flags
from toe.cli.screen import Screen

KUBECTL = (
    "--kubeconfig --context --namespace -n --cluster --user --server -s --token --as --as-group --as-uid "
    "--certificate-authority --insecure-skip-tls-verify --tls-server-name --request-timeout"
)


def test_every_flag_that_finds_a_cluster_is_there() -> None:
    """Whoever knows kubectl knows them."""
    assert set(KUBECTL.split()) <= WORDS_OF_FLAG.keys()


def test_only_what_was_given_counts() -> None:
    """Everything else stays the kubeconfig's."""
    given = {"namespace": None, "as_group": ["a", "b"], "insecure_skip_tls_verify": False, "server": ""}
    assert given_flags(given) == Flags(as_group=("a", "b"))


def test_flags_reach_the_server(cluster: FakeCluster, person: Person) -> None:
    """--system-namespace decides where the configs are looked for."""
    cluster.objects.clear()
    cluster.put("/api/v1/namespaces/shop", {})
    person("tools", "--system-namespace", "tools")
    paths = [path for _, path, _ in cluster.requests]
    assert CONFIGS.replace("toe-system", "tools") in paths


def test_people_read_the_name_they_typed() -> None:
    """``kubectl toe`` as a plugin, ``toe`` else."""
    screen = Screen.__new__(Screen)
    for is_plugin, name in ((True, "kubectl toe"), (False, "toe")):
        around = Surroundings(environment={}, home="/", is_plugin=is_plugin)
        assert Call(around, lambda: NOW, screen).program == name
