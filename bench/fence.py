"""What the fence costs: injections with it and without it, on one real API server, in one run.

    python -m bench.fence [--injections 150] [--tools 200] [--rounds 3]

Each round takes the bindings away, measures, and puts them back, measures. A pod gets one container and is not used
again. Ratios hold better than absolutes: the machine is shared by the API server and the client.
"""

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import msgspec

from devcluster.__main__ import cluster_here
from tests.cluster.fence_tools import TOOLS, inject, live_pod, make_pod, rendered
from tests.cluster.fenced import CONTROLLER, DEVELOPER, Caller, Fenced, Raw, until
from toe.plan.catalog import indexed


class Bench:
    """Is one API server with the fence, and fresh pods in it."""

    def __init__(self, fenced: Fenced, injections: int) -> None:
        self.fenced = fenced
        self.injections = injections
        self.made = 0
        self.bindings = [obj for obj in fenced.objects if obj["kind"].endswith("Binding")]
        make_pod(fenced, "fence-open", "web")
        self.container = rendered("dump", live_pod(fenced))

    def fence(self, *, stands: bool) -> None:
        """Puts the bindings in force or takes them away, and waits until it shows."""
        for binding in self.bindings:
            if stands:
                self.fenced.server.make(binding)
            else:
                self.fenced.server.remove(binding)
        until(lambda: inject(self.fenced, [self.container | {"image": "evil"}]).is_accepted != stands, "the fence")
        time.sleep(1.5)

    def seconds(self, by: Caller, container: Callable[[], Raw]) -> list[float]:
        """Returns how long each injection into a fresh pod took."""
        names = [f"pod-{self.made + number}" for number in range(self.injections)]
        self.made += self.injections
        for name in names:
            make_pod(self.fenced, "fence-open", name)
        taken = []
        for name in names:
            started = time.perf_counter()
            answer = inject(self.fenced, [container()], name=name, by=by, dry=False)
            taken.append(time.perf_counter() - started)
            assert answer.is_accepted, answer
        return taken


def _catalog(tools: int) -> Raw:
    """Returns the tests' catalog with more tools of every kind, the ones that are used last."""
    listed = list(TOOLS.values())
    more = [
        msgspec.structs.replace(listed[number % len(listed)], name=f"other-{number}")
        for number in range(tools - len(listed))
    ]
    catalog: Raw = msgspec.to_builtins({"spec": indexed([*more, *listed])})
    return catalog


def main() -> None:
    """Prints the medians in milliseconds and their ratios as JSON; a line a round goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--injections", type=int, default=150)
    parser.add_argument("--tools", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    taken: dict[tuple[str, bool], list[float]] = defaultdict(list)
    with cluster_here("toe-bench-fence", node=False) as cluster:
        fenced = Fenced(cluster, _catalog(arguments.tools), stamped=True)
        fenced.up()
        bench = Bench(fenced, arguments.injections)
        debugger = {"name": "debugger-1", "image": "busybox:1"}
        bench.fence(stands=True)
        bench.seconds(CONTROLLER, lambda: bench.container)
        for number in range(arguments.rounds):
            for stands in (False, True):
                bench.fence(stands=stands)
                taken["injection", stands] += bench.seconds(CONTROLLER, lambda: bench.container)
                taken["kubectl debug", stands] += bench.seconds(DEVELOPER, lambda: debugger)
            print(f"round {number + 1}: {json.dumps(_medians(taken))}", file=sys.stderr, flush=True)
        fenced.down()
    print(json.dumps({"tools": arguments.tools, "injections": arguments.injections} | _medians(taken), indent=1))


def _medians(taken: dict[tuple[str, bool], list[float]]) -> dict[str, dict[str, float]]:
    found = {}
    for name in dict.fromkeys(name for name, _ in taken):
        without, inside = (statistics.median(taken[name, stands]) * 1000 for stands in (False, True))
        found[name] = {
            "without ms": round(without, 2),
            "with ms": round(inside, 2),
            "ratio": round(inside / without, 2),
        }
    return found


if __name__ == "__main__":
    main()
