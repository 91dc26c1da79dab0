"""The catalog's own schema: bounded, and closed against entries that mean nothing."""

import msgspec
import pytest

from tests.api.fence.offline import complaints
from toe.api.crd import schema_of
from toe.api.fence.catalog import custom_resource_definition
from toe.api.meta import ObjectMeta
from toe.api.powertoolcatalog import CatalogEnv, CatalogTool, PowerToolCatalog, PowerToolCatalogSpec

TOOL = CatalogTool(
    name="peek",
    tier="Low",
    image="peek:1",
    image_pull_policy="IfNotPresent",
    identity="Target",
    seccomp_profile="RuntimeDefault",
)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({}, None),
        ({"identity": "Fixed", "user": 1, "group": 2}, None),
        ({"identity": "Fixed"}, "spec.tools[0].identity"),
        ({"identity": "Fixed", "user": 1}, "spec.tools[0].identity"),
        ({"identity": "Root", "user": 1, "group": 2}, "spec.tools[0].identity"),
        ({"env": (CatalogEnv("TZ"),), "env_names": ("TOE_RUN",)}, None),
        ({"env": (CatalogEnv("TOE_RUN"),), "env_names": ("TOE_RUN",)}, "spec.tools[0].env"),
        ({"env_names": ("TOE_COLLECTOR",)}, "spec.tools[0].envNames"),
        ({"env": (CatalogEnv("TOE_COLLECTOR", "x"),)}, "spec.tools[0].env"),
        ({"name": "Peek"}, "spec.tools[0].name"),
        ({"name": "p" * 41}, "spec.tools[0].name"),
        ({"add": ("A", "A")}, "spec.tools[0].add[1]"),
        ({"command": ("x" * 2049,)}, "spec.tools[0].command[0]"),
    ],
)
def test_an_entry_must_mean_something(change: dict[str, object], path: str | None) -> None:
    """Ids belong to the identity Fixed, a variable to one owner, everything is bounded."""
    catalog = PowerToolCatalogSpec(tools=(msgspec.structs.replace(TOOL, **change),))
    assert [where for where, _ in complaints(catalog)] == ([] if path is None else [path])


def test_a_name_is_there_once() -> None:
    """The list is a map by name."""
    assert [where for where, _ in complaints(PowerToolCatalogSpec(tools=(TOOL, TOOL)))] == ["spec.tools[1]"]


def test_a_catalog_without_lists_accepts_nothing() -> None:
    """What is not written is not accepted: no namespace, no container, no argument, no variable."""
    raw = msgspec.to_builtins(TOOL)
    assert set(raw) == {"name", "tier", "image", "imagePullPolicy", "identity", "seccompProfile"}


def test_the_definition_is_made_from_the_types() -> None:
    """One source: the schema is the types', with the status for people apart."""
    (version,) = custom_resource_definition()["spec"]["versions"]
    assert version["schema"]["openAPIV3Schema"] == schema_of(PowerToolCatalog)
    assert version["subresources"] == {"status": {}}
    assert PowerToolCatalog(metadata=ObjectMeta(), spec=PowerToolCatalogSpec()).status.conditions == ()
