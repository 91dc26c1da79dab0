"""Who may do what: least rights, and nothing that comes to people by itself."""

from typing import Any

import pytest

from charts import rights
from tests.builders import SETTINGS
from toe.api.fence.policy import APISERVER, COLLECTOR, CONTROLLER, WEBHOOK

READS = {"get", "list", "watch"}
EVENTS = {("create", "events"), ("patch", "events")}
ASKS = {("create", "subjectaccessreviews"), ("create", "tokenreviews")}


def _rules(account: str) -> list[dict[str, Any]]:
    return [rule for obj in rights.account(account, SETTINGS) for rule in obj.get("rules", ())]


@pytest.mark.parametrize(
    ("account", "writes"),
    [
        (
            CONTROLLER,
            {
                ("patch", "powertools/status"),
                ("patch", "powertoolconfigs/status"),
                ("patch", "pods/ephemeralcontainers"),
                ("patch", "leases"),
                ("create", "leases"),
                *EVENTS,
                *ASKS,
            },
        ),
        (
            WEBHOOK,
            {
                ("patch", "powertoolcatalogs"),
                ("patch", "powertoolcatalogs/status"),
                ("create", "powertoolcatalogs"),
                *ASKS,
            },
        ),
        (COLLECTOR, {*EVENTS, *ASKS}),
        (APISERVER, ASKS),
    ],
)
def test_an_account_writes_what_is_listed_here_and_nothing_else(account: str, writes: set[tuple[str, str]]) -> None:
    """Who injects cannot write the catalog, and who writes the catalog cannot inject: a thief needs both."""
    found = {(verb, resource) for rule in _rules(account) for resource in rule["resources"] for verb in rule["verbs"]}
    assert {right for right in found if right[0] not in READS} == writes


@pytest.mark.parametrize("account", [CONTROLLER, WEBHOOK, COLLECTOR, APISERVER])
def test_no_account_reads_secrets_and_none_reads_configmaps_of_others(account: str) -> None:
    """What a part needs of them is mounted; the front proxy's authority is read by Kubernetes' own role."""
    assert not any({"secrets", "configmaps"} & set(rule["resources"]) for rule in _rules(account))


def test_nothing_is_aggregated_and_nothing_is_a_wildcard() -> None:
    """Neither into admin, edit or view, nor by a star."""
    for obj in [*rights.everything(SETTINGS), *rights.downloads(SETTINGS)]:
        assert "labels" not in obj["metadata"]
        assert "aggregationRule" not in obj
        for rule in obj.get("rules", ()):
            assert "*" not in [*rule.get("apiGroups", ()), *rule.get("resources", ()), *rule["verbs"]]


def test_the_roles_of_people_are_bound_to_nobody() -> None:
    """Who gets one, and where, is the administrator's choice."""
    objects = rights.everything(SETTINGS)
    bound = {obj["roleRef"]["name"] for obj in objects if obj["kind"].endswith("Binding")}
    assert not bound & {*rights.PEOPLE, rights.TOOLS_READER}
    assert {"powertoolconfig-admin", "powertool-user"} <= set(rights.PEOPLE)


def test_everybody_may_read_where_downloads_are_and_nothing_else_of_that_kind() -> None:
    """That one ConfigMap, and written by nobody."""
    role, binding = rights.downloads(SETTINGS)
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["toe-downloads"]}
    ]
    assert [subject["name"] for subject in binding["subjects"]] == ["system:authenticated"]
