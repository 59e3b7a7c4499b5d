"""Bodies are decoded strictly."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.api.wire import decode, read_each
from windowshop.errors import InvalidInput
from windowshop.records import Event


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}{}",
        b"NaN",
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"1e999",
        b"1" * 400,
        b"'a'",
        b'"\xff"',
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"\x00",
        "{}".encode("utf-16"),
        b"[" * 200_000,
        b"[" * 300 + b"]" * 300,
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_or_too_deep_is_refused(body):
    with pytest.raises(InvalidInput) as caught:
        decode(body)
    assert caught.value.flaws


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}',
        b'{"x": [{"user_id": "me", "user_id": "you"}]}',
        b'{"a": {"b": 1}, "a": {}}',
        b'{"\\u0061": 1, "a": 2}',
        b'{"a": "\\u003a", "b": 1, "b": 2}',
        b'{"a\\u003A": ":", "b": 1, "b": 2}',
    ],
)
def test_a_name_given_twice_is_refused(body):
    with pytest.raises(InvalidInput, match="given twice"):
        decode(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}',
        b'{"a:b": "::", "c": "\\u003a:"}',
        b' {"a" :\n1 }\t',
        b'{"": 0, " ": 0}',
        b"-0.0",
    ],
)
def test_what_is_unambiguous_is_read(body):
    assert decode(body) == json.loads(body)


def test_a_huge_whole_number_is_a_float_as_in_a_browser():
    assert decode(b"[123456789012345678901234567890]") == [1.2345678901234568e29]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_every_value_is_read_back(value, escaped):
    assert decode(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1), st.booleans())
def test_every_repeated_name_is_found(value, escaped):
    text = json.dumps(value, ensure_ascii=escaped)
    name = json.dumps(next(iter(value)), ensure_ascii=escaped)
    with pytest.raises(InvalidInput, match="given twice"):
        decode(f"{text[:-1]}, {name}: null}}".encode())


@given(st.binary(max_size=60))
def test_bytes_are_read_as_orjson_reads_them_or_refused(body):
    try:
        value = decode(body)
    except InvalidInput:
        return
    assert value == orjson.loads(body)


def test_elements_are_read_each_alone():
    good = {"kind": "view", "user_id": "u", "item_id": "i"}
    events, places, rejected = read_each(Event, [1, good, {**good, "itemid": "x"}, good, None])

    assert [event.item_id for event in events] == ["i", "i"]
    assert places == [1, 3]
    assert [one.index for one in rejected] == [0, 2, 4]
    assert rejected[1].detail == "itemid: unknown field; did you mean 'item_id'?"
    assert {one.code for one in rejected} == {"invalid_input"}
