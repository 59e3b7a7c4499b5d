"""The mapping file: what it can say, and what each slip is told."""

import contextlib
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.errors import InvalidInput
from windowshop.mapping import Mapping, parse

EVERYTHING = """
[columns]
item_id = "Artikel"
title = 1
attributes.colour = "Farbe"
"attributes.size" = "Groesse"
material = "Stoff"
deleted = "weg"
user_id = "Kunde"
context.page = "Seite"

[constants]
currency = "EUR"
kind = "purchase"
attributes.origin = "shop"
available = true

[lists]
category = "|"
tags = ","
attributes.colour = "/"

[options]
delimiter = "\\t"
encoding = "GBK"
header = false
timezone = "Europe/Berlin"
order = "position"

[kinds]
review = "like"

[filterable]
colour = "keyword"
attributes.size = "integer"
"""


def test_everything_that_a_mapping_can_say():
    mapping = parse(EVERYTHING)
    assert mapping.columns == {
        "item_id": "Artikel",
        "title": 1,
        "attributes.colour": "Farbe",
        "attributes.size": "Groesse",
        "attributes.material": "Stoff",
        "deleted": "weg",
        "user_id": "Kunde",
        "context.page": "Seite",
    }
    assert mapping.constants == {
        "currency": "EUR",
        "kind": "purchase",
        "attributes.origin": "shop",
        "available": True,
    }
    assert mapping.lists == {"category": "|", "tags": ",", "attributes.colour": "/"}
    assert mapping.kinds == {"review": "like"}
    assert mapping.filterable == {"colour": "keyword", "size": "integer"}
    options = mapping.options
    assert (options.delimiter, options.encoding, options.header) == ("\t", "gbk", False)
    assert (str(options.timezone), options.order) == ("Europe/Berlin", "position")


def test_nothing_said_is_the_default():
    assert parse("") == Mapping.default()
    assert parse("").options.timezone is UTC


def test_an_offset_is_a_time_zone():
    zone = parse('[options]\ntimezone = "+08:00"').options.timezone
    assert zone.utcoffset(None) == timedelta(hours=8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[colums]\nitem_id = "x"', "did you mean 'columns'"),
        ('[columns]\nitem = "x"', "did you mean 'item_id'"),
        ('[columns]\ntilte = "x"', "did you mean 'title'"),
        ('[columns]\nprize = "x"', "did you mean 'price'"),
        ('[columns]\nimage = "x"', "did you mean 'image_url'"),
        ('[columns]\nname = "x"', "did you mean 'title'"),
        ('[columns]\n"标题" = "x"', "did you mean 'title'"),
        ("[columns]\ntitle = -1", "place"),
        ("[columns]\ntitle = true", "place"),
        ('[columns]\ntitle = ""', "place"),
        ('[columns]\n"attributes.a.b" = "x"', "1-64 printable"),
        ('[columns]\nattributes."" = "x"', "1-64 printable"),
        ('[constants]\ntitel = "x"', "did you mean 'title'"),
        ('[constants]\nkind = "purchse"', "did you mean 'purchase'"),
        ("[constants]\ntitle = {a = 1}", "a text, a number"),
        ('[kinds]\nreview = "lik"', "did you mean 'like'"),
        ("[kinds]\nreview = 5", "no kind of event"),
        ('[filterable]\ncolour = "keywrd"', "'keywrd' is none of keyword, integer"),
        ('[filterable]\ncolour = "text"', "keyword, integer, float, bool, datetime"),
        ('[lists]\ntags = ""', "separator"),
        ("[lists]\ntags = 1", "separator"),
        ('[options]\ndelimeter = ";"', "did you mean 'delimiter'"),
        ('[options]\ndelimiter = "||"', "one character"),
        ('[options]\ndelimiter = "\\n"', "one character"),
        ('[options]\nencoding = "utf-9"', "unknown encoding"),
        ('[options]\nencoding = "rot13"', "unknown encoding"),
        ('[options]\nheader = "no"', "true or false"),
        ('[options]\ntimezone = "Europe/Berln"', "did you mean 'Europe/Berlin'"),
        ('[options]\ntimezone = "../../etc/passwd"', "unknown time zone"),
        ("[options]\norder = -1", "place"),
        ("columns = 1", "must be a table"),
        ("[columns", "not TOML"),
        ('[columns]\ntitle = "a"\ntitle = "b"', "not TOML"),
    ],
)
def test_a_slip_is_told_what_was_meant(text, says):
    with pytest.raises(InvalidInput, match=says):
        parse(text)


def test_a_name_that_is_no_field_and_looks_like_none_is_an_attribute():
    assert parse('[columns]\ncolour = "Farbe"').columns == {"attributes.colour": "Farbe"}
    assert parse('[columns]\nrating = "x"\n[filterable]\nrating = "float"').columns == {
        "attributes.rating": "x"
    }


def test_at_most_fifty_attributes_are_filterable():
    table = "\n".join(f'a{n} = "keyword"' for n in range(51))
    with pytest.raises(InvalidInput, match="at most 50"):
        parse("[filterable]\n" + table)


@given(st.text(max_size=200))
def test_any_text_is_a_mapping_or_invalid(text):
    with contextlib.suppress(InvalidInput):
        parse(text)


@given(
    st.dictionaries(
        st.sampled_from(["columns", "constants", "lists", "options", "kinds", "filterable"]),
        st.dictionaries(
            st.sampled_from(
                ["title", "attributes", "order", "encoding", "timezone", "header", "kind", "x"]
            ),
            st.sampled_from(
                ['"x"', "1", "true", "1.5", "[1]", "{a = 1}", "2026-01-02", "nan", '""']
            ),
        ),
    )
)
def test_values_of_any_type_are_taken_or_invalid(tables):
    lines = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in table.items())]
    with contextlib.suppress(InvalidInput):
        parse("\n".join(lines))
