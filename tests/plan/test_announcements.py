"""What people are told."""

from tests.builders import SETTINGS, a_config, a_pod, a_powertool, at
from toe.api.reasons import Reason
from toe.plan.announcements import event_on, injected
from toe.plan.container import render


def test_an_event_points_at_the_run() -> None:
    """By its UID, so that kubectl describe finds it."""
    event = event_on(a_powertool(), "Warning", Reason.FAILED, "it did")
    assert (event.regarding.kind, event.regarding.uid, event.type) == ("PowerTool", "run-1", "Warning")


def test_an_injection_is_told_on_the_run_and_on_the_pod() -> None:
    """The pod's owner reads who put what into it, as whom, with which capabilities."""
    run, config, pod = a_powertool(), a_config(), a_pod()
    container = render(run, config, pod, "app", at(640), SETTINGS)
    on_run, on_pod = injected(run, config, pod, container)
    assert on_run.message == "aperf into web-1 (container app) as uid 1000 with no capability"
    assert (on_pod.regarding.kind, on_pod.regarding.uid) == ("Pod", "uid-web-1")
    assert on_pod.message == f"PowerTool profile-web put {on_run.message}"
