"""Writes what the chart gets from the types: definitions, the fence, the webhooks' registration, and all rights.

``python -m charts.generate`` writes them; tests/house compares what is on disk with the types. What only an
installation knows is a word of its own here (:data:`NAMESPACE` and others) and Helm's expression in the file.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from charts import rights
from charts.dashboard import dashboard
from toe.api import webhooks
from toe.api.codec import to_yaml
from toe.api.crd import KINDS, custom_resource_definition
from toe.api.fence.objects import fence, parameter
from toe.api.fence.policy import APISERVER, COLLECTOR, CONTROLLER, WEBHOOK
from toe.api.fence.requester import stamp, use
from toe.api.settings import PROFILES, Profile, Settings

Object = dict[str, Any]

TOP = Path(__file__).parent / "toe"
CRDS, TEMPLATES = TOP / "crds", TOP / "templates"
HEAD = "# Generated from src/toe by `make generate`. Do not edit.\n"
DIGEST = "toe.run/digest"
"""An annotation of definitions: Helm installs them and never changes them, so an upgrade asks for this."""

NAMESPACE = "the-release-namespace"
AUTHORITY = "the-authority"
MOST = 77777
_EXPRESSIONS = {
    NAMESPACE: "{{ .Release.Namespace }}",
    str(MOST): "{{ .Values.controller.maxContainersPerPod }}",
    base64.b64encode(AUTHORITY.encode()).decode(): '{{ include "toe.bundle" (dict "root" $ "part" "webhook") }}',
}
_SETTINGS = {
    name: msgspec.structs.replace(settings, system_namespace=NAMESPACE, max_containers_per_pod=MOST)
    for name, settings in PROFILES.items()
}
_HAS_STAMP = 'include "toe.stamps" .'
_MARK = "    the: labels\n"
_LABELS = '    {{- include "toe.common" $ | nindent 4 }}\n'
_INJECTED = f"""{{{{- if eq .Values.certificates.mode "cert-manager" }}}}
  annotations:
    cert-manager.io/inject-ca-from: {NAMESPACE}/toe-webhook
{{{{- end }}}}
"""


def files() -> dict[Path, str]:
    """Returns every generated file with its content."""
    kinds = [*(custom_resource_definition(kind) for kind in sorted(KINDS)), parameter(_SETTINGS["standard"])[0]]
    return {
        **{CRDS / f"{kind['spec']['names']['plural']}.yaml": HEAD + to_yaml(_marked(kind)) for kind in kinds},
        TEMPLATES / "fence.yaml": _template(_fence()),
        TEMPLATES / "rights.yaml": _template(_rights()),
        TEMPLATES / "admission.yaml": _template(_admission()),
        TOP / "dashboards" / "toe.json": json.dumps(dashboard(), indent=1) + "\n",
    }


def _marked(kind: Object) -> Object:
    """Returns a definition with a digest of itself."""
    digest = hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()[:16]
    return {**kind, "metadata": {**kind["metadata"], "annotations": {DIGEST: digest}}}


def _fence() -> str:
    """Policies and their bindings: under ``hardened`` they cover other namespaces, and ask for a right more."""
    wide, hardened = (_documents(fence(_without_use(name), name, stamped=True)) for name in ("standard", "hardened"))
    asks = _documents(use(_SETTINGS["hardened"]))
    return (
        f'{{{{- if eq .Values.profile "hardened" }}}}\n{hardened}{{{{- else }}}}\n{wide}{{{{- end }}}}\n'
        f'{{{{- if include "toe.asksUse" . }}}}\n{asks}{{{{- end }}}}\n'
        f"{{{{- if {_HAS_STAMP} }}}}\n{_documents(stamp())}{{{{- end }}}}\n"
    )


def _without_use(profile: Profile) -> Settings:
    """Leaves out the policy that asks for ``use``, which is there by a setting of its own."""
    return msgspec.structs.replace(_SETTINGS[profile], require_use=None)


def _rights() -> str:
    settings = _SETTINGS["standard"]
    always = [
        *rights.people(settings),
        *(obj for name in (CONTROLLER, WEBHOOK) for obj in rights.account(name, settings)),
    ]
    some = {
        ".Values.collector.enabled": rights.account(COLLECTOR, settings),
        ".Values.artifactsAPI.enabled": rights.account(APISERVER, settings),
        ".Values.collector.downloads.url": rights.downloads(settings),
    }
    tool = """{{- range $tool := .Values.rbac.tools }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: powertool-use-{{ $tool }}
  labels: {{- include "toe.common" $ | nindent 4 }}
rules:
- apiGroups: [codriverlabs.ai.toe.run]
  resources: [powertoolconfigs]
  resourceNames: [{{ $tool }}]
  verbs: [use]
{{- end }}
"""
    conditional = (f"{{{{- if {value} }}}}\n{_documents(objects)}{{{{- end }}}}\n" for value, objects in some.items())
    return _documents(always) + "".join(conditional) + tool


def _admission() -> str:
    endpoint = webhooks.Endpoint(authority=AUTHORITY, namespace=NAMESPACE)
    validating, mutating = (_documents([hooks(endpoint)]) for hooks in (webhooks.validating, webhooks.mutating))
    text = f"{validating}{{{{- if not ({_HAS_STAMP}) }}}}\n{mutating}{{{{- end }}}}\n"
    return re.sub(r" +caBundle: \S+\n", _bundle, text).replace(_MARK, _MARK + _INJECTED)


def _documents(objects: Iterable[Object]) -> str:
    return "".join(f"---\n{to_yaml(_labelled(obj))}" for obj in objects)


def _labelled(obj: Object) -> Object:
    """Makes room for the chart's labels, which :func:`_template` writes there."""
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "labels": {"the": "labels"} | metadata.get("labels", {})}}


def _template(text: str) -> str:
    """Returns the text of a template: Helm's expressions for what only an installation knows."""
    if "{{" in re.sub(r"\{\{- ?.*?\}\}|\{\{ .*? \}\}", "", text):
        raise ValueError("what is generated holds an expression of Helm's by chance")
    text = text.replace("    app.kubernetes.io/part-of: toe\n", "").replace(_MARK, _LABELS)
    for word, expression in _EXPRESSIONS.items():
        text = text.replace(word, expression)
    return HEAD + text


def _bundle(line: re.Match[str]) -> str:
    """With cert-manager the bundle is injected, and not ours to write."""
    return f'{{{{- if eq .Values.certificates.mode "own" }}}}\n{line[0]}{{{{- end }}}}\n'


def main() -> None:
    """Writes the files that differ and names them."""
    for path, content in files().items():
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            print(path.relative_to(Path(__file__).parents[1]))


if __name__ == "__main__":
    main()
