"""One line a layer, and the worst of them decides."""

from toe.report.verdicts import Layer, lines, worst


def test_every_layer_has_its_line_and_a_refusal_its_way_out() -> None:
    """What was only predicted says so."""
    found = lines(
        [
            Layer("rules", "passes", "all hold"),
            Layer("fence", "refuses", "no such tool", asked=False, way_out="write it down"),
        ]
    )
    assert found == [
        "rules  passes               all hold",
        "fence  refuses (predicted)  no such tool",
        "    write it down",
    ]
    assert lines([]) == []


def test_a_refusal_beats_waiting_and_that_what_is_not_known() -> None:
    """Nothing said is no objection."""
    layers = [Layer("a", "passes"), Layer("b", "not known"), Layer("c", "waits"), Layer("d", "refuses")]
    assert [worst(layers[:end]) for end in range(5)] == ["passes", "passes", "not known", "waits", "refuses"]
