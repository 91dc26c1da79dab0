"""``cancel``: stops further injection, and says what still runs and until when."""

from toe.api.powertool import PowerTool
from toe.cli.call import Call
from toe.cli.cluster import Cluster, reach
from toe.cli.run import running_on
from toe.kube.resource import POWERTOOLS
from toe.report.run import sentence


def cancel(call: Call, name: str) -> int:
    """Cancels a run; one that is finished or canceled already is left as it is, and that is said."""
    return reach(call, lambda cluster: _cancel(cluster, name))


async def _cancel(cluster: Cluster, name: str) -> int:
    screen = cluster.call.screen
    run = await cluster.run(name)
    if run.status.is_finished:
        screen.out(f"{name} is over already: {sentence(run)}")
        return 0
    if run.spec.cancel:
        screen.out(f"{name} is canceled already")
    else:
        run = await _canceled(cluster, run)
        screen.out(f"{name} canceled: no tool is added any more")
    if running := running_on(run):
        screen.out(running)
    return 0


async def _canceled(cluster: Cluster, run: PowerTool) -> PowerTool:
    body = {"metadata": {"uid": run.metadata.uid}, "spec": {"cancel": True}}
    meta = run.metadata
    return await cluster.client.patch(
        POWERTOOLS, meta.namespace, meta.name, body, kind="merge", field_manager="kubectl-toe"
    )
