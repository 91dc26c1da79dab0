"""The ``kubectl debug`` command that would add the same container by hand.

Source: https://kubernetes.io/docs/reference/kubectl/generated/kubectl_debug/ (``--custom`` since Kubernetes 1.32)
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any


def kubectl_debug(namespace: str, pod: str, container: Mapping[str, Any]) -> str:
    """Returns one line of shell; its name is another one, since names of tools are the operator's.

    ``container`` is the ephemeral container as it is sent. The profile ``baseline`` states no security of its own, so
    what ``--custom`` says is all there is.
    """
    custom = {key: container[key] for key in ("securityContext", "env", "imagePullPolicy") if container.get(key)}
    words = [
        *("kubectl", "debug", "-n", namespace, pod),
        f"--image={container['image']}",
        f"--target={container['targetContainerName']}",
        f"--container=debug-{container['name'].removeprefix('toe-')[:50]}",
        "--profile=baseline",
    ]
    stated = shlex.join(words)
    document = shlex.quote(json.dumps(custom, separators=(",", ":")))
    program = [*container.get("command", ()), *container.get("args", ())]
    run = f" -- {shlex.join(program)}" if program else ""
    return f"{stated} --custom=<(echo {document}){run}"
