"""``kubectl toe doctor`` in front of the operator as it is installed, on a real node."""

import json
import subprocess
import sys
import time

import pytest

from devcluster import Cluster
from toe.main import surroundings

pytestmark = [pytest.mark.node, pytest.mark.timeout(420)]

CODE = "from toe.main import kubectl_plugin; kubectl_plugin()"


def _examined(cluster: Cluster, *words: str) -> tuple[int, dict[str, str], str]:
    """Runs the doctor: exit status, what did not pass and why, and what it said beside."""
    around = surroundings().environment | {"KUBECONFIG": str(cluster.kubeconfig)}
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", CODE, "doctor", *words, "-o", "json"], env=around, capture_output=True, text=True
    )
    print(f"doctor {' '.join(words)}: {time.monotonic() - began:.1f} s")
    assert ran.stdout, ran.stderr
    lines = json.loads(ran.stdout)["lines"]
    assert len(lines) >= 34
    return ran.returncode, {line["name"]: line["answer"] for line in lines if line["outcome"] != "PASS"}, ran.stderr


def test_the_operator_as_it_is_installed_is_well(installed: Cluster) -> None:
    """Every line passes, none is left untried, and the profile is read from the controller."""
    status, sick, said = _examined(installed)
    assert (status, sick) == (0, {})
    assert "assumed" not in said


def test_pods_that_never_run_stand_in_for_those_that_are_not_there(installed: Cluster) -> None:
    """Without the agent there is no pod with hostPID; one is made for the time of the examination."""
    _share_the_node(installed, False)
    try:
        assert _examined(installed)[:2] == (3, {"host PID": "no running pod that a tool may join has hostPID"})
        assert _examined(installed, "--make-pods-in", "shop-open")[:2] == (0, {})
        assert installed.kubectl("get", "pods", "-A", "-l", "toe.run/doctor", "-o", "name") == ""
    finally:
        _share_the_node(installed, True)


def _share_the_node(cluster: Cluster, shares: bool) -> None:
    """Gives the agent the node's processes, or takes them away."""
    change = json.dumps({"spec": {"template": {"spec": {"hostPID": shares}}}})
    cluster.kubectl("patch", "ds/agent", "-n", "node-watch", "-p", change)
    cluster.kubectl("rollout", "status", "ds/agent", "-n", "node-watch", "--timeout=60s", seconds=70)
