"""Which rights a run needs, as questions."""

import pytest

from toe.api.meta import GROUP
from toe.api.powertoolconfig import Tier
from toe.api.settings import PROFILES
from toe.policy.access import Question, at_least, entry_to, use_of

STANDARD = PROFILES["standard"]


@pytest.mark.parametrize(("tier", "asked"), [("Low", False), ("Medium", False), ("High", True), ("Extreme", True)])
def test_use_is_asked_from_the_settings_tier_on(tier: Tier, asked: bool) -> None:
    """Each profile has its own."""
    assert (use_of("aperf", tier, "production", STANDARD) is not None) is asked
    assert use_of("aperf", tier, "production", PROFILES["compat"]) is None
    assert use_of("aperf", tier, "production", PROFILES["hardened"]) is not None


def test_extreme_is_asked_where_namespace_administrators_have_no_say() -> None:
    """In the system namespace, under the name of namespace and tool."""
    assert use_of("aperf", "High", "production", STANDARD) == Question(
        "use", "powertoolconfigs", "production", "aperf", GROUP
    )
    assert use_of("aperf", "Extreme", "production", STANDARD) == Question(
        "use", "powertoolconfigs", "toe-system", "production.aperf", GROUP
    )


def test_a_right_reads_as_what_to_ask_for() -> None:
    """An administrator can grant it from the sentence alone."""
    assert str(entry_to("production")) == "verb create on pods/exec in namespace production"
    named = use_of("aperf", "High", "production", STANDARD)
    assert str(named) == "verb use on powertoolconfigs named aperf in namespace production"


def test_no_tier_reaches_a_limit_of_none() -> None:
    """None is never."""
    assert not at_least("Extreme", None)
