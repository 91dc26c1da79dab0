"""The API server as curl would speak to it: nothing of ours in between, so that its verdict is its own."""

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Raw = dict[str, Any]


class Answer:
    """Is what the server said: HTTP status, the object or Status, and its warnings."""

    def __init__(self, status: int, body: Raw, warnings: list[str]) -> None:
        self.status, self.body, self.warnings = status, body, warnings

    @property
    def is_accepted(self) -> bool:
        """Tells whether the request went through."""
        return self.status < 300

    @property
    def message(self) -> str:
        """Is the sentence of a refusal."""
        return str(self.body.get("message", ""))

    @property
    def causes(self) -> list[tuple[str, str]]:
        """Is (field, message) of every cause of a refusal."""
        listed = (self.body.get("details") or {}).get("causes") or ()
        return [(cause.get("field", ""), cause.get("message", "")) for cause in listed]

    def __repr__(self) -> str:
        return f"{self.status} {self.message or self.body.get('metadata', {}).get('name')}"


class RawApi:
    """Speaks to one server as the kubeconfig's user, over one connection."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=self._data(cluster, "certificate-authority").decode())
        with tempfile.NamedTemporaryFile() as file:
            file.write(self._data(user, "client-certificate") + b"\n" + self._data(user, "client-key"))
            file.flush()
            context.load_cert_chain(file.name)
        address = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(str(address.hostname), address.port, context=context, timeout=30)

    @staticmethod
    def _data(entry: Raw, name: str) -> bytes:
        inline = entry.get(f"{name}-data")
        return base64.b64decode(inline) if inline else Path(entry[name]).read_bytes()

    def send(self, method: str, path: str, body: Raw | None = None, content: str = "application/json") -> Answer:
        """Sends one request; a refusal is an answer, not an error."""
        data = None if body is None else json.dumps(body)
        self._connection.request(method, path, data, {"Content-Type": content, "Accept": "application/json"})
        response = self._connection.getresponse()
        warnings = [value for name, value in response.getheaders() if name.lower() == "warning"]
        content = response.read()
        is_json = "json" in response.getheader("Content-Type", "")
        return Answer(response.status, json.loads(content) if is_json else {"message": content.decode()}, warnings)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()
