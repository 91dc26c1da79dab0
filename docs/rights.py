"""The page of rights: every account's duties with what each is for, and the roles that people are given."""

from charts import rights
from docs.cells import cell, code, codes, table
from toe.api.settings import Settings
from toe.policy.duties import DUTIES, Duty

_NAMESPACE = Settings().system_namespace

PEOPLE = {
    "powertoolconfig-admin": "who adds and changes tools: as much as root on every node",
    "powertool-user": "who runs tools; from a tier on the right to use the tool is asked for too",
    "powertool-viewer": "who follows runs and may neither start nor cancel one",
    "powertoolconfig-viewer": "who audits what tools may do",
    "powertool-artifacts-reader": "who fetches files: a heap dump holds what Secrets hold",
    "toe-metrics-reader": "the account of Prometheus",
    rights.TOOLS_READER: "who runs tools and wants to see which there are",
}
"""For whom each role is."""


_HEAD = """# Rights

What the chart installs, from `src/toe/policy/duties.py` and `charts/rights.py`. Which to hand out to whom is in
[its how-to](../howto/rights.md); `kubectl toe doctor` finds every right more.

## Of toe's own accounts

None reads Secrets or ConfigMaps of others, none writes webhook configurations, APIServices, policies, definitions,
roles, namespaces or tokens. Every one is a right of the whole cluster but where another place is named. The
collector's and the artifacts API's are there where these are enabled.
"""


def pages() -> dict[str, str]:
    """Returns the page by its file name."""
    parts = [_HEAD]
    for account, duties in DUTIES.items():
        rows = ((_verbs(duty), _resource(duty), _place(duty), cell(duty.why)) for duty in duties)
        parts.append(f"\n### {account}\n\n{table(('verbs', 'on', 'where', 'what for'), rows)}")
    parts.append(
        "\n## For people\n\nBound to nobody: who gets one, and in which namespace, is the administrator's choice. "
        "Nothing is part of `admin`, `edit` or `view`.\n\n"
    )
    parts.append(table(("role", "gives", "for"), (_person(role) for role in _roles())))
    parts.append(
        "\n## Words that exist in RBAC only\n\n"
        "The API server asks for them; kubectl warns that it knows no such verb or resource.\n\n"
    )
    parts.append(table(("verb", "on", "lets"), _WORDS))
    return {"rights.md": "".join(parts)}


_GROUP = "codriverlabs.ai.toe.run"
_WORDS = (
    ("`use`", f"`powertoolconfigs.{_GROUP}` named like the tool", "run a tool of tier High here (`requireUse`)"),
    (
        "`use`",
        f"the same in `{_NAMESPACE}`, named `NAMESPACE.TOOL`",
        "run a tool of tier Extreme in that namespace",
    ),
    (
        "`open`",
        f"`powertoolconfigs.{_GROUP}` in `{_NAMESPACE}`, named like the namespace",
        "change the labels `toe.run/tools` and `toe.run/allow-privileged-tools` of that namespace",
    ),
    ("`exec`, `attach`", f"`toolcontainers.{_GROUP}`", "enter a tool's container, beside the usual right on pods"),
)


def _roles() -> list[rights.Object]:
    return [obj for obj in rights.people(Settings()) if obj["kind"].endswith("Role")]


def _person(role: rights.Object) -> tuple[str, str, str]:
    name, namespace = role["metadata"]["name"], role["metadata"].get("namespace")
    gives = "; ".join(_rule(rule) for rule in role["rules"])
    return f"{role['kind']} {code(name)}{f' in `{namespace}`' if namespace else ''}", gives, PEOPLE[name]


def _rule(rule: rights.Object) -> str:
    what = rule.get("nonResourceURLs") or [_qualified(name, rule["apiGroups"][0]) for name in rule["resources"]]
    return f"{', '.join(rule['verbs'])} on {codes(what, ', ')}"


def _verbs(duty: Duty) -> str:
    return ", ".join(duty.verbs)


def _resource(duty: Duty) -> str:
    named = f" named {codes(duty.names, ', ')}" if duty.names else ""
    return f"{code(_qualified(duty.resource, duty.group))}{named}"


def _place(duty: Duty) -> str:
    if duty.names == (rights.TRUST,):
        return "`kube-system`"
    return f"`{_NAMESPACE}`" if duty.is_local else ""


def _qualified(resource: str, group: str) -> str:
    plural, slash, part = resource.partition("/")
    return f"{plural}{'.' if group else ''}{group}{slash}{part}"
