"""Merge patches that leave nothing of what was there before."""

from toe.api.meta import Condition, ObjectMeta
from toe.api.powertoolcatalog import PowerToolCatalog, PowerToolCatalogSpec, PowerToolCatalogStatus
from toe.plan.patches import nulled, status_patch

TOLD = PowerToolCatalogStatus(3, (Condition("Current", "True", "Compiled"),))
CATALOG = PowerToolCatalog(ObjectMeta(uid="u-1", resource_version="7"), PowerToolCatalogSpec(), TOLD)


def test_what_a_map_no_longer_has_is_named_with_null() -> None:
    """A merge patch keeps what it does not name; what is no map is replaced whole."""
    assert nulled({"a": 1, "b": 2}, {"b": 3}) == {"a": None, "b": 3}
    assert nulled({"a": 1}, None) is None
    assert nulled(None, {"a": 1}) == {"a": 1}
    assert nulled([1, 2], [3]) == [3]


def test_a_status_is_written_whole_and_to_the_version_that_was_read() -> None:
    """Fields that are gone are nulled."""
    version = {"uid": "u-1", "resourceVersion": "7"}
    told = ({"type": "Current", "status": "True", "reason": "Compiled"},)
    assert status_patch(CATALOG, TOLD) == {
        "metadata": version,
        "status": {"observedGeneration": 3, "conditions": told},
    }
    assert status_patch(CATALOG, PowerToolCatalogStatus(4)) == {
        "metadata": version,
        "status": {"observedGeneration": 4, "conditions": None},
    }
