"""The image of a dangerous tool is named by digest."""

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.api.settings import PROFILES
from toe.policy.checks.image_pinned import check

HARDENED = PROFILES["hardened"]
SECURITY = {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True}
TAGGED = a_config(image="registry.example/tool:1", security=SECURITY)


def test_allows_a_digest_and_lower_tiers_and_other_settings() -> None:
    """hardened asks from tier High on."""
    assert check(a_request(a_powertool(), a_config(security=SECURITY), settings=HARDENED)) == ()
    assert check(a_request(a_powertool(), a_config(image="registry.example/tool:1"), settings=HARDENED)) == ()
    assert check(a_request(a_powertool(), TAGGED)) == ()
    assert check(a_request(a_powertool(), TAGGED, TAGGED, settings=HARDENED)) == ()


def test_denies_a_tag() -> None:
    """It can be moved after the approval."""
    (answer,) = check(a_request(a_powertool(), TAGGED, settings=HARDENED))
    assert answer.reason == Reason.IMAGE_NOT_PINNED
