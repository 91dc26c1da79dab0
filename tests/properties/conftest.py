"""How much is tried: little by default, so that the pure tests end in seconds.

``pytest tests/properties --hypothesis-profile=more --timeout=0`` tries twenty times as much, in minutes.
"""

from hypothesis import HealthCheck, settings

_QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("more", max_examples=2000, stateful_step_count=60, print_blob=True, **_QUIET)
settings.register_profile("some", max_examples=100, stateful_step_count=40, **_QUIET)
if settings.get_current_profile_name() != "more":
    settings.load_profile("some")
