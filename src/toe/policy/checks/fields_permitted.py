"""A user sets no field that is not a user's.

Why: security belongs to the PowerToolConfig. The schema refuses these fields in the API server; this is the same rule
for objects that came past it (an older CRD, a restored backup), and for ``lint``.
"""

from toe.api.powertool import PowerToolSpec, Targets, Tool
from toe.api.reasons import Reason
from toe.api.schema import Rule
from toe.policy.request import Request
from toe.policy.verdict import Violation


def _forbidden(kind: type[PowerToolSpec | Targets | Tool]) -> tuple[tuple[str, Rule], ...]:
    attribute = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    return tuple((attribute[rule.path[1:]], rule) for rule in kind.RULES if rule.cel == f"!has(self{rule.path})")


_FORBIDDEN = {kind: _forbidden(kind) for kind in (PowerToolSpec, Targets, Tool)}


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts a run in which every refused field is absent."""
    spec = request.run.spec
    places = (("spec", spec), ("spec.targets", spec.targets), ("spec.tool", spec.tool))
    return tuple(
        Violation(Reason.FIELD_FORBIDDEN, rule.message, place + rule.path)
        for place, struct in places
        for name, rule in _FORBIDDEN[type(struct)]
        if getattr(struct, name) is not None
    )
