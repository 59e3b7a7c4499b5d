"""Real files, written here in every format, packing and encoding, and broken in every way."""

import errno
import gzip
import hashlib
import io
import itertools
import json
import os
import random
import struct
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import arro3.core
import arro3.io
import pytest

from windowshop import catalog, eventfile, mapping
from windowshop.columns import Options
from windowshop.errors import InvalidInput, TooLarge, Unavailable
from windowshop.files import Streamed, delimited, open_rows, unpack
from windowshop.files.report import Report
from windowshop.table import BadRow, Rejected, Warned

DATA = Path(os.environ.get("WINDOWSHOP_DATA", Path(__file__).parents[3] / "shared" / "data"))
MAPPINGS = Path(__file__).parents[2] / "docs" / "mappings"

COLUMNS = ("id", "title", "price", "note")
ITEMS = [
    {"id": "1", "title": "Café, large", "price": "3.50", "note": 'says "hi"'},
    {"id": "2", "title": "Crème brûlée\nin two lines", "price": "12", "note": ""},
    {"id": "3", "title": "Naïve façade à élève", "price": "0.99", "note": "é"},
]
CHINESE = [
    {"id": "1", "title": "自然堂雪域精粹", "price": "139", "note": "保湿"},
    {"id": "2", "title": "牛奶 250ml", "price": "5", "note": ""},
]


# --- writers -----------------------------------------------------------------------------------


def delimited_text(rows, delimiter=","):
    stream = io.StringIO()
    writer = delimited.csv.writer(stream, delimiter=delimiter)
    writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    return stream.getvalue()


FORMATS = {
    "comma": (delimited_text, "CSV"),
    "tab": (lambda rows: delimited_text(rows, "\t"), "CSV"),
    "semicolon": (lambda rows: delimited_text(rows, ";"), "CSV"),
    "caret": (lambda rows: delimited_text(rows, "^"), "CSV"),
    "array": (lambda rows: json.dumps(rows, ensure_ascii=False), "JSON array"),
    "array for people": (lambda rows: json.dumps(rows, ensure_ascii=False, indent=2), "JSON array"),
    "envelope": (lambda rows: json.dumps({"items": rows}, ensure_ascii=False), "JSON array"),
    "lines": (lambda rows: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "JSON Lines"),
    "objects for people": (lambda rows: "\n".join(json.dumps(row, ensure_ascii=False, indent=1) for row in rows), "JSON objects"),
}  # fmt: skip


def zipped(content, inside="data/things.csv", **more):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {inside: content, **more}.items():
            archive.writestr(name, data)
    return stream.getvalue()


PACKINGS = {
    "plain": lambda content: content,
    "gz": gzip.compress,
    "zip": zipped,
    "gz in zip": lambda content: zipped(gzip.compress(content), "things.csv.gz"),
    "two gz members": lambda content: gzip.compress(content[:40]) + gzip.compress(content[40:]),
}
ENCODINGS = {
    "utf-8": (ITEMS, "utf-8"),
    "utf-8-sig": (ITEMS, "utf-8-sig"),
    "utf-16": (CHINESE, "utf-16"),
    "utf-32": (CHINESE, "utf-32"),
    "cp1252": (ITEMS, "cp1252"),
    "gb18030": (CHINESE, "gb18030"),
    "gbk": (CHINESE, "gb18030"),
}


def write(folder, content, name="things.dat"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, options=None):
    with open_rows(path, options) as rows:
        return rows, list(rows)


def good(path, options=None):
    return [row for _, row in read(path, options)[1] if not isinstance(row, BadRow)]


# --- everything that goes in -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "packing", "encoding"), list(itertools.product(FORMATS, PACKINGS, ENCODINGS))
)
def test_every_format_packing_and_encoding(tmp_path, form, packing, encoding):
    expected, found = ENCODINGS[encoding]
    text, name = FORMATS[form][0](expected), FORMATS[form][1]
    rows, got = read(write(tmp_path, PACKINGS[packing](text.encode(encoding))))
    assert [row for _, row in got] == expected
    assert (rows.format, rows.encoding) == (name, found)
    assert rows.columns == COLUMNS
    assert rows.bytes_read == rows.bytes_total > 0
    assert [row for _, row in rows] == expected  # and again


def test_lines_are_those_on_which_rows_begin(tmp_path):
    text = 'id,title\n1,"a\nb"\n\n2,c\r\n"3","d\r\ne"\n4,f'
    assert [line for line, _ in read(write(tmp_path, text))[1]] == [2, 5, 6, 8]
    array = json.dumps([{"id": 1}, {"id": 2, "x": [1, 2]}, {"id": 3}], indent=1)
    assert [line for line, _ in read(write(tmp_path, array))[1]] == [2, 5, 12]
    assert [line for line, _ in read(write(tmp_path, '{"id": 1}\n\n{"id": 2}\n'))[1]] == [1, 3]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "^", "~", "\x01"])
def test_delimiters_are_found_by_how_evenly_they_cut(tmp_path, delimiter):
    rows = [
        ["id", "title", "tags"],
        *([str(n), "a, b; c|d" if n % 2 else "x", "p,q|r"] for n in range(9)),
    ]
    others = [[cell.replace(delimiter, "/") for cell in row] for row in rows]
    text = "\n".join(delimiter.join(row) for row in others)
    found, got = read(write(tmp_path, text))
    assert found.delimiter == delimiter
    assert [list(row.values()) for _, row in got] == others[1:]


def test_any_other_single_character_by_mapping(tmp_path):
    path = write(tmp_path, "id title\n1 a\n2 b\n")
    assert good(path, Options(delimiter=" ")) == [
        {"id": "1", "title": "a"},
        {"id": "2", "title": "b"},
    ]
    path = write(tmp_path, "1#a#[x]\n2#b#y\n")
    assert good(path, Options(delimiter="#", header=False))[0] == {
        "column_0": "1",
        "column_1": "a",
        "column_2": "[x]",
    }


def test_one_column_is_a_table_too(tmp_path):
    assert good(write(tmp_path, "id\na\nb\n")) == [{"id": "a"}, {"id": "b"}]


def test_headings_are_made_distinct(tmp_path):
    rows, got = read(write(tmp_path, 'sep=;\n\n" id ";title;title;;\n1;a;b;c;\n'))
    assert rows.columns == ("id", "title", "title_2")
    rows, got = read(write(tmp_path, "id,,title,\n1,x,a,y\n"))
    assert rows.columns == ("id", "column_1", "title")
    assert isinstance(got[0][1], BadRow)  # a cell beyond the header is not dropped in silence


def test_empty_cells_may_hang_over_and_blank_rows_are_none(tmp_path):
    assert good(write(tmp_path, "id,title\n1,a,,\n,\n,,,\n\n   \n2,b\n")) == [
        {"id": "1", "title": "a"},
        {"id": "2", "title": "b"},
    ]


def test_high_bytes_that_come_late_decide_too(tmp_path):
    many = "".join(f"{n},plain\n" for n in range(300_000))
    late = write(tmp_path, ("id,title\n" + many + "x,自然堂雪域\n").encode("gbk"))
    rows, got = read(late)
    assert rows.encoding == "gb18030"
    assert got[-1][1]["title"] == "自然堂雪域"


def test_a_few_damaged_bytes_cost_their_rows_alone(tmp_path):
    text = "".join(f"{n},自然堂{n}\n" for n in range(50)).encode()
    path = write(tmp_path, b"id,title\n" + text + b"bad,\xff\xfe\n" + "z,好\n".encode())
    rows, got = read(path)
    assert rows.encoding == "utf-8"
    bad = [(line, row.code) for line, row in got if isinstance(row, BadRow)]
    assert bad == [(52, "bad_encoding")]
    assert got[-1][1] == {"id": "z", "title": "好"}


def test_a_mappings_word_on_the_encoding_counts(tmp_path):
    path = write(tmp_path, "id,title\n1,香港繁體\n".encode("big5"))
    assert good(path, Options(encoding="big5")) == [{"id": "1", "title": "香港繁體"}]
    wide = write(tmp_path, "id,title\n1,a\n".encode("utf-16-le"))
    assert good(wide, Options(encoding="utf-16-le")) == [{"id": "1", "title": "a"}]


def test_zips_with_several_files_of_one_kind_are_read_as_one(tmp_path):
    first, second = delimited_text(ITEMS[:1]).encode(), delimited_text(ITEMS[1:]).encode()
    path = write(
        tmp_path,
        zipped(first, "a.csv", **{"b.csv": second, "README.md": b"#", "__MACOSX/._a": b"x"}),
    )
    with open_rows(path) as rows:
        seen = [(rows.here, line, row) for line, row in rows]
    assert [row for _, _, row in seen] == ITEMS
    assert [here for here, _, _ in seen] == [
        "things.dat/a.csv",
        "things.dat/b.csv",
        "things.dat/b.csv",
    ]
    assert [line for _, line, _ in seen] == [2, 2, 4]
    assert "README.md" in rows.about()


def test_a_files_hash_is_of_its_bytes(tmp_path):
    content = b"id,title\n1,a\n"
    for packed in (content, gzip.compress(content)):
        expected = hashlib.sha256(packed).hexdigest()[:16]
        assert open_rows(write(tmp_path, packed)).content_hash == expected


# --- Parquet -----------------------------------------------------------------------------------


def parquet(path, compression="snappy", **columns):
    arrays = {name: arro3.core.Array(*spec) for name, spec in columns.items()}
    arro3.io.write_parquet(arro3.core.Table(arrays), path, compression=compression)
    return path


T = arro3.core.DataType


@pytest.mark.parametrize("compression", ["uncompressed", "snappy", "gzip(6)", "zstd(3)"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_parquet_in_every_compression_and_packing(tmp_path, compression, packing):
    plain = parquet(
        tmp_path / "plain",
        compression,
        id=([1, 2, 3], T.int64()),
        title=(["a", "商品", None], T.string()),
        price=([1.5, None, 2.0], T.float64()),
        sold=([True, None, False], T.bool()),
    )
    path = write(tmp_path, PACKINGS[packing](plain.read_bytes()))
    rows, got = read(path)
    assert (rows.format, rows.encoding, rows.delimiter) == ("Parquet", None, None)
    assert rows.columns == ("id", "title", "price", "sold")
    assert got == [
        (1, {"id": 1, "title": "a", "price": 1.5, "sold": True}),
        (2, {"id": 2, "title": "商品", "price": None, "sold": None}),
        (3, {"id": 3, "title": None, "price": 2.0, "sold": False}),
    ]


def test_parquet_of_many_batches(tmp_path):
    path = parquet(
        tmp_path / "many", id=(list(range(50_000)), T.int64()), title=(["x"] * 50_000, T.string())
    )
    rows, got = read(path)
    assert [row["id"] for _, row in got] == list(range(50_000))
    assert rows.bytes_read == rows.bytes_total


def test_damaged_parquet_is_an_error_and_never_the_end_of_us(tmp_path):
    whole = parquet(
        tmp_path / "whole", id=(list(range(9_000)), T.int64()), title=(["x"] * 9_000, T.string())
    ).read_bytes()
    chance = random.Random(0)
    seen = Counter()
    for _ in range(12):
        broken = bytearray(whole)
        for _ in range(4):
            broken[chance.randrange(4, len(broken) - 8)] = chance.randrange(256)
        try:
            seen[len(read(write(tmp_path, bytes(broken)))[1])] += 1
        except InvalidInput:
            seen["refused"] += 1
    assert seen["refused"]
    with pytest.raises(InvalidInput, match="damaged or no Parquet"):
        read(write(tmp_path, whole[: len(whole) // 2]))


def test_parquet_without_rows(tmp_path):
    with pytest.raises(InvalidInput, match="no rows"):
        read(parquet(tmp_path / "none", id=([], T.int64())))


# --- rows that are refused, files that are refused ---------------------------------------------


def test_rows_of_the_wrong_width_are_refused_with_their_line(tmp_path):
    got = read(write(tmp_path, "id,title,price\n1,a,2\n2,b\n3,c,4,extra\n4,d,5\n"))[1]
    assert [(line, row.code) for line, row in got if isinstance(row, BadRow)] == [
        (3, "wrong_width"),
        (4, "wrong_width"),
    ]
    assert [row["id"] for _, row in got if isinstance(row, dict)] == ["1", "4"]
    assert "2 cells where the file has 3 columns" in got[1][1].reason


@pytest.mark.parametrize("stray", ['5,"stray,1', '5,stray,"1', '5,"a ""b,1', '"5,stray,1'])
@pytest.mark.parametrize("quoted_later", [False, True])
@pytest.mark.parametrize("rows", [20, 20_000])
def test_a_stray_quote_costs_its_own_row_alone(tmp_path, stray, quoted_later, rows):
    lines = [
        f'{n},"title {n}",1' if quoted_later and n > 10 else f"{n},title {n},1" for n in range(rows)
    ]
    lines[5] = stray
    got = read(write(tmp_path, "id,title,price\n" + "\n".join(lines) + "\n"))[1]
    bad = [(line, row.code) for line, row in got if isinstance(row, BadRow)]
    assert bad == [(7, "bad_quotes")]
    assert [row["id"] for _, row in got if isinstance(row, dict)] == [
        str(n) for n in range(rows) if n != 5
    ]
    assert [line for line, _ in got] == list(range(2, rows + 2))


def test_stray_quotes_everywhere_do_not_make_reading_slow(tmp_path):
    path = write(tmp_path, "id,title\n" + 'x"y,"z\n' * 60_000)
    got = read(path)[1]
    assert all(isinstance(row, BadRow) for _, row in got)


@pytest.mark.parametrize("length", [200_000, 3_000_000])
def test_a_row_that_is_too_long_is_refused_and_its_neighbours_go_on(tmp_path, length):
    path = write(tmp_path, "id,title\n1,a\n2," + "x" * length + "\n3,c\n")
    got = read(path)[1]
    assert [(line, getattr(row, "code", None)) for line, row in got] == [
        (2, None),
        (3, "too_long"),
        (4, None),
    ]
    lines = write(tmp_path, '{"id": 1}\n{"id": "' + "x" * 3_000_000 + '"}\n{"id": 3}\n')
    got = read(lines)[1]
    assert [(line, getattr(row, "code", None)) for line, row in got] == [
        (1, None),
        (2, "too_long"),
        (3, None),
    ]


def test_broken_json_lines_cost_themselves_alone(tmp_path):
    got = read(write(tmp_path, '{"id": 1}\n{"id": \n[1]\n"x"\n{"id": NaN}\n{"id": 2}\n'))[1]
    assert [getattr(row, "code", None) for _, row in got] == [None, *["bad_json"] * 4, None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"id": 1}, {"id": 2}, {"id": ', "row 3, line 1.*ends before"),
        ('[{"id": 1},\n{"id" 2}]', "row 2, line 2"),
        ('[{"id": 1}] [{"id": 2}]', "goes on after its array ends"),
        ('{"items": [{"id": 1}], "more": 1}', "goes on after its array ends"),
        ('[{"id": 1}, ' + "[" * 100_000, "row 2"),
        ('[{"id": 1}, {"x": "' + "y" * 3_000_000, "longer than|ends before"),
        ('[{"id": ' + "9" * 5_000 + "}]", "row 1"),
    ],
)
def test_a_broken_array_says_at_which_row(tmp_path, text, says):
    with pytest.raises(InvalidInput, match=says):
        read(write(tmp_path, text))


def test_an_array_may_hold_what_is_no_object(tmp_path):
    got = read(write(tmp_path, '[{"id": 1}, 7, [1], null, "x", {"id": 2}]'))[1]
    assert [getattr(row, "code", None) for _, row in got] == [None, *["bad_json"] * 4, None]


def test_an_array_is_read_by_the_chunk(tmp_path):
    things = [{"id": n, "title": "x" * (n % 3_000)} for n in range(3_000)]
    assert good(write(tmp_path, json.dumps(things))) == things


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"  \n \r\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"id,title\n", "a header and no rows"),
        (b"[]", "no rows"),
        (b'{"items": []}', "no rows"),
        (b"\x00\x01\x02" * 99, "no text"),
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"BZh91AY", "packed by bzip2"),
        (b"\xd0\xcf\x11\xe0 xls", "Excel"),
        (zipped(b"x", "[Content_Types].xml"), "office document"),
        (zipped(b"", "a.csv"), "no data in it"),
        (zipped(b"x", "README.md"), "no data in it"),
        (zipped(zipped(b"id,title\n1,a\n")), "a zip in a zip"),
        (gzip.compress(gzip.compress(b"id,title\n1,a\n", mtime=0), mtime=0), "packed twice"),
        (b"PK\x03\x04 nonsense", "damaged zip"),
        (b"PAR1 nonsense", "damaged or no Parquet"),
        (zipped(b"id,title\n1,a\n", "a.csv", **{"b.csv": b"id,name\n1,a\n"}), r"do not go together.*a.csv.*b.csv"),
        (zipped(b"id,title\n1,a\n", "a.csv", **{"b.json": b'[{"id": 1}]'}), "do not go together"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_error_that_names_it(tmp_path, content, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        read(write(tmp_path, content))
    assert "things.dat" in caught.value.detail


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InvalidInput, match="No such file"):
        open_rows(tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match="is a folder"):
        open_rows(tmp_path)


def test_a_gzip_that_breaks_off_says_after_which_line_and_nothing_is_taken(tmp_path):
    noise = random.Random(0)
    text = "id,title\n" + "".join(f"{n},{noise.random()}\n" for n in range(50_000))
    packed = gzip.compress(text.encode())
    for broken in (
        packed[:-200_000],
        packed[:-4],
        packed[:90_000] + b"\x00" * 99 + packed[90_099:],
    ):
        with pytest.raises(
            InvalidInput, match=r"damaged or cut off.*after line [1-9][\d,]*; nothing was taken"
        ):
            open_rows(write(tmp_path, broken))


def test_a_zip_whose_contents_are_damaged(tmp_path):
    packed = bytearray(zipped(delimited_text(ITEMS * 50).encode()))
    packed[80] ^= 0xFF
    with pytest.raises(InvalidInput, match=r"damaged or cut off|cannot be unpacked"):
        open_rows(write(tmp_path, bytes(packed)))


def test_a_locked_zip(tmp_path):
    packed = bytearray(zipped(b"id,title\n1,a\n", "a.csv"))
    central = packed.index(b"PK\x01\x02")
    struct.pack_into("<H", packed, central + 8, 1)
    with pytest.raises(InvalidInput, match="password"):
        open_rows(write(tmp_path, bytes(packed)))


def test_a_bomb_is_refused_while_it_unpacks(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "RATIO_FROM", 1 << 20)
    bomb = b"id,title\n" + b"1,aaaaaaaaaaaa\n" * 1_000_000
    for content in (gzip.compress(bomb), zipped(bomb)):
        with pytest.raises(TooLarge, match="200 times its size"):
            open_rows(write(tmp_path, content))
    assert open_rows(write(tmp_path, bomb[:100_009])).columns == ("id", "title")


def test_a_zip_with_very_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 3)
    with pytest.raises(TooLarge, match="holds 4 files"):
        open_rows(write(tmp_path, zipped(b"x", "a", b=b"x", c=b"x", d=b"x")))


# --- the report --------------------------------------------------------------------------------


def test_the_report_counts_all_and_keeps_some(tmp_path):
    path = write(tmp_path, b"id,title\n=cmd(),a\n,b\n3,\n4,d\n", "items.csv")
    with open_rows(path) as rows, Report(tmp_path / "reports" / "r.csv", keep=2) as report:
        report.opened(rows.name, rows.about())
        for outcome in catalog.read_items(rows, mapping.Mapping.default()):
            if isinstance(outcome, Rejected | Warned):
                report.add(rows.here, outcome)
        report.add(rows.here, Rejected(9, "bad_value", "=1+1", "@x"))
    assert report.counts == {"missing_id": 1, "missing_text": 1, "bad_value": 1}
    assert report.rejected == 3
    written = good(tmp_path / "reports" / "r.csv")
    assert [(row["file"], row["line"], row["code"]) for row in written] == [
        ("items.csv", "", "read_as"),
        ("items.csv", "3", "missing_id"),
        ("items.csv", "4", "missing_text"),
        ("", "", "not_listed"),
    ]
    assert written[0]["reason"] == "CSV, delimiter ',', encoding utf-8"
    assert written[1]["row"] == ", b"


def test_no_cell_of_a_report_is_a_formula_to_a_spreadsheet(tmp_path):
    with Report(tmp_path / "r.csv") as report:
        report.add("f", Rejected(2, "bad_value", "=1+1", "@SUM(A1)\ud800"))
    (row,) = good(tmp_path / "r.csv")
    assert (row["reason"], row["row"]) == ("'=1+1", "'@SUM(A1)?")


def test_a_report_that_cannot_be_written(tmp_path):
    write(tmp_path, "x", "file")
    with pytest.raises(InvalidInput, match="cannot write the report"):
        Report(tmp_path / "file" / "r.csv")


def test_a_mapping_file(tmp_path):
    path = write(tmp_path, '\ufeff[columns]\ntitle = "标题"\n', "m.toml")
    assert mapping.load(path).columns == {"title": "标题"}
    with pytest.raises(InvalidInput, match=r"mapping .*m.toml: .*did you mean 'title'"):
        mapping.load(write(tmp_path, '[columns]\ntitel = "x"\n', "m.toml"))
    with pytest.raises(InvalidInput, match="cannot read the mapping"):
        mapping.load(tmp_path / "none.toml")
    with pytest.raises(InvalidInput, match="UTF-8"):
        mapping.load(write(tmp_path, b"\xff\xfe", "m.toml"))


def test_the_mappings_of_the_documentation_are_mappings():
    page = (MAPPINGS.parent / "files.md").read_text("utf-8")
    example = mapping.parse(page.partition("```toml\n")[2].partition("```")[0])
    assert all(
        (example.columns, example.constants, example.lists, example.kinds, example.filterable)
    )
    assert [mapping.load(path).columns["item_id"] for path in sorted(MAPPINGS.glob("*.toml"))]


# --- files of real shops -----------------------------------------------------------------------


def counts(outcomes):
    return Counter(getattr(outcome, "code", type(outcome).__name__) for outcome in outcomes)


real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no development data at {DATA}")


@real
def test_a_chinese_listing_goes_in_by_itself():
    (path,) = (DATA / "zh-tmall").glob("*.csv")
    with open_rows(path) as rows:
        assert rows.about() == "CSV, delimiter ',', encoding gb18030"
        got = list(catalog.read_items(rows, mapping.Mapping.default()))
    assert counts(got) == {"Accepted": 3_497, "repeated_id": 24_101}
    items = {
        outcome.item.item_id: outcome.item
        for outcome in got
        if isinstance(outcome, catalog.Accepted)
    }
    item = items["A18164178225"]
    assert item.title == "CHANDO/自然堂 雪域精粹纯粹滋润霜50g 补水保湿 滋润水润面霜"
    assert (item.price, item.brand) == (139.0, "自然堂")
    assert item.attributes["sale_count"] == 26662


@real
def test_a_chinese_catalogue_without_a_header_goes_in_with_a_mapping():
    how = mapping.load(MAPPINGS / "zh-amazon.toml")
    with open_rows(DATA / "zh-amazon" / "products.csv", how.options) as rows:
        got = list(catalog.read_items(rows, how))
    assert counts(got) == {"Accepted": 96}
    item = got[0].item
    assert item.item_id == "3982"
    assert item.category == ["外设产品", "鼠标", "电脑/办公"]
    assert item.attributes["tags"] == ["富勒", "鼠标", "电子产品", "好用", "外观漂亮"]
    assert item.image_url.endswith(".jpg")


@real
def test_ratings_without_a_header_go_in_with_a_mapping():
    how = mapping.load(MAPPINGS / "zh-amazon-ratings.toml")
    with open_rows(DATA / "zh-amazon" / "ratings.csv", how.options) as rows:
        got = list(eventfile.read_events(rows, how, rows.content_hash))
    assert counts(got) == {"Accepted": 44_852}
    event = got[0].event
    assert (event.kind, event.user_id, event.item_id, event.value) == (
        "rate",
        "4867",
        "457976",
        5.0,
    )
    assert event.timestamp == 1395676800000
    assert len({outcome.event.event_id for outcome in got}) == 44_852


@real
def test_beauty_goes_in_with_its_own_mapping():
    how = mapping.load(DATA / "beauty" / "mapping.toml")
    with open_rows(DATA / "beauty" / "items.jsonl.gz", how.options) as rows:
        got = counts(catalog.read_items(rows, how))
    assert got == {"Accepted": 12_094, "missing_text": 7}
    with open_rows(DATA / "beauty" / "events.csv.gz", how.options) as rows:
        events = list(eventfile.read_events(rows, how, rows.content_hash))
    assert counts(events) == {"Accepted": 198_502}
    assert {outcome.event.kind for outcome in events} == {"like"}
    assert len({outcome.event.user_id for outcome in events}) == 22_363
    assert [outcome.row for outcome in events[:3]] == [1, 2, 3]


# --- from elsewhere ------------------------------------------------------------------------------


class Bucket:
    """Gives a body as a stream that can be read once, and counts how often it was asked."""

    def __init__(self, body, breaks_at=None, error=None):
        self.body, self.breaks_at, self.error = body, breaks_at, error
        self.opened = self.closed = 0

    def __call__(self):
        self.opened += 1
        return Once(self)

    def source(self, folder, name="things.dat"):
        return Streamed(name, len(self.body), self, folder)


class Once:
    def __init__(self, bucket):
        self._bucket, self._at = bucket, 0

    def read(self, size=-1):
        bucket = self._bucket
        if bucket.breaks_at is not None and self._at >= bucket.breaks_at:
            raise bucket.error
        end = None if size < 0 else self._at + min(size, 1_000)  # fewer than were asked for
        chunk = bucket.body[self._at : end]
        self._at += len(chunk)
        return chunk

    def close(self):
        self._bucket.closed += 1


@pytest.mark.parametrize(("form", "packing"), list(itertools.product(FORMATS, PACKINGS)))
def test_every_format_and_packing_is_read_from_a_stream(tmp_path, form, packing):
    bucket = Bucket(PACKINGS[packing](FORMATS[form][0](ITEMS * 50).encode()))
    with open_rows(bucket.source(tmp_path)) as rows:
        assert [row for _, row in rows] == ITEMS * 50
        assert rows.name == "things.dat"
        assert rows.bytes_read == rows.bytes_total == len(bucket.body)
    assert bucket.opened == bucket.closed
    assert bool(list(tmp_path.iterdir())) == ("zip" in packing)


def test_a_stream_that_breaks_off_is_no_damaged_file(tmp_path):
    for error in (ConnectionResetError("gone"), Unavailable("S3 is away")):
        bucket = Bucket(delimited_text(ITEMS * 500).encode(), 5_000, error)
        with pytest.raises(Unavailable):
            open_rows(bucket.source(tmp_path))
        assert bucket.opened == bucket.closed


def test_what_has_to_lie_on_the_disk_needs_room_there(tmp_path, monkeypatch):
    body = zipped(delimited_text(ITEMS).encode())
    monkeypatch.setattr(
        "windowshop.files.origin.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})
    )
    with pytest.raises(TooLarge, match="the disk has 0"):
        open_rows(Bucket(body).source(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **_: Full())
    with pytest.raises(TooLarge, match="upload it as CSV or JSON Lines"):
        open_rows(Bucket(gzip.compress(b"PAR1 and more")).source(tmp_path))


class Full(io.BytesIO):
    """A file on a disk that is full."""

    name = "full"

    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")
