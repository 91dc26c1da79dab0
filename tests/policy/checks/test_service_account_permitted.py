"""A service account that asks for a dangerous tool is one that the platform listed."""

import msgspec

from tests.builders import a_config, a_powertool, a_request
from toe.api.reasons import Reason
from toe.api.settings import PROFILES
from toe.policy.checks.service_account_permitted import check

HARDENED = PROFILES["hardened"]
HIGH = a_config(security={"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "runAsRoot": True})
NAME = "system:serviceaccount:gitops:deployer"
BOT = a_powertool(requester={"username": NAME})


def test_allows_people_and_harmless_tools_and_other_settings() -> None:
    """Only a deputy with a dangerous tool is looked at."""
    assert check(a_request(a_powertool(), HIGH, settings=HARDENED)) == ()
    assert check(a_request(BOT, a_config(), settings=HARDENED)) == ()
    assert check(a_request(BOT, HIGH)) == ()
    assert check(a_request(BOT, HIGH, HIGH, settings=HARDENED)) == ()


def test_allows_one_that_is_listed() -> None:
    """By its whole name."""
    listed = msgspec.structs.replace(HARDENED, listed_service_accounts=(NAME,))
    assert check(a_request(BOT, HIGH, settings=listed)) == ()


def test_denies_one_that_is_not() -> None:
    """It lends its rights to whoever feeds it."""
    (answer,) = check(a_request(BOT, HIGH, settings=HARDENED))
    assert answer.reason == Reason.SERVICE_ACCOUNT_NOT_LISTED
    assert NAME in answer.message
