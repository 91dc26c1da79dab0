"""As much of a Kubernetes client as starting a cluster needs: one request at a time, as the administrator."""

import http.client
import json
import ssl
from typing import Any

from devcluster.layout import API_PORT, Addresses, Layout


class Client:
    """Asks the API server of one cluster."""

    def __init__(self, layout: Layout, addresses: Addresses) -> None:
        self._host = addresses.node
        self._trust = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
        self._trust.load_cert_chain(str(layout.pki / "admin.crt"), str(layout.pki / "admin.key"))

    def request(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", seconds: float = 5.0
    ) -> tuple[int, str]:
        """The status and the body of the answer; status 0 and the reason where nobody answers."""
        connection = http.client.HTTPSConnection(self._host, API_PORT, timeout=seconds, context=self._trust)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def is_ready(self) -> bool:
        return self.request("GET", "/readyz")[0] == 200

    def exists(self, path: str) -> bool:
        return self.request("GET", path)[0] == 200

    def apply(self, path: str, wanted: Any) -> bool:
        """Make an object, or make it again what is wanted; False where that cannot be done now."""
        query = "?fieldManager=devcluster&force=true"
        return self.request("PATCH", path + query, wanted, kind="application/apply-patch+yaml")[0] in (200, 201)

    def node_is_ready(self, name: str) -> bool:
        """Whether the node exists and its condition Ready is True."""
        status, body = self.request("GET", f"/api/v1/nodes/{name}")
        if status != 200:
            return False
        conditions = json.loads(body)["status"].get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
