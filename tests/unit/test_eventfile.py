"""Event rows -> events: what is recognised, what is refused, ids, order and time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.errors import InvalidInput
from windowshop.eventfile import Accepted, Rejected, Warned, read_events
from windowshop.mapping import Mapping, parse
from windowshop.records import KINDS
from windowshop.table import BadRow


class Listed:
    """A table in memory; its first row is on line 2."""

    def __init__(self, rows, columns=None, headed=True):
        self.rows = rows
        self.headed = headed
        keys = [key for row in rows if isinstance(row, dict) for key in row]
        self.columns = list(dict.fromkeys(keys)) if columns is None else columns

    def __iter__(self):
        return iter(enumerate(self.rows, 2))


def outcomes(rows, mapping="", **table):
    return list(read_events(Listed(rows, **table), parse(mapping), "0123456789abcdef"))


def events(rows, mapping="", **table):
    got = [
        outcome for outcome in outcomes(rows, mapping, **table) if not isinstance(outcome, Warned)
    ]
    assert all(isinstance(outcome, Accepted) for outcome in got), got
    return [outcome.event for outcome in got]


def one(row, mapping="", **table):
    (event,) = events([row], mapping, **table)
    return event.model_dump(exclude_none=True)


BOUGHT = {"user_id": "u", "item_id": "i", "kind": "purchase"}
ID = {"event_id": "0123456789abcdef-1"}


def test_the_contracts_own_names():
    sent = {
        "kind": "purchase", "user_id": "u", "item_id": "i", "quantity": 2, "price": 3.5, "currency": "EUR", "timestamp": "2024-01-02T00:00:00Z",
        "event_id": "e", "request_id": "r", "context": {"page": "cart"},
    }  # fmt: skip
    assert one(sent, headed=False) == {**sent, "timestamp": 1704153600000}


def test_english_headings():
    got = one(
        {
            "Customer ID": "u",
            "ASIN": "i",
            "Event Type": "Buy",
            "Order Date": "2024/1/2",
            "Qty": "2",
            "Unit Price": "$3.50",
        }
    )
    assert got == {
        **ID,
        "kind": "purchase",
        "user_id": "u",
        "item_id": "i",
        "timestamp": 1704153600000,
        "quantity": 2,
        "price": 3.5,
    }


def test_chinese_headings():
    got = one({"用户ID": "u", "商品ID": "i", "行为类型": "加入购物车", "时间戳": "1704153600"})
    assert got == {
        **ID,
        "kind": "add_to_cart",
        "user_id": "u",
        "item_id": "i",
        "timestamp": 1704153600000,
    }


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("pv", "view"), ("Page-View", "view"), ("浏览", "view"), ("点击", "click"), ("cart", "add_to_cart"), ("addToCart", "add_to_cart"), ("buy", "purchase"),
        ("transaction", "purchase"), ("购买", "purchase"), ("fav", "like"), ("收藏", "like"), ("refund", "return"), ("退货", "return"), (" VIEW ", "view"),
    ],
)  # fmt: skip
def test_usual_words_for_kinds(word, kind):
    assert one({**BOUGHT, "kind": word})["kind"] == kind


def test_kinds_of_a_mapping_win_over_usual_words():
    mapping = '[kinds]\nView = "click"\nrezension = "like"'
    kinds = [
        e.kind
        for e in events(
            [{**BOUGHT, "kind": word} for word in ("view", "Rezension", "buy")], mapping
        )
    ]
    assert kinds == ["click", "like", "purchase"]


def test_constants_say_what_all_rows_are():
    assert one({"user": "u", "item": "i"}, '[constants]\nkind = "view"')["kind"] == "view"
    # even where a column looks as if it said so
    assert (
        one({"user": "u", "item": "i", "type": "B2B"}, '[constants]\nkind = "view"')["kind"]
        == "view"
    )
    # and a column that a mapping names wins, where it says something
    both = '[columns]\nkind = "type"\n[constants]\nkind = "view"'
    assert [
        e.kind for e in events([{"user": "u", "item": "i", "type": t} for t in ("buy", "")], both)
    ] == ["purchase", "view"]


def test_a_file_of_ratings_needs_no_kind():
    assert (
        one({"userId": "u", "movieId": "i", "rating": "4.5", "timestamp": "1704153600"})["kind"]
        == "rate"
    )


def test_guests_and_users():
    rows = [
        {"user_id": user, "visitor_id": guest, "item": "i", "kind": "view"}
        for user, guest in (("u", "g"), ("", "g"))
    ]
    assert [(e.user_id, e.anonymous_id) for e in events(rows)] == [("u", None), (None, "g")]
    assert one({"session_id": "s", "item": "i", "kind": "view"})["anonymous_id"] == "s"


def test_searches_and_impressions_need_no_item():
    assert one({"user": "u", "query": "milk", "kind": "search"})["query"] == "milk"
    got = one({"user": "u", "item_ids": "a|b", "kind": "impression"}, '[lists]\nitem_ids = "|"')
    assert got["item_ids"] == ["a", "b"]
    assert one({"user": "u", "item_ids": ["a", 2], "kind": "impression"}, headed=False)[
        "item_ids"
    ] == ["a", "2"]


def test_an_event_without_id_has_its_files_hash_and_its_rows_number():
    rows = [BOUGHT, BadRow("wrong_width", "", ""), {**BOUGHT, "event_id": "mine"}, BOUGHT]
    got = [outcome.event.event_id for outcome in outcomes(rows) if isinstance(outcome, Accepted)]
    assert got == ["0123456789abcdef-1", "mine", "0123456789abcdef-4"]


def test_the_order_column_gives_the_row_where_there_is_no_time():
    mapping = '[options]\norder = "position"'
    got = outcomes([{**BOUGHT, "position": p} for p in ("7", "3", "3.0")], mapping)
    assert [(o.row, o.line) for o in got] == [(7, 2), (3, 3), (3, 4)]
    assert all(o.event.timestamp is None and o.event.position is None for o in got)
    assert [o.event.event_id[-1] for o in got] == ["1", "2", "3"]
    assert [o.row for o in outcomes([BOUGHT, BOUGHT])] == [1, 2]


def test_an_order_that_is_no_number_or_no_column():
    got = outcomes([{**BOUGHT, "at": p} for p in ("x", "", "1.5")], '[options]\norder = "at"')
    assert [o.code for o in got] == ["bad_order"] * 3
    with pytest.raises(InvalidInput, match=r"order names 'att'.*It has: user_id"):
        outcomes([{**BOUGHT, "at": "1"}], '[options]\norder = "att"')


def test_the_files_zone():
    mapping = '[options]\ntimezone = "Asia/Shanghai"'
    times = ("2016-11-14 00:00:00", "2016-11-14T00:00:00Z", "1479081600")
    got = [e.timestamp for e in events([{**BOUGHT, "time": t} for t in times], mapping)]
    assert got == [(1479081600 - 28800) * 1000, 1479081600000, 1479081600000]


def test_what_no_field_takes_is_told_once_and_kept_where_a_mapping_says():
    got = outcomes([{**BOUGHT, "week": "1", "store": "7"}] * 3, '[columns]\ncontext.shop = "store"')
    assert [(o.code, o.line) for o in got if isinstance(o, Warned)] == [("unused_columns", 0)]
    assert "week" in got[0].reason
    assert got[1].event.context == {"shop": 7}


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"kind": "stare"}, "unknown_kind", r"'stare' is no kind.*\[kinds\]"),
        ({"kind": ""}, "missing_kind", "no kind"),
        ({"user_id": ""}, "missing_user", "no user"),
        ({"item_id": ""}, "missing_id", "purchase needs an item"),
        ({"time": "1704153600000"}, "bad_time", "milliseconds"),
        ({"time": "14/11/2016"}, "bad_time", "day or month first"),
        ({"quantity": "0"}, "bad_value", "quantity"),
        ({"quantity": "NaN"}, "bad_value", "not a number"),
        ({"price": "cheap"}, "bad_price", "not a price"),
        ({"kind": "rate", "value": "6"}, "bad_value", "1 to 5"),
        ({"kind": "rate"}, "bad_value", "1 to 5"),
        ({"kind": "dwell", "value": "-1"}, "bad_value", "seconds"),
        ({"kind": "search", "query": ""}, "bad_value", "needs query"),
        ({"user_id": "u" * 129}, "too_long", "user_id"),
        ({"item_id": "a\nb"}, "bad_value", "printable"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_its_neighbours_go_on(change, code, says):
    columns = ["user_id", "item_id", "kind", "time", "quantity", "price", "value", "query"]
    got = outcomes([BOUGHT, {**BOUGHT, **change}, BOUGHT], columns=columns)
    assert [type(outcome) for outcome in got] == [Accepted, Rejected, Accepted]
    assert (got[1].line, got[1].code) == (3, code)
    assert re.search(says, got[1].reason)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"item": "i", "kind": "view"}, r"a user \(tried user_id.*It has: item, kind"),
        ({"user": "u", "kind": "view"}, r"an item's id \(tried item_id"),
        ({"user": "u", "item": "i"}, r"kind of event.*\[constants\] kind"),
    ],
)
def test_a_file_without_a_column_that_must_be_there_is_one_error(row, says):
    with pytest.raises(InvalidInput, match=says):
        outcomes([row])


def test_a_mapped_column_that_is_not_there_is_one_error():
    with pytest.raises(InvalidInput, match="user_id from 'Kunde'"):
        outcomes([BOUGHT], '[columns]\nuser_id = "Kunde"')
    # a title is none of an event's business: the same mapping may serve the items
    assert len(events([BOUGHT], '[columns]\ntitle = "Bezeichnung"')) == 1


def test_keys_that_only_later_json_rows_have():
    rows = [BOUGHT, {**BOUGHT, "qty": 2, "odd": {"a": 1}}, BOUGHT]
    got = events(rows, columns=list(BOUGHT), headed=False)
    assert [e.quantity for e in got] == [None, 2, None]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "user_id": st.text(max_size=4), "item_id": st.one_of(st.text(max_size=4), st.integers(), st.none()),
                "kind": st.one_of(st.sampled_from(KINDS), st.text(max_size=4)),
                "time": st.one_of(st.none(), st.text(max_size=10), st.integers(), st.floats(), st.datetimes(), st.dates()),
                "value": st.one_of(st.none(), st.floats(), st.text(max_size=3), st.lists(st.integers())), "context": st.one_of(st.none(), st.text(max_size=2),
                st.dictionaries(st.text(max_size=2), st.one_of(st.floats(), st.text(max_size=2), st.lists(st.none())))),
            }
        ),
        max_size=6,
    )
)  # fmt: skip
def test_no_cell_breaks_the_reader_and_every_row_has_one_outcome(rows):
    columns = ["user_id", "item_id", "kind", "time", "value", "context"]
    got = list(read_events(Listed(rows, columns=columns, headed=False), Mapping.default(), "h"))
    assert len(got) == len(rows)
    assert all(
        o.event.event_id == f"h-{n}" for n, o in enumerate(got, 1) if isinstance(o, Accepted)
    )
