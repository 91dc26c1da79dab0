"""Which settings a program has: those of a profile, and what was set alone beside it.

Controller and webhook must agree, and a person's ``kubectl toe`` with both: so all read the same flags, the CLI those
of the installed controller.
"""

import argparse
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args

import msgspec

from toe.api.powertoolconfig import Tier
from toe.api.settings import PROFILES, ServiceAccounts, Settings, TargetAccess, UnknownIdentity
from toe.api.time import parse_duration
from toe.errors import SettingsError

NEVER = "never"
_TIERS = (*get_args(Tier), NEVER)
_YES_NO = ("yes", "no")
_ACCOUNT = "system:serviceaccount:"


class _Flag(msgspec.Struct, frozen=True):
    """Is a setting that can be set alone."""

    setting: str
    accepted: tuple[str, ...]
    meaning: str


_FLAGS = (
    _Flag("require_use", _TIERS, "from which tier on the requester needs the verb use on the tool"),
    _Flag(
        "require_target_access",
        get_args(TargetAccess),
        "whether the requester must also be able to create pods/exec where a tool reaches memory, traffic or the node",
    ),
    _Flag("require_digest", _TIERS, "from which tier on images must be named by digest"),
    _Flag("require_review_date", _YES_NO, "whether an Extreme tool needs a review-date"),
    _Flag("service_accounts", get_args(ServiceAccounts), "whether service accounts may ask for tools above Medium"),
    _Flag("unknown_identity", get_args(UnknownIdentity), "what becomes of a tool whose target's identity nobody knows"),
    _Flag("go_variables", _YES_NO, "whether tools also get the variables of the Go implementation"),
)


def settings_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that :func:`chosen_settings` reads."""
    parser.add_argument("--system-namespace", default="toe-system", help="the only namespace PowerToolConfigs count in")
    parser.add_argument("--profile", default="standard", choices=tuple(PROFILES), help="settings of rights and fence")
    for flag in _FLAGS:
        words = f"{flag.meaning}; default: the profile's"
        parser.add_argument(_name(flag), choices=flag.accepted, help=words)
    parser.add_argument(
        "--listed-service-account",
        action="append",
        metavar="NAMESPACE:NAME",
        help="of those that may ask for tools above Medium where they must be listed; may be repeated",
    )
    parser.add_argument(
        "--stamp-age",
        metavar="DURATION",
        help="how old the stamp of who asked may be when a run starts; default: 12h",
    )


def chosen_settings(options: argparse.Namespace) -> Settings:
    """Returns the profile's settings with what the flags say; raises SettingsError."""
    chosen: dict[str, Any] = {"system_namespace": options.system_namespace}
    for flag in _FLAGS:
        if (word := getattr(options, flag.setting)) is not None:
            chosen[flag.setting] = _value(flag, word)
    if listed := options.listed_service_account:
        chosen["listed_service_accounts"] = tuple(map(_account, listed))
    if options.stamp_age is not None:
        chosen["stamp_age"] = _age(options.stamp_age)
    return msgspec.structs.replace(PROFILES[options.profile], **chosen)


def stated_settings(words: Sequence[str]) -> Settings | None:
    """Returns the settings that an installed program was started with; None where its flags do not say."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    settings_flags(parser)
    if not any(word.startswith("--profile=") for word in words):
        return None
    try:
        options, _ = parser.parse_known_args(list(words))
        return chosen_settings(options)
    except (argparse.ArgumentError, SettingsError):  # of another version of toe
        return None


def _name(flag: _Flag) -> str:
    return f"--{flag.setting.replace('_', '-')}"


def _value(flag: _Flag, word: str) -> str | bool | None:
    if flag.accepted is _YES_NO:
        return word == "yes"
    return None if word == NEVER else word


def _account(text: str) -> str:
    namespace, _, name = text.partition(":")
    if not namespace or not name or ":" in name:
        raise SettingsError(f"--listed-service-account {text!r}: NAMESPACE:NAME is wanted")
    return f"{_ACCOUNT}{text}"


def _age(text: str) -> timedelta:
    age = parse_duration(text)
    if age is None or age < timedelta(minutes=1):
        raise SettingsError(f"--stamp-age {text!r}: a duration of at least 1m such as 12h is wanted")
    return age
