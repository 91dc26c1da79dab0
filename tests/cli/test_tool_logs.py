"""A tool's log is asked for by the tool's container, and no line of it is lost."""

import pytest

from tests.cli.fakecluster import PODS, FakeCluster
from tests.cli.scene import Person, a_run, a_target
from toe.cli.tool_logs import path
from toe.errors import InvalidError


def test_the_tools_container_is_asked_for_not_the_targets(cluster: FakeCluster, person: Person) -> None:
    """Whole with a bound, followed with times."""
    a_run(cluster, "k7", a_target("shop-1"))
    cluster.logs["shop-1"] = b"x\n"
    person("logs", "k7")
    person("logs", "k7", "-f")
    asked = [params for _, asked, params in cluster.requests if asked == f"{PODS}/shop-1/log"]
    assert asked == [
        {"container": "toe-py-spy-0123456789", "limitBytes": "268435456"},
        {"container": "toe-py-spy-0123456789", "follow": "true", "timestamps": "true"},
        {
            "container": "toe-py-spy-0123456789",
            "follow": "true",
            "timestamps": "true",
            "sinceTime": "2026-03-01T12:00:10.000000000Z",
        },
    ]


def test_a_name_that_is_no_segment_is_not_sent() -> None:
    """Nothing from a status reaches another path of the API."""
    with pytest.raises(InvalidError):
        path("shop", "../secrets")
