"""What the API server and kubectl ask to know what is served here: groups, resources, schemas.

Only ``get`` and ``list`` are there. A resource that could be deleted would be deleted through us by the namespace
controller, and one that could be watched would be watched by every controller that follows everything.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#discovery-api
"""

import hashlib
from typing import Any

import msgspec

from toe import __version__
from toe.report.artifacts import API_VERSION, GROUP, KIND, PLURAL, SHORT_NAME, SINGULAR, VERSION

Document = dict[str, Any]

_VERSION: Document = {"groupVersion": API_VERSION, "version": VERSION}
API_GROUP: Document = {
    "kind": "APIGroup",
    "apiVersion": "v1",
    "name": GROUP,
    "versions": [_VERSION],
    "preferredVersion": _VERSION,
}
GROUPS: Document = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [API_GROUP]}
RESOURCES: Document = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": API_VERSION,
    "resources": [
        {
            "name": PLURAL,
            "singularName": SINGULAR,
            "namespaced": True,
            "kind": KIND,
            "verbs": ["get", "list"],
            "shortNames": [SHORT_NAME],
            "storageVersionHash": "",
        },
        *(
            {"name": f"{PLURAL}/{part}", "singularName": "", "namespaced": True, "kind": KIND, "verbs": ["get"]}
            for part in ("content", "log")
        ),
    ],
}

_TEXT: Document = {"type": "string"}


def _object(description: str, **properties: Document) -> Document:
    return {"type": "object", "description": description, "properties": properties}


def _described(text: str, kind: str = "string") -> Document:
    return {"type": kind, "description": text}


_KIND_OF = [{"group": GROUP, "version": VERSION, "kind": KIND}]
_SCHEMA: Document = {
    **_object(
        "A file that a tool produced and that is kept. Its bytes are in the subresource content.",
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata=_described("Name, namespace, labels, and when it was kept.", "object"),
        run=_object("The run (PowerTool) that made it.", name=_TEXT, uid=_TEXT),
        tool=_described("The tool that made it."),
        pod=_object("The pod it came from.", name=_TEXT, uid=_TEXT),
        container=_described("The container that the tool joined."),
        file=_described("What the tool called it."),
        bytes={**_described("Its size in bytes.", "integer"), "format": "int64"},
        sha256=_described("The sha256 of its content, in hex."),
        keptUntil=_described("When it is removed; empty: no end is set."),
    ),
    "x-kubernetes-group-version-kind": _KIND_OF,
}
_SCHEMA_NAME = f"run.toe.{GROUP.split('.')[0]}.{VERSION}.{KIND}"
_PATH = f"/apis/{API_VERSION}/namespaces/{{namespace}}/{PLURAL}"
_INFO = {"title": "toe artifacts", "version": __version__}


def _paths(reference: str, answer: Document) -> Document:
    """Returns the operations; kubectl needs them to know that kinds can be read."""

    def get(action: str) -> Document:
        return {
            "get": {
                "operationId": f"{action}{GROUP.title().replace('.', '')}{VERSION.title()}Namespaced{KIND}",
                "responses": {"200": {"description": "OK", **answer}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": _KIND_OF[0],
            }
        }

    return {_PATH: get("list"), f"{_PATH}/{{name}}": get("get")}


OPENAPI_V2: Document = {
    "swagger": "2.0",
    "info": _INFO,
    "paths": _paths("definitions", {"schema": {"$ref": f"#/definitions/{_SCHEMA_NAME}"}}),
    "definitions": {_SCHEMA_NAME: _SCHEMA},
}
OPENAPI_V3: Document = {
    "openapi": "3.0.0",
    "info": _INFO,
    "paths": _paths(
        "schemas",
        {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{_SCHEMA_NAME}"}}}},
    ),
    "components": {"schemas": {_SCHEMA_NAME: _SCHEMA}},
}
_V3_PATH = f"/openapi/v3/apis/{API_VERSION}"
_HASH = hashlib.sha256(msgspec.json.encode(OPENAPI_V3)).hexdigest()[:32].upper()
OPENAPI_V3_INDEX: Document = {
    "paths": {f"apis/{API_VERSION}": {"serverRelativeURL": f"{_V3_PATH}?hash={_HASH}"}},
}

DOCUMENTS: dict[str, Document] = {
    "/apis": GROUPS,
    f"/apis/{GROUP}": API_GROUP,
    f"/apis/{API_VERSION}": RESOURCES,
    "/openapi/v2": OPENAPI_V2,
    "/openapi/v3": OPENAPI_V3_INDEX,
    _V3_PATH: OPENAPI_V3,
}
"""By path."""
