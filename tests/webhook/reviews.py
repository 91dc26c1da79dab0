"""Reviews as the API server sends them."""

import json
from typing import Any

from tests.builders import config_manifest, powertool_manifest

ALICE = {"username": "alice", "groups": ["system:authenticated"]}


def a_review(obj: dict[str, Any] | None, **request: Any) -> dict[str, Any]:
    """Is an AdmissionReview of one object that alice creates."""
    kind = (obj or {}).get("kind", "PowerTool")
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "review-1",
            "kind": {"group": "codriverlabs.ai.toe.run", "version": "v1alpha1", "kind": kind},
            "operation": "CREATE",
            "namespace": ((obj or {}).get("metadata") or {}).get("namespace", "production"),
            "name": "",
            "userInfo": ALICE,
            "object": obj,
            "dryRun": False,
            **request,
        },
    }


def a_run_review(**spec: Any) -> dict[str, Any]:
    """Is the review of a run of alice's."""
    return a_review(powertool_manifest(**spec))


def a_config_review(**spec: Any) -> dict[str, Any]:
    """Is the review of a config that alice writes."""
    return a_review(config_manifest(**spec))


def as_bytes(review: Any) -> bytes:
    """Is a review as it comes over the wire."""
    return json.dumps(review).encode()
