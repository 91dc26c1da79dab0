"""``-l`` means what it means to kubectl."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toe.api.meta import LabelSelector, LabelSelectorRequirement
from toe.cli.selector import parse
from toe.cli.sentences import ComplaintError

R = LabelSelectorRequirement


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("app=shop", LabelSelector({"app": "shop"})),
        ("app==shop", LabelSelector({"app": "shop"})),
        (" app = shop , tier=a ", LabelSelector({"app": "shop", "tier": "a"})),
        ("app=", LabelSelector({"app": ""})),
        ("app!=shop", LabelSelector(None, (R("app", "NotIn", ("shop",)),))),
        ("tier in (a,b)", LabelSelector(None, (R("tier", "In", ("a", "b")),))),
        ("tier in(a, b),x", LabelSelector(None, (R("tier", "In", ("a", "b")), R("x", "Exists")))),
        ("tier notin (a)", LabelSelector(None, (R("tier", "NotIn", ("a",)),))),
        ("owner", LabelSelector(None, (R("owner", "Exists"),))),
        ("!canary,! b", LabelSelector(None, (R("canary", "DoesNotExist"), R("b", "DoesNotExist")))),
        ("app.kubernetes.io/name=shop", LabelSelector({"app.kubernetes.io/name": "shop"})),
        ("in", LabelSelector(None, (R("in", "Exists"),))),
        ("app=shop,app=shop", LabelSelector({"app": "shop"})),
    ],
)
def test_every_form_of_kubectl_is_read(text: str, selector: LabelSelector) -> None:
    """=, ==, !=, in, notin, exists, does not exist, and blanks wherever kubectl takes them."""
    assert parse(text) == selector


EMPTY = ("", ",", "a=b,")
GARBLED = ("a in b", "a in (b", "a > 1", "a=b=c", "a b", "-a=b", "a=-", "a=b c", "!a=b", "a in (x y)", "shop-1/")


@pytest.mark.parametrize("text", [*EMPTY, *GARBLED, "a=" + "x" * 64])
def test_what_is_no_selector_is_wrong_usage(text: str) -> None:
    """The part that is none is named, and the grammar shown."""
    with pytest.raises(ComplaintError, match="selector") as raised:
        parse(text)
    assert raised.value.status == 2
    assert raised.value.hints


def test_two_values_of_one_label_contradict_each_other() -> None:
    """No pod has both; kubectl would find nothing, silently."""
    with pytest.raises(ComplaintError, match="app cannot be a and b at once"):
        parse("app=a,app=b")


NAMES = st.from_regex("[a-z]([a-z.-]{0,10}[a-z])?", fullmatch=True)


@given(
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.lists(
        st.one_of(
            st.builds(R, NAMES, st.sampled_from(("In", "NotIn")), st.lists(NAMES, min_size=1, max_size=3).map(tuple)),
            st.builds(R, NAMES, st.sampled_from(("Exists", "DoesNotExist"))),
        ),
        max_size=3,
    ),
)
def test_a_selector_reads_as_it_is_written(labels: dict[str, str], expressions: list[LabelSelectorRequirement]) -> None:
    """Text and back is the same selector, for every selector that is not empty."""
    selector = LabelSelector(labels or None, tuple(expressions) or None)
    if labels or expressions:
        read = parse(str(selector))
        assert read.match_labels == selector.match_labels
        assert read.match_expressions == selector.match_expressions
