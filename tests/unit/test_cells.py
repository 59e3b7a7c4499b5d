"""What people write in cells, and what it means."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop import amounts, cells

PRICES = {
    "0": (0, None),
    "19.99": (19.99, None),
    "¥1,299.00": (1299, None),
    "￥１２９９": (1299, None),
    "12,50 €": (12.5, "EUR"),
    "$3.99": (3.99, None),
    "US$ 3.99": (3.99, "USD"),
    "USD 3.99": (3.99, "USD"),
    "3.99 usd": (3.99, "USD"),
    "$ 1,299.00 USD": (1299, "USD"),
    "1.299,00 €": (1299, "EUR"),
    "1 299,00 kr": (1299, None),
    "1\u202f299,00\u00a0€": (1299, "EUR"),
    "CHF 1'299.50": (1299.5, "CHF"),
    "129元": (129, "CNY"),
    "12,-": (12, None),
    "12.– CHF": (12, "CHF"),
    ".99": (0.99, None),
    "1,299": (1299, None),
    "1,299,000": (1299000, None),
    "12,34,567.50": (1234567.5, None),
    "1.299.000": (1299000, None),
    "12,5": (12.5, None),
    "0,125": (0.125, None),
    "1.299": (1.299, None),
    "1.299 €": (1299, "EUR"),
    "1.5E+05": (150000, None),
}
NO_PRICES = [
    "cheap", "12abc", "abc 12", "12.99 - 15.99", "1,2,3", "1.2.3", "1,29,9.00", "€", "5 €/kg", "nan", "inf",
    "-5", "-$5", "$-5", "5-", "1 2", "1_000", "1e99", "٣", "9" * 400, "(3.99)", "--", ",", ".", "1.2,3.4",
]  # fmt: skip


@pytest.mark.parametrize("text", PRICES)
def test_prices_as_shops_write_them(text):
    amount, currency = amounts.price(text)
    assert (amount, currency) == (pytest.approx(PRICES[text][0]), PRICES[text][1])


@pytest.mark.parametrize("text", NO_PRICES)
def test_what_is_no_price_is_refused_with_the_cell_in_the_message(text):
    with pytest.raises(ValueError, match="is not a price"):
        amounts.price(text)


@pytest.mark.parametrize(
    "value", [True, None, [], {}, b"1", math.nan, math.inf, Decimal("NaN"), -1]
)
def test_typed_cells_that_are_no_price(value):
    with pytest.raises(ValueError, match="is not a price"):
        amounts.price(value)


@given(
    st.integers(0, 10**11),
    st.sampled_from(["{:,.2f}", "${:,.2f}", "{:,.2f} USD", "¥{:,.2f}", "{:.2f}"]),
)
def test_english_prices_round_trip(cents, style):
    assert amounts.price(style.format(cents / 100))[0] == pytest.approx(cents / 100)


@given(
    st.integers(0, 10**11),
    st.sampled_from([".", " ", "'", "\u00a0"]),
    st.sampled_from(["{} €", "EUR {}", "{} zł", "{}"]),
)
def test_continental_prices_round_trip(cents, thousands, style):
    text = f"{cents / 100:,.2f}".translate({ord(","): thousands, ord("."): ","})
    assert amounts.price(style.format(text))[0] == pytest.approx(cents / 100)


@given(st.text(max_size=80))
def test_any_text_is_a_price_in_range_or_refused(text):
    try:
        amount, currency = amounts.price(text)
    except ValueError:
        return
    assert 0 <= amount <= 1e12
    assert currency is None or len(currency) == 3


def test_whole_numbers():
    assert amounts.whole("12") == amounts.whole(12.0) == amounts.whole("12.0") == 12
    for bad in ("1.5", "x", True, 2**63, math.nan, None):
        with pytest.raises(ValueError, match="is not a"):
            amounts.whole(bad)


MILLENNIUM = datetime.fromisoformat("1000-01-01")
MIDNIGHT = 1479081600  # 2016-11-14
TIMES = {
    "2016/11/14": MIDNIGHT,
    "2016-11-14": MIDNIGHT,
    "2016.11.14": MIDNIGHT,
    "20161114": MIDNIGHT,
    "2016年11月14日": MIDNIGHT,
    "2016年11月14日 8时05分": MIDNIGHT + 8 * 3600 + 300,
    "2016/11/14 8:05": MIDNIGHT + 8 * 3600 + 300,
    "2016-11-14 08:05:06": MIDNIGHT + 8 * 3600 + 306,
    "2016-11-14T08:00:00+08:00": MIDNIGHT,
    "2016/11/14 08:00:00 +0800": MIDNIGHT,
    "2016-11-14 08:00 UTC": MIDNIGHT + 8 * 3600,
    "2016-11-14T08:00:00.123Z": MIDNIGHT + 8 * 3600 + 0.123,
    "2016-11-14 08:00:00.123456789": MIDNIGHT + 8 * 3600 + 0.123,
    "1479081600": MIDNIGHT,
    "1479081600.5": MIDNIGHT + 0.5,
    "0": 0,
    "-1": -1,
}


@pytest.mark.parametrize("text", TIMES)
def test_times_as_files_write_them(text):
    assert cells.instant(text, UTC) == TIMES[text]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("14/11/2016", "day or month first"),
        ("11-14-2016", "day or month first"),
        ("1479081600000", "looks like milliseconds"),
        ("2016-13-01", "no such date"),
        ("2023-02-29", "no such date"),
        ("9999-12-31", "no such date"),
        ("yesterday", "is not a time"),
        ("08:00", "is not a time"),
        ("2016-11-14 25:00", "no such date"),
        ("nan", "is not a time"),
        ("-9e99", "is not a time"),
    ],
)
def test_unreadable_times_say_why(text, why):
    with pytest.raises(ValueError, match=why):
        cells.instant(text, UTC)


@given(
    st.datetimes(MILLENNIUM, MILLENNIUM.replace(year=5000)),
    st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]),
)
def test_times_round_trip(moment, style):
    moment = moment.replace(microsecond=0)
    assert cells.instant(moment.strftime(style), UTC) == moment.replace(tzinfo=UTC).timestamp()


def test_the_files_zone_applies_where_the_cell_names_none():
    shanghai = ZoneInfo("Asia/Shanghai")
    assert cells.instant("2016/11/14", shanghai) == MIDNIGHT - 8 * 3600
    assert cells.instant("2016-11-14T00:00:00Z", shanghai) == MIDNIGHT
    assert cells.instant(1479081600, shanghai) == MIDNIGHT
    assert cells.instant(date(2016, 11, 14), shanghai) == MIDNIGHT - 8 * 3600
    assert (
        cells.instant(datetime.fromisoformat("2016-11-14T08:00:00"), timezone(timedelta(hours=8)))
        == MIDNIGHT
    )


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text):
    try:
        seconds = cells.instant(text.strip(), UTC)
    except ValueError:
        return
    assert abs(seconds) < 1e11


@pytest.mark.parametrize(
    ("cell", "there"),
    [
        ("in stock", True), ("In_Stock", True), ("https://schema.org/InStock", True), ("有货", True), ("12", True),
        ("preorder", True), (3, True), (True, True), ("yes", True), ("out of stock", False), ("缺货", False),
        ("下架", False), ("0", False), (0, False), ("-2", False), (False, False), ("no", False), ("soldout", False),
    ],
)  # fmt: skip
def test_availability(cell, there):
    assert cells.on_sale(cell) is there


def test_an_availability_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="available"):
        cells.on_sale("ask Bob")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12), ("-3", -3), ("1.50", 1.5), ("007", "007"), ("1e5", "1e5"), ("12345678901234567890", "12345678901234567890"),
        ("true", True), ("FALSE", False), ("yes", "yes"), ("red", "red"), ("1.2.3", "1.2.3"), ("-", "-"),
        (["a", " b ", "", None, 3], ["a", "b", "3"]), ([], None), (math.nan, None), (Decimal("1.25"), 1.25),
        (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00.000Z"), (2**70, str(2**70)), (5, 5), (None, None),
    ],
)  # fmt: skip
def test_attributes_are_typed_where_the_whole_text_is_one(cell, value):
    got = cells.typed(cell)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("cell", [{"a": 1}, b"\xff", [{"a": 1}]])
def test_nested_attributes_are_refused(cell):
    with pytest.raises(ValueError, match="is n"):
        cells.typed(cell)


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("keyword", "12", "12"), ("keyword", 12, "12"), ("keyword", True, "true"), ("keyword", ["a", 1], ["a", "1"]),
        ("integer", "12", 12), ("float", "12", 12.0), ("bool", "yes", True), ("bool", 0, False),
        ("datetime", "2016/11/14", "2016-11-14T00:00:00.000Z"),
    ],
)  # fmt: skip
def test_declared_attributes_are_of_their_kind(kind, cell, value):
    got = cells.as_declared(kind, cell, UTC)
    assert got == value
    assert type(got) is type(value)


def test_ids_of_tables_that_know_only_floats():
    assert cells.ident(12.0) == cells.ident(12) == cells.ident("12") == "12"
    assert cells.ident("0012") == "0012"
    for bad in (True, [], {}, b"x"):
        with pytest.raises(ValueError, match="is not an id"):
            cells.ident(bad)


def test_categories():
    assert cells.path("a > b") == "a > b"
    assert cells.path(["a", "", "b"]) == ["a", "b"]
    assert cells.path([["a", "b"], ["c"]]) == ["a", "b"]
    assert cells.path([]) is None
