"""Charts: round ticks, places that say what the values are, and nothing from outside as markup."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.evaluate import plots
from windowshop.evaluate.plots import Line, Point, Row

finite = st.floats(-1e6, 1e6, allow_nan=False)


def parsed(svg):
    return ET.fromstring(svg)


def places(svg, kind):
    """The x (or cx) of each drawn shape of a class."""
    return [
        float(node.get("cx") or re.match(r"M([\d.-]+)", node.get("d")).group(1))
        for node in parsed(svg).iter()
        if (node.get("class") or "").startswith(kind)
    ]


@given(finite, finite)
def test_ticks_are_even_and_enclose(one, other):
    low, high = min(one, other), max(one, other)
    found = plots.ticks(low, high)
    steps = {round(b - a, 9) for a, b in pairwise(found)}
    assert 2 <= len(found) <= 8
    assert found == sorted(found)
    if high - low > 1e-3:
        assert found[0] <= low + 1e-9 * abs(low) + 1e-9
        assert found[-1] >= high - 1e-9 * abs(high) - 1e-9
        assert max(steps) - min(steps) <= 1e-6 * max(steps)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.09, [0, 0.02, 0.04, 0.06, 0.08, 0.1]),
        (0.93, 1.02, [0.92, 0.94, 0.96, 0.98, 1, 1.02]),
        (3, 3, [0, 1, 2, 3]),
        (-3, -3, [-3, -2, -1, 0]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert plots.ticks(low, high) == pytest.approx(expected)


def test_greater_values_stand_further_right_and_whiskers_reach_their_interval():
    some = [
        Row("a", Point(0.9, 0.8, 1.0, "x0.9")),
        Row("b", Point(1.0, shown="x1")),
        Row("c", Point(1.1, 1.05, 1.2, "x1.1")),
    ]
    svg = plots.rows("ratio", "Ratios", "a 0.9", some, mark=1.0)
    dots = places(svg, "dot")
    assert dots == sorted(dots)
    mark = next(node for node in parsed(svg).iter() if node.get("class") == "mark")
    assert float(mark.get("x1")) == dots[1]
    starts = places(svg, "whisker")
    assert starts[0] < dots[0]
    assert dots[1] < starts[1] < dots[2]


def test_bars_begin_at_zero_and_are_as_long_as_their_values():
    svg = plots.rows(
        "cpu", "CPU", "", [Row("a", Point(2.0)), Row("b", Point(4.0)), Row("c", Point(0.0))],
        bars=True,
    )  # fmt: skip
    bars = [node for node in parsed(svg).iter() if node.tag.endswith("rect")]
    assert len({bar.get("x") for bar in bars}) == 1
    assert float(bars[1].get("width")) == pytest.approx(2 * float(bars[0].get("width")), rel=0.02)
    assert float(bars[2].get("width")) == 1  # to be seen at all


def test_a_line_leaves_out_what_is_not_there_and_is_named_at_its_end():
    some = [
        Line("one", [Point(0.1), None, Point(0.3)]),
        Line("two", [None, None, None], 1),
        Line("three", [Point(0.1), Point(0.2), Point(0.3)], 2),
    ]
    columns = [("0", "n = 1"), ("1-5", "n = 2"), (">5", "n = 3")]
    svg = plots.lines("history", "By length", "", columns, some)
    assert len(places(svg, "dot c0")) == 2
    assert len(places(svg, "dot c2")) == 3
    texts = [node.text for node in parsed(svg).iter() if node.tag.endswith("text")]
    assert {"one", "three", "0", "n = 3"} <= set(texts)
    assert "two" not in texts


@given(st.lists(st.floats(0, 200), max_size=10).map(sorted))
def test_names_never_cover_each_other(some):
    found = plots.apart(some, 15, 0, 200)
    assert len(found) == len(some)
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(found))
    assert all(0 <= place <= 200 for place in found)


def test_markup_in_a_name_is_text_and_each_chart_says_what_it_shows():
    name = '<script>alert("x")</script>&'
    for svg in (
        plots.rows("a", name, name, [Row(name, Point(1.0, shown=name))]),
        plots.lines("b", name, name, [(name, name)], [Line(name, [Point(1.0)])]),
    ):
        root = parsed(svg)
        assert root.get("role") == "img"
        ids = {node.get("id"): node.text for node in root if node.get("id")}
        assert [ids[i] for i in root.get("aria-labelledby").split()] == [name, name]
        assert "<script" not in svg


def test_an_empty_chart_is_one():
    assert parsed(plots.rows("a", "A", "", [])) is not None
    assert parsed(plots.lines("b", "B", "", [], [])) is not None
