"""The command that a person without toe would type."""

import json
import shlex

from toe.report.debug import kubectl_debug

CONTAINER = {
    "name": "toe-py-spy-0123456789",
    "image": "registry.example/py-spy:1",
    "targetContainerName": "app",
    "securityContext": {"privileged": False, "runAsUser": 1001},
    "env": [{"name": "TOE_RUN", "value": "it's"}],
    "command": ["py-spy", "record", "--", "$$x"],
}


def test_the_command_carries_the_whole_security_context() -> None:
    """Quoted for a shell, with the command behind --."""
    line = kubectl_debug("shop", "shop-1", CONTAINER)
    head, _, rest = line.partition(" --custom=<(echo ")
    assert shlex.split(head) == [
        *("kubectl", "debug", "-n", "shop", "shop-1", "--image=registry.example/py-spy:1", "--target=app"),
        *("--container=debug-py-spy-0123456789", "--profile=baseline"),
    ]
    words = shlex.split(rest.replace(")", " )", 1) if rest.count(")") == 1 else rest)
    assert json.loads(words[0]) == {"securityContext": CONTAINER["securityContext"], "env": CONTAINER["env"]}
    assert words[-5:] == ["--", "py-spy", "record", "--", "$$x"]


def test_the_image_s_own_command_stays() -> None:
    """There is nothing behind --."""
    plain = {key: value for key, value in CONTAINER.items() if key not in ("command", "env")}
    assert kubectl_debug("shop", "shop-1", plain).endswith(")")
