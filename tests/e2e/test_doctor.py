"""``kubectl toe doctor`` in front of the operator as it is installed, on a real node."""

import json
import subprocess
import sys
import time

import pytest

from devcluster import Cluster
from tests.e2e.test_operator import installed  # noqa: F401 a fixture
from toe.main import surroundings

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

CODE = "from toe.main import kubectl_plugin; kubectl_plugin()"
NEEDS_MORE = {"host PID", "foreign namespace", "mounts"}
"""What takes pods or tools that the demo does not have."""


def test_the_operator_as_it_is_installed_is_well(installed: Cluster) -> None:  # noqa: F811
    """Nothing fails, the profile is read from the controller, and it takes less than 20 seconds."""
    around = surroundings().environment | {"KUBECONFIG": str(installed.kubeconfig)}
    began = time.monotonic()
    words = [sys.executable, "-c", CODE, "doctor", "-o", "json"]
    ran = subprocess.run(words, env=around, capture_output=True, text=True)
    assert time.monotonic() - began < 20
    assert ran.stdout, ran.stderr
    lines = json.loads(ran.stdout)["lines"]
    wrong = {line["name"]: line["answer"] for line in lines if line["outcome"] == "FAIL"}
    assert wrong == {}
    assert {line["name"] for line in lines if line["outcome"] == "not tried"} <= NEEDS_MORE
    assert "assumed" not in ran.stderr
