"""kubectl's ``-l``: text to a label selector."""

from toe.api.meta import LabelSelector
from toe.api.selector import parse_selector
from toe.cli.sentences import ComplaintError
from toe.errors import DecodeError

HINT = "as kubectl takes it: app=shop,tier in (a,b),env!=dev,owner,!canary"


def parse(text: str) -> LabelSelector:
    """Reads a selector; ComplaintError names the part that is none."""
    try:
        return parse_selector(text)
    except DecodeError as error:
        raise ComplaintError(f"{error.message} (-l)", hints=[HINT], status=2) from None
