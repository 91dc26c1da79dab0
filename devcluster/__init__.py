"""A real Kubernetes on one machine: for laptops, tests, measurements and the demo.

Everything of a cluster runs in a network namespace and a cgroup of its own, below /var/lib/toe-devcluster and
/run/toe-devcluster, so that several run side by side and nothing is left after `down`. Start reading in `cluster.py`;
`layout.py` says what is where. Imports the standard library, cryptography and PyYAML, and nothing of toe.
"""

from devcluster.cluster import Cluster, Status
from devcluster.errors import ComponentError, DevClusterError

__all__ = ["Cluster", "ComponentError", "DevClusterError", "Status"]
