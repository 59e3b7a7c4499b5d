"""Delimited text and JSON in memory: whatever a writer writes is read as it was."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from windowshop.files import delimited, jsonrows
from windowshop.table import BadRow

CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\x00\ufeff"), max_size=8
) | st.sampled_from(['"', '""', "\n", ",", ';"', "a\nb", 'x"y', " ", "=1", "'"])


def written(rows, delimiter):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def read(text, delimiter, header=True):
    layout = delimited.layout_of(text, True, delimiter, header, "x")
    return list(delimited.read(io.StringIO(text, newline="\n"), layout))


def trimmed(cells):
    return [cell.lstrip(" ") for cell in cells]


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=12),
    st.sampled_from(",;|^\t"),
)
def test_any_table_round_trips(rows, delimiter):
    got = read(written([["a", "b", "c"], ["1", "2", "3"], *rows], delimiter), delimiter)
    assert not any(isinstance(row, BadRow) for _, row in got)
    values = [trimmed(row.values()) for _, row in got]
    kept = [cells for row in rows if any(cells := trimmed(row))]
    assert [row for row in values[1:] if any(row)] == kept


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=300))
def test_any_text_is_read_to_its_end(text):
    try:
        got = read("a,b\n" + text, ",")
    except delimited.InvalidInput:
        return
    lines = [line for line, _ in got]
    assert lines == sorted(lines)
    assert all(2 <= line <= text.count("\n") + 2 for line in lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


class Slow(io.StringIO):
    """Gives `pace` characters a read, whatever is asked for."""

    pace = 1

    def read(self, size=-1):
        return super().read(min(size, self.pace))


@given(
    st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), min_size=1, max_size=5),
    st.sampled_from([None, 1]),
    st.integers(1, 40),
)
def test_an_array_is_the_same_however_it_is_cut(things, indent, pace):
    text = Slow(json.dumps(things, indent=indent))
    text.pace = pace
    got = [row for _, row in jsonrows.read(text, "array", "x")]
    assert got == things


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), min_size=1, max_size=5))
def test_json_lines_round_trip(things):
    text = "".join(json.dumps(thing) + "\n" for thing in things)
    assert jsonrows.form_of(text) in ("lines", "array")
    assert [row for _, row in jsonrows.read(io.StringIO(text), "lines", "x")] == things
