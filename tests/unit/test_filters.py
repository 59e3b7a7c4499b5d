"""Filters: what is accepted, what each error says, and what matches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.errors import InvalidInput
from windowshop.filters import MAX_DEPTH, FieldType, category_paths, matches, mentions, parse

DECLARED: dict[str, FieldType] = {
    "colour": "keyword",
    "size": "integer",
    "weight": "float",
    "vegan": "bool",
    "best_before": "datetime",
}
TEA = {
    "item_id": "1",
    "title": "Tea",
    "brand": "Acme",
    "category": ["Drinks", "Hot", "Tea"],
    "path": category_paths(["Drinks", "Hot", "Tea"]),
    "price": 3.5,
    "available": True,
    "created_at": "2026-01-02T03:04:05.000Z",
    "attributes": {
        "colour": ["green", "black"],
        "size": 3,
        "weight": 0.25,
        "vegan": True,
        "best_before": "2027-06-01",
    },
}


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        ({}, True),
        ({"brand": "Acme"}, True),
        ({"brand": "acme"}, False),
        ({"brand": {"any_of": ["Zed", "Acme"]}}, True),
        ({"brand": {"any_of": []}}, False),
        ({"brand": {"none_of": ["Acme"]}}, False),
        ({"brand": {"none_of": []}}, True),
        ({"currency": {"none_of": ["EUR"]}}, True),
        ({"currency": {"exists": False}}, True),
        ({"brand": {"exists": False}}, False),
        ({"category": {"exists": True}}, True),
        ({"category": "Drinks"}, True),
        ({"category": "Drinks > Hot"}, True),
        ({"category": ["Drinks", "Hot", "Tea"]}, True),
        ({"category": "Hot"}, False),
        ({"category": {"any_of": ["Food", ["Drinks"]]}}, True),
        ({"category": {"none_of": ["Drinks > Cold"]}}, True),
        ({"price": 3.5}, True),
        ({"price": {"gte": 3.5, "lt": 4}}, True),
        ({"price": {"gt": 3.5}}, False),
        ({"price": {"none_of": [3.5]}}, False),
        ({"available": True}, True),
        ({"created_at": {"gte": "2026-01-01T00:00:00Z"}}, True),
        ({"created_at": {"lt": 1_700_000_000}}, False),
        ({"created_at": "2026-01-02T04:04:05+01:00"}, True),
        ({"attributes.colour": "green"}, True),
        ({"attributes.colour": {"none_of": ["green"]}}, False),
        ({"attributes.size": 3}, True),
        ({"attributes.size": {"gt": 2, "lte": 3}}, True),
        ({"attributes.weight": {"lt": 1}}, True),
        ({"attributes.vegan": True}, True),
        ({"attributes.best_before": {"gt": "2027-05-31T00:00:00Z"}}, True),
        ({"any": [{"brand": "Zed"}, {"price": {"lt": 5}}]}, True),
        ({"not": {"brand": "Acme"}}, False),
        ({"brand": "Acme", "not": {"price": {"gt": 5}}}, True),
    ],
)
def test_matches(where: dict[str, Any], passes: bool) -> None:
    assert matches(parse(where, DECLARED), TEA) is passes


@pytest.mark.parametrize(
    ("where", "pointer", "says"),
    [
        ({"brnd": "x"}, "/filters/brnd", "did you mean 'brand'"),
        ({"colour": "x"}, "/filters/colour", "did you mean 'attributes.colour'"),
        ({"attributes.taste": "x"}, "/filters/attributes.taste", "windowshop fields add taste"),
        ({"price": {"gtee": 1}}, "/filters/price/gtee", "did you mean 'gte'"),
        ({"price": "cheap"}, "/filters/price", "finite number"),
        ({"price": {"gte": float("nan")}}, "/filters/price/gte", "finite"),
        ({"price": {}}, "/filters/price", "empty condition"),
        ({"brand": 3}, "/filters/brand", "must be a string"),
        ({"brand": {"gte": "a"}}, "/filters/brand", "ranges are for numbers"),
        ({"available": "yes"}, "/filters/available", "must be a bool"),
        ({"attributes.size": True}, "/filters/attributes.size", "must be a integer"),
        ({"created_at": "yesterday"}, "/filters/created_at", "RFC 3339"),
        ({"any": {}}, "/filters/any", "list of filters"),
        ({"any": []}, "/filters/any", "list of filters"),
        ({"any": [3]}, "/filters/any/0", "object"),
        ({"brand": {"any_of": "Acme"}}, "/filters/brand/any_of", "takes a list"),
        ({"brand": {"exists": "yes"}}, "/filters/brand/exists", "true or false"),
        ({"brand": "$moon.brand"}, "/filters/brand", "$item"),
    ],
)
def test_errors_point_and_help(where: dict[str, Any], pointer: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(where, DECLARED, lambda _: None)
    assert caught.value.flaws[0].pointer == pointer
    assert says in caught.value.detail


def test_depth_is_bounded() -> None:
    where: dict[str, Any] = {"brand": "Acme"}
    for _ in range(MAX_DEPTH - 1):
        where = {"not": where}
    parse(where, {})
    with pytest.raises(InvalidInput, match="nest at most"):
        parse({"not": where}, {})


def test_number_of_conditions_is_bounded() -> None:
    with pytest.raises(InvalidInput, match="at most 200"):
        parse({"any": [{"brand": "x"}] * 200}, {})


def test_placeholders_stand_for_values_and_for_nothing_without_one() -> None:
    values = {"$item.brand": ["Acme"], "$item.category": ["Drinks", "Hot"], "$item.price": None}
    resolve = values.get
    assert matches(parse({"brand": "$item.brand"}, {}, resolve), TEA)
    assert matches(parse({"category": "$item.category"}, {}, resolve), TEA)
    assert not matches(parse({"price": {"lt": "$item.price"}}, {}, resolve), TEA)
    assert not matches(parse({"category": "$user.last_category"}, {}, resolve), TEA)


def test_mentions_looks_at_every_depth() -> None:
    assert mentions({"any": [{"brand": "x"}, {"not": {"available": False}}]}, "available")
    assert not mentions({"any": [{"brand": "available"}]}, "available")
    assert not mentions(None, "available")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["brand", "price", "category", "any", "not", "gte", "any_of", "exists"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["brand", "price", "any", "not", "x", "available"]), json_values
    )
)
def test_any_json_is_a_filter_or_invalid_input(where: dict[str, Any]) -> None:
    try:
        found = parse(where, DECLARED, lambda _: None)
    except InvalidInput as error:
        assert error.flaws  # noqa: PT017 - most inputs raise, some need not
    else:
        assert matches(found, TEA) in (True, False)
