"""Every attack of the issue is in the table, and each says who must answer."""

from toe.api.fence.objects import fence
from toe.api.settings import PROFILES
from toe.policy.attacks import ATTACKS, CATALOG_OBJECT, WEBHOOK

NAMED = {
    *("foreign image", "foreign command", "foreign argument", "extra capability", "privileged", "host PID"),
    *("envFrom a Secret", "mounts", "two containers", "too many containers", "foreign name", "foreign namespace"),
    *("uncovered namespace", "config elsewhere", "duplicate tool", "forged requester", "forged status"),
    *("exec into a tool", "unbound token", "minted token", "relabelled namespace"),
}
"""As the issue lists them; what it lists beside them is inspected, not attacked."""


def test_every_attack_that_was_asked_for_is_there_once() -> None:
    """And some more."""
    names = [attack.name for attack in ATTACKS]
    assert set(names) >= NAMED
    assert len(names) == len(set(names)) == 27


def test_whoever_must_answer_exists() -> None:
    """A policy that is generated, the webhook, Pod Security, or nobody."""
    policies = {obj["metadata"]["name"].removeprefix("toe-fence-") for obj in fence(PROFILES["standard"], stamped=True)}
    for attack in ATTACKS:
        assert {*attack.by, *attack.needs} <= policies | {"webhook", "Pod Security", CATALOG_OBJECT, WEBHOOK}, attack


def test_every_policy_is_attacked() -> None:
    """All but the one that only some profiles have."""
    policies = {obj["metadata"]["name"].removeprefix("toe-fence-") for obj in fence(PROFILES["standard"], stamped=True)}
    assert policies <= {name for attack in ATTACKS for name in (*attack.by, *attack.needs)}
