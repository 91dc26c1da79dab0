"""The catalog is kept equal to the configs, in the version that was seen."""

from tests.builders import a_config, judged
from toe.api.meta import ObjectMeta
from toe.api.powertoolcatalog import PowerToolCatalog, PowerToolCatalogSpec
from toe.plan.catalog import compile_catalog
from toe.webhook.catalog import change


def test_a_change_is_whole_and_fails_on_any_other_version() -> None:
    """All tools are written, and somebody else's write in between is never overwritten unseen."""
    meta = ObjectMeta(name="catalog", namespace="toe-system", uid="u-1", resource_version="7")
    catalog = PowerToolCatalog(metadata=meta, spec=PowerToolCatalogSpec())
    patch = change(catalog, compile_catalog(judged(a_config())))
    assert patch["metadata"] == {"uid": "u-1", "resourceVersion": "7"}
    assert [tool["name"] for tool in patch["spec"]["tools"]] == ["aperf"]
    assert change(catalog, PowerToolCatalogSpec())["spec"] == {"tools": ()}
