"""The catalog's schema and rules, asked without a cluster, by the code that asks them for manifests."""

import msgspec
from msgspec import inspect

from toe.api.codec import _broken_rules, _violations
from toe.api.crd import schema_of
from toe.api.powertoolcatalog import PowerToolCatalog, PowerToolCatalogSpec


def complaints(catalog: PowerToolCatalogSpec) -> list[tuple[str, str]]:
    """Lists (path, message) of everything in a catalog that the API server would refuse."""
    spec = msgspec.json.decode(msgspec.json.encode(catalog))
    schema = schema_of(PowerToolCatalog)["properties"]["spec"]
    return [*_violations(spec, schema, "spec"), *_broken_rules(spec, inspect.type_info(PowerToolCatalogSpec), "spec")]
