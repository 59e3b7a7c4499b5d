"""Catalogue rows -> items: what is recognised, what is refused, and that no row is lost."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.catalog import Accepted, Rejected, Removed, Warned, find_repeats, read_items
from windowshop.errors import InvalidInput
from windowshop.mapping import Mapping, parse
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


def outcomes(rows, mapping=None, **table):
    return list(read_items(Listed(rows, **table), mapping or Mapping.default()))


def items(rows, mapping=None, **table):
    got = outcomes(rows, mapping, **table)
    assert all(isinstance(outcome, Accepted) for outcome in got), got
    return [outcome.item for outcome in got]


def one(row, mapping=None, **table):
    (item,) = items([row], mapping, **table)
    return item


def test_english_headings():
    item = one(
        {
            "Product ID": " 7 ", "Name": "Milk", "Body (HTML)": "From cows", "Product Category": "Food > Dairy", "Vendor": "Farm",
            "Sale Price": "$3.99", "Currency": "USD", "Image Src": "https://x/1.jpg", "Link": "https://x/1", "In Stock?": "yes",
            "item_group_id": "g1", "Created At": "2024-01-02", "colour": "white", "fat": "3.5", "organic": "true", "code": "007",
        }
    )  # fmt: skip
    assert item.model_dump() == {
        "item_id": "7", "title": "Milk", "description": "From cows", "category": ["Food", "Dairy"], "brand": "Farm", "price": 3.99,
        "currency": "USD", "image_url": "https://x/1.jpg", "url": "https://x/1", "available": True, "group_id": "g1",
        "created_at": 1704153600000, "attributes": {"colour": "white", "fat": 3.5, "organic": True, "code": "007"},
    }  # fmt: skip


def test_chinese_headings():
    item = one(
        {
            "商品ID": "7", "商品名称": "牛奶", "描述": "好", "类目": "食品 > 乳品", "品牌": "农场", "现价": "¥1,299.00", "图片": "https://x/1.jpg",
            "链接": "https://x/1", "库存": "0", "上架时间": "2024/1/2", "颜色": "白",
        }
    )  # fmt: skip
    assert item.model_dump(exclude_none=True) == {
        "item_id": "7", "title": "牛奶", "description": "好", "category": ["食品", "乳品"], "brand": "农场", "price": 1299.0,
        "image_url": "https://x/1.jpg", "url": "https://x/1", "available": False, "created_at": 1704153600000, "attributes": {"颜色": "白"},
    }  # fmt: skip


def test_the_contracts_own_names_win_over_usual_ones():
    item = one({"id": "row 1", "sku": "s", "item_id": "7", "name": "b", "title": "a"})
    assert (item.item_id, item.title) == ("7", "a")
    assert item.attributes == {"id": "row 1", "sku": "s", "name": "b"}


def test_the_contracts_own_json():
    sent = {
        "item_id": "7", "title": "Milk", "category": ["Food", "Dairy"], "price": 1.5, "available": False, "created_at": "2024-01-02T03:04:05+08:00",
        "attributes": {"colour": ["white", "cream"], "fat": 3.5, "none": None, "organic": True},
    }  # fmt: skip
    item = one(sent, headed=False)
    assert item.category == ["Food", "Dairy"]
    assert item.created_at == 1704135845000
    assert item.available is False
    assert item.attributes == {"colour": ["white", "cream"], "fat": 3.5, "organic": True}


def test_json_that_others_export():
    got = outcomes(
        [
            {
                "asin": "B1",
                "title": "T",
                "description": ["one", "two"],
                "categories": [["A", "B"], ["C"]],
                "imUrl": ["u1", "u2"],
                "rank": {"Toys": 1},
                "price": 5,
            }
        ],
        headed=False,
    )
    (item,) = [outcome.item for outcome in got if isinstance(outcome, Accepted)]
    assert (item.item_id, item.description, item.category, item.image_url) == (
        "B1",
        "one\ntwo",
        ["A", "B"],
        "u1",
    )
    assert [w.code for w in got if isinstance(w, Warned)] == ["attribute"]
    assert item.attributes is None


def test_keys_that_only_later_json_rows_have():
    first, second, third = items(
        [
            {"id": 1, "name": "a"},
            {"id": 2, "name": "b", "brand": "B", "colour": "red"},
            {"id": 3, "name": "c"},
        ],
        columns=["id", "name"],
        headed=False,
    )
    assert (first.brand, second.brand, third.brand) == (None, "B", None)
    assert second.attributes == {"colour": "red"}
    assert second.item_id == "2"


def test_an_empty_cell_is_absent():
    item = one(
        {"id": "1", "title": "a", "brand": " ", "price": "", "stock": "", "created": "", "x": "  "}
    )
    assert item.model_dump(exclude_none=True) == {"item_id": "1", "title": "a", "available": True}


def test_unmapped_headings_become_names_that_an_attribute_may_have():
    item = one({"id": "1", "title": "a", "Preis [EUR].netto": "3", 'x"$': "y", "n" * 80: "z"})
    assert item.attributes == {"Preis _EUR__netto": 3, "x__": "y", "n" * 64: "z"}


def test_the_currency_of_a_price_counts_where_no_other_is_given():
    assert one({"id": "1", "title": "a", "price": "5 €"}).currency == "EUR"
    assert one({"id": "1", "title": "a", "price": "5 €", "currency": "CHF"}).currency == "CHF"
    assert one({"id": "1", "title": "a", "price": "$5"}).currency is None


@pytest.mark.parametrize(
    ("row", "code", "says"),
    [
        ({"id": "", "title": "a"}, "missing_id", "no id"),
        ({"id": "1", "title": " "}, "missing_text", "title, a description or a category"),
        ({"id": "1", "title": "a", "price": "cheap"}, "bad_price", "'cheap' is not a price"),
        ({"id": "1", "title": "a", "price": "NaN"}, "bad_price", "not a price"),
        ({"id": "1", "title": "a", "price": "-1"}, "bad_price", "between 0"),
        ({"id": "x" * 129, "title": "a"}, "too_long", "item_id"),
        ({"id": "1", "title": "a" * 20_001}, "too_long", "title"),
        ({"id": "1\n2", "title": "a"}, "bad_value", "printable"),
        ({"id": "1", "title": "a", "deleted": "perhaps"}, "bad_value", "neither yes nor no"),
        ({"id": "1", "title": {"a": 1}}, "bad_value", "title"),
        (
            BadRow("wrong_width", "3 cells where the file has 2 columns", "1,2,3"),
            "wrong_width",
            "3 cells",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_its_neighbours_go_on(row, code, says):
    good = {"id": "g1", "title": "good"}
    got = outcomes([good, row, {**good, "id": "g2"}], columns=["id", "title", "price", "deleted"])
    assert [type(outcome) for outcome in got] == [Accepted, Rejected, Accepted]
    assert (got[1].line, got[1].code) == (3, code)
    assert says in got[1].reason
    assert len(got[1].excerpt) <= 200


def test_what_can_be_left_out_is_left_out_and_told():
    got = outcomes([{"id": "1", "title": "a", "created": "14/11/2016", "stock": "ask Bob"}])
    told = sorted((o.line, o.code) for o in got if isinstance(o, Warned))
    assert told == [(2, "bad_available"), (2, "bad_created_at")]
    (item,) = [o.item for o in got if isinstance(o, Accepted)]
    assert (item.created_at, item.available) == (None, True)


def test_an_attribute_that_cannot_be_kept_costs_itself_alone_and_is_told_once():
    rows = [{"id": str(n), "title": "a", "html": "x" * 2001, "ok": "y"} for n in range(5)]
    got = outcomes(rows)
    assert [o.item.attributes for o in got if isinstance(o, Accepted)] == [{"ok": "y"}] * 5
    (warned,) = [o for o in got if isinstance(o, Warned)]
    assert "html" in warned.reason


def test_of_very_wide_files_the_first_hundred_attributes_are_kept():
    row = {"id": "1", "title": "a", **{f"c{n}": str(n) for n in range(150)}}
    mapping = parse('[filterable]\nc149 = "integer"')
    got = outcomes([row], mapping)
    (item,) = [o.item for o in got if isinstance(o, Accepted)]
    assert len(item.attributes) == 100
    assert item.attributes["c149"] == 149


@pytest.mark.parametrize("mark", ["1", "true", "TRUE", "yes", "Deleted", "delete", "是", "x"])
def test_a_deleted_mark_removes_the_item(mark):
    got = outcomes(
        [{"id": "1", "title": "", "deleted": mark}, {"id": "2", "title": "b", "deleted": "0"}]
    )
    assert got[0] == Removed(2, "1")
    assert isinstance(got[1], Accepted)
    assert outcomes([{"sku": "1", "删除": "是"}]) == [Removed(2, "1")]


def test_no_column_for_ids_is_one_error_that_names_what_was_tried():
    with pytest.raises(
        InvalidInput, match=r"tried item_id, product_id.*It has: Bezeichnung, Preis"
    ):
        outcomes([{"Bezeichnung": "a", "Preis": "1"}])


def test_no_column_for_texts_is_one_error():
    with pytest.raises(
        InvalidInput, match=r"title, a description or a category.*It has: id, Preis"
    ):
        outcomes([{"id": "a", "Preis": "1"}])


def test_a_mapped_column_that_is_not_there_is_one_error_that_names_the_nearest():
    with pytest.raises(InvalidInput, match=r"title from 'Nmae'.*did you mean 'Name'"):
        outcomes([{"id": "1", "Name": "a"}], parse('[columns]\ntitle = "Nmae"'))
    with pytest.raises(InvalidInput, match="column 7"):
        outcomes([{"id": "1", "Name": "a"}], parse("[columns]\ntitle = 7"))


def test_one_mapping_may_serve_items_and_events():
    mapping = parse(
        '[columns]\nuser_id = "Kunde"\nkind = "Art"\nitem_id = "Artikel"\nprice = "Preis"'
    )
    got = outcomes([{"Artikel": "1", "title": "a"}], mapping)
    assert [type(outcome) for outcome in got] == [
        Warned,
        Accepted,
    ]  # the price is told to be absent


def test_a_mapping_wins_over_usual_names():
    mapping = parse(
        '[columns]\ntitle = "Bezeichnung"\nattributes.old = "title"\n'
        '[constants]\nbrand = "Acme"\ncurrency = "EUR"\nattributes.origin = "DE"\n'
        '[lists]\ntags = ","\ncategory = "/"\n[filterable]\nsize = "keyword"\n[options]\ntimezone = "+08:00"'
    )
    item = one(
        {
            "id": "1",
            "Bezeichnung": "a",
            "title": "b",
            "brand": "c",
            "tags": "x, y,",
            "category": "A/B",
            "size": "42",
            "created": "2016/11/14",
        },
        mapping,
    )
    assert (item.title, item.brand, item.currency, item.category) == (
        "a",
        "Acme",
        "EUR",
        ["A", "B"],
    )
    assert item.attributes == {
        "old": "b",
        "origin": "DE",
        "brand": "c",
        "tags": ["x", "y"],
        "size": "42",
    }
    assert item.created_at == (1479081600 - 8 * 3600) * 1000


def test_columns_by_place():
    mapping = parse("[columns]\nitem_id = 1\ntitle = 0")
    item = one({"column_0": "a", "column_1": "7", "column_2": "z"}, mapping)
    assert (item.item_id, item.title, item.attributes) == ("7", "a", {"column_2": "z"})


def test_places_mean_nothing_in_json():
    with pytest.raises(InvalidInput, match="JSON has none"):
        outcomes([{"id": "1", "title": "a"}], parse("[columns]\ntitle = 0"), headed=False)


@pytest.mark.parametrize(
    "text", ['price = "cheap"', 'created_at = "soon"', 'available = "perhaps"']
)
def test_a_constant_that_cannot_be_read_is_one_error(text):
    with pytest.raises(InvalidInput, match=r"\[constants\]"):
        outcomes([{"id": "1", "title": "a"}], parse("[constants]\n" + text))


def test_of_a_repeated_id_the_last_good_row_wins_and_each_other_is_told():
    got = outcomes(
        [
            {"id": "a", "title": "1", "price": ""},
            {"id": "b", "title": "1", "price": ""},
            {"id": "a", "title": "2", "price": ""},
            {"id": "a", "title": "3", "price": "cheap"},
        ]
    )
    assert {o.item.item_id: o.item.title for o in got if isinstance(o, Accepted)} == {
        "a": "2",
        "b": "1",
    }
    assert [(o.line, o.code) for o in got if isinstance(o, Warned)] == [(2, "repeated_id")]
    assert [o.line for o in got if isinstance(o, Rejected)] == [5]


IDS = st.sampled_from(["a", "b", "c", ""])
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": IDS, "title": st.sampled_from(["x", "y", ""]), "price": st.sampled_from(["1", "", "cheap"]), "deleted": st.sampled_from(["", "1"])}
    ),
    max_size=30,
)  # fmt: skip


@given(ROWS)
def test_reading_comes_to_the_same_as_writing_row_by_row(rows):
    table = Listed(rows, columns=["id", "title", "price", "deleted"])
    naive = {}
    for row in rows:
        good = row["id"] and (row["deleted"] or (row["title"] and row["price"] != "cheap"))
        if good:
            naive[row["id"]] = None if row["deleted"] else row["title"]
    got = list(read_items(table, Mapping.default()))
    read = {o.item.item_id: o.item.title for o in got if isinstance(o, Accepted)}
    read |= {o.item_id: None for o in got if isinstance(o, Removed)}
    assert read == naive
    counts = Counter(type(o) for o in got)
    assert counts[Accepted] + counts[Removed] == len(naive)
    repeated = sum(1 for o in got if isinstance(o, Warned) and o.code == "repeated_id")
    assert counts[Accepted] + counts[Removed] + counts[Rejected] + repeated == len(rows)


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.binary(max_size=5), st.dates(), st.datetimes(),
    st.decimals(), st.lists(st.one_of(st.text(max_size=5), st.none(), st.integers(), st.lists(st.text(max_size=3)))),
    st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=5), st.integers(), st.none(), st.lists(st.integers()))),
)  # fmt: skip
HEADINGS = st.sampled_from(
    ["id", "title", "description", "category", "brand", "price", "currency", "image", "url", "stock", "group_id", "created",
     "attributes", "deleted", "colour", "商品名称", "库存", "x.y", ""]
)  # fmt: skip


@given(st.lists(st.dictionaries(HEADINGS, CELLS), max_size=8), st.booleans())
def test_no_cell_breaks_the_reader_and_every_row_has_one_outcome(rows, headed):
    table = Listed(rows, columns=["id", "title", "colour"] if not headed else None, headed=headed)
    if headed and not {"id"} <= set(table.columns):
        return
    try:
        got = list(
            read_items(table, parse('[filterable]\ncolour = "integer"\n[lists]\nbrand = ","'))
        )
    except InvalidInput:
        assert headed
        return
    repeated = sum(1 for o in got if isinstance(o, Warned) and o.code == "repeated_id")
    assert sum(not isinstance(o, Warned) for o in got) + repeated == len(rows)


def test_half_characters_of_json_reach_no_report():
    got = outcomes(
        [
            {"id": "1", "title": "\ud800"},
            {"id": "\ud800", "title": "a"},
            {"id": "\ud800", "deleted": True},
        ],
        headed=False,
    )
    assert [outcome.code for outcome in got] == ["bad_value"] * 3
    "".join(outcome.reason + outcome.excerpt for outcome in got).encode()


def test_a_list_that_is_no_column_is_told():
    got = outcomes([{"id": "1", "title": "a", "tags": "x|y"}], parse('[lists]\ntagz = "|"'))
    assert "did you mean 'tags'" in got[0].reason


def test_repeats_name_the_last_row_of_ids_that_come_again():
    table = Listed([{"id": i, "title": "t"} for i in ("a", "b", "a", "c", "b", "a")])
    repeats = find_repeats(table, Mapping.default())
    assert dict(repeats.last) == {hash("a"): 5, hash("b"): 4}
    assert list(read_items(table, Mapping.default(), repeats)) == outcomes(table.rows)
