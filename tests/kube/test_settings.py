"""Settings: a profile, and what was set alone; the same for every program that reads the flags."""

import argparse
from datetime import timedelta
from typing import Any

import pytest

from toe.api.settings import PROFILES, Settings
from toe.errors import SettingsError
from toe.kube.settings import chosen_settings, settings_flags, stated_settings


def _chosen(*words: str) -> Settings:
    parser = argparse.ArgumentParser()
    settings_flags(parser)
    return chosen_settings(parser.parse_args(words))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_what_it_is_where_nothing_is_set_alone(profile: str) -> None:
    """All of it."""
    assert _chosen(f"--profile={profile}") == PROFILES[profile]  # type: ignore[index]


@pytest.mark.parametrize(
    ("word", "setting", "value"),
    [
        ("--system-namespace=ops", "system_namespace", "ops"),
        ("--require-use=Low", "require_use", "Low"),
        ("--require-use=never", "require_use", None),
        ("--require-target-access=refuse", "require_target_access", "refuse"),
        ("--require-digest=Medium", "require_digest", "Medium"),
        ("--require-review-date=yes", "require_review_date", True),
        ("--service-accounts=listed", "service_accounts", "listed"),
        ("--unknown-identity=image", "unknown_identity", "image"),
        ("--go-variables=yes", "go_variables", True),
        ("--stamp-age=1h", "stamp_age", timedelta(hours=1)),
        ("--listed-service-account=ci:bot", "listed_service_accounts", ("system:serviceaccount:ci:bot",)),
    ],
)
def test_each_setting_can_be_set_alone(word: str, setting: str, value: Any) -> None:
    """The others stay those of the profile."""
    chosen, before = _chosen(word), Settings()
    assert getattr(chosen, setting) == value != getattr(before, setting)
    others = [name for name in Settings.__struct_fields__ if name != setting]
    assert [getattr(chosen, name) for name in others] == [getattr(before, name) for name in others]


def test_what_a_profile_has_can_be_taken_away() -> None:
    """Also from the strictest."""
    assert _chosen("--profile=hardened", "--require-review-date=no").require_review_date is False
    assert _chosen("--profile=hardened", "--require-digest=never").require_digest is None


@pytest.mark.parametrize("word", ["--listed-service-account=bot", "--listed-service-account=a:b:c", "--stamp-age=soon"])
def test_what_nobody_can_read_is_refused(word: str) -> None:
    """With the flag and what is wanted."""
    with pytest.raises(SettingsError, match="is wanted"):
        _chosen(word)


def test_an_installed_program_says_what_it_was_started_with() -> None:
    """Beside flags of its own; nothing is taken from one whose flags are of another version."""
    words = ["controller", "--profile=hardened", "--require-use=High", "--workers=7", "--leader-elect"]
    found = stated_settings(words)
    assert found is not None
    assert (found.profile, found.require_use, found.require_digest) == ("hardened", "High", "High")
    assert stated_settings(["controller", "--workers=7"]) is None
    assert stated_settings(["controller", "--profile=strictest"]) is None
    assert stated_settings(["controller", "--profile=standard", "--stamp-age=never"]) is None
