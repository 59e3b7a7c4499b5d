"""Uploads from the bucket into the catalogue, wherever they break off and in whatever order."""

import contextlib
import dataclasses
import gzip
import io
import json
import threading
import zipfile

import arro3.core
import arro3.io
import pytest

from tests.integration.warehouse import STORE, Warehouse, event, rows, tiny_encoder
from windowshop import embedding, uploads
from windowshop.errors import Misconfigured, NotReady, Unavailable
from windowshop.records import Item, Request

KEY = "catalog/default/items.csv"
DAY = 1_789_000_000_000


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def house(tmp_path, encoder, monkeypatch):
    """With batches of 100 rows instead of 1,000, and everything else ten times smaller too."""
    monkeypatch.setattr("windowshop.intake.ITEMS", 100)
    monkeypatch.setattr("windowshop.uploads.lanes.CHUNK", 50)
    with contextlib.closing(Warehouse(tmp_path, encoder)) as opened:
        yield opened


def embed_all(house):
    """Do every job that is queued; returns how many items got a vector."""
    done = 0
    for job in [*house.queued(), *house.queued("bulk")]:
        (outcome,) = embedding.jobs(house.shop, house.blobs, [job])
        assert outcome.status == "ok"
        done += outcome.items
    return done


# --- what comes of a file ------------------------------------------------------------------------


def test_a_file_becomes_items_and_a_slate(house):
    text = "item_id,title,price,colour\nmilk,Organic Milk,1.5,white\nbread,Bread,cheap,brown\n,x,1,\njuice,Apple Juice,2,red\n"
    done = house.ingest(KEY, text)

    assert (done.status, done.store, done.to_embed) == ("ingested", STORE, 2)
    counts = dataclasses.asdict(done.counts)
    assert (counts["read"], counts["accepted"], counts["rejected"]) == (4, 2, 2)
    assert [line["code"] for line in house.report(done)] == ["read_as", "bad_price", "missing_id"]
    assert house.report(done)[1] | {"reason": ""} == {
        "file": "items.csv", "line": "3", "code": "bad_price", "reason": "", "row": "bread, Bread, cheap, brown",
    }  # fmt: skip
    assert embed_all(house) == 2
    slate = house.shop.recommend(STORE, Request(scenario="search", query="milk"))
    assert {item.item_id for item in slate.items} == {"milk", "juice"}
    (told,) = house.heard.named("CatalogIngested")
    assert told == {
        "store": STORE, "run": done.run, "key": KEY, "read": 4, "accepted": 2, "rejected": 2, "unchanged": 0,
        "to_embed": 2, "deleted": 0, "report": f"reports/{STORE}/{done.run}.csv", "seconds": done.seconds,
    }  # fmt: skip
    assert not list((house.folder / "temp").iterdir())


def parquet(count):
    table = arro3.core.Table.from_pydict({
        "item_id": arro3.core.Array([f"i{n}" for n in range(count)], arro3.core.DataType.string()),
        "title": arro3.core.Array(["milk"] * count, arro3.core.DataType.string()),
    })  # fmt: skip
    stream = io.BytesIO()
    arro3.io.write_parquet(table, stream)
    return stream.getvalue()


def zipped(body, name="items.csv"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, body)
    return stream.getvalue()


JSONL = "".join(json.dumps({"item_id": f"i{n}", "title": "milk"}) + "\n" for n in range(5))
FORMATS = {
    "csv": rows(5).encode(),
    "gz": gzip.compress(rows(5).encode()),
    "json": json.dumps([json.loads(line) for line in JSONL.splitlines()]).encode(),
    "jsonl": JSONL.encode(),
    "zip": zipped(rows(5)),
    "parquet": parquet(5),
    "parquet in gz": gzip.compress(parquet(5)),
    "parquet in zip": zipped(parquet(5), "items.parquet"),
}
ON_DISK = ("zip", "parquet", "parquet in gz", "parquet in zip")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_from_the_bucket(house, form):
    done = house.ingest("catalog/default/things", FORMATS[form])
    assert (done.status, done.counts.accepted, done.reason) == ("ingested", 5, None)
    assert set(house.items()) == {f"i{n}" for n in range(5)}
    assert not list((house.folder / "temp").iterdir())


@pytest.mark.parametrize("form", FORMATS)
def test_only_what_has_to_lie_on_the_disk_does(house, form, monkeypatch):
    full = lambda _: type("Usage", (), {"free": 0})  # noqa: E731
    monkeypatch.setattr("windowshop.files.origin.shutil.disk_usage", full)
    done = house.ingest("catalog/default/things", FORMATS[form])
    if form in ("csv", "gz", "json", "jsonl", "parquet in gz"):
        assert done.status == "ingested"
    else:
        assert done.status == "failed"
        assert "upload it as CSV or JSON Lines" in done.reason


def test_what_does_not_fit_the_disk_is_handed_over(house, monkeypatch):
    full = lambda _: type("Usage", (), {"free": 0})  # noqa: E731
    monkeypatch.setattr("windowshop.files.origin.shutil.disk_usage", full)
    given = []
    done = house.ingest("catalog/default/things", FORMATS["zip"], hand_over=given.append)
    assert (done.status, [one.key for one in given]) == ("handed_over", ["catalog/default/things"])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is empty"),
        (b"%PDF-1.4", "is a PDF"),
        (b"colour,size\nred,3\n", "no column looks like an item's id"),
        (gzip.compress(rows(500).encode())[:-400], "cut off"),
        (json.dumps([{"item_id": "a", "title": "x"}] * 2_000).encode()[:-30], ""),
    ],
    ids=["empty", "pdf", "no id", "cut", "broken json"],
)
def test_what_cannot_be_read_is_said_once_and_not_tried_again(house, body, why):
    upload = house.put("catalog/default/broken.dat", body)
    done = uploads.ingest(house.dock(), upload)
    assert done.status == "failed"
    assert why in done.reason
    assert [line["code"] for line in house.report(done)][-1] == "unreadable"
    (told,) = house.heard.named("JobFailed")
    assert told == {
        "store": STORE,
        "what": "ingest",
        "key": upload.key,
        "reason": done.reason,
        "report": done.report,
    }
    assert house.items() == {}
    assert uploads.ingest(house.dock(), upload).status == "repeated"
    assert len(house.heard.named("JobFailed")) == 1


@pytest.mark.parametrize(
    ("key", "status", "why"),
    [
        ("chunks/default/x/000001.jsonl", "ignored", None),
        ("reports/default/x.csv", "ignored", None),
        ("catalog/default/", "ignored", None),
        ("catalog/default/full/", "ignored", None),
        ("catalog/items.csv", "failed", "catalog/default/items.csv"),
        ("catalog/My Shop/items.csv", "failed", "a-z, 0-9 and -"),
        ("catalog/Default/items.csv", "failed", "a-z, 0-9 and -"),
    ],
)
def test_where_it_lies_says_what_it_is(house, key, status, why):
    done = uploads.ingest(house.dock(), uploads.Upload("goods", key))
    assert done.status == status
    assert why is None or why in done.reason
    assert len(house.heard.named("JobFailed")) == (status == "failed")


def test_a_key_may_have_any_characters(house):
    done = house.ingest("catalog/default/2026/Früh jahr+100%.csv", rows(2))
    assert (done.status, done.counts.accepted) == ("ingested", 2)


def test_stores_are_kept_apart(house):
    house.ingest("catalog/one/items.csv", rows(2))
    house.ingest("catalog/two/full/items.csv", rows(1))
    assert (len(house.items(store="one")), len(house.items(store="two"))) == (2, 1)


def test_an_english_model_and_chinese_texts_give_a_warning(house):
    house.encoder.languages = "en"
    done = house.ingest(KEY, "商品编号,商品名称\n1,玫瑰保湿面霜\n2,洗发水\n".encode("gb18030"))
    assert [line["code"] for line in house.report(done)] == ["read_as", "language"]


# --- mappings ------------------------------------------------------------------------------------

MAPPING = 'columns.item_id = "Nr"\ncolumns.title = "Wort"\n[filterable]\nFarbe = "keyword"\n'


def test_a_mapping_in_the_bucket_says_how_uploads_are_read(house):
    assert house.ingest("catalog/default/mapping.toml", MAPPING).status == "mapped"
    assert house.shop.fields(STORE) == {"Farbe": "keyword"}
    done = house.ingest(KEY, "Nr,Wort,Farbe\n1,Milch,rot\n2,Brot,blau\n")
    assert done.counts.accepted == 2
    embed_all(house)
    slate = house.shop.recommend(STORE, Request(filters={"attributes.Farbe": "rot"}))
    assert [item.item_id for item in slate.items] == ["1"]


@pytest.mark.parametrize(
    "text", ["[colums]\n", "not toml", b"\xff\xfe", '[filterable]\nbrand = "keyword"\n']
)
def test_a_broken_mapping_is_said_and_stops_what_comes_after(house, text):
    done = house.ingest("catalog/default/mapping.toml", text)
    assert done.status == "failed"
    assert house.heard.named("JobFailed")[0]["what"] == "mapping"
    later = house.ingest(KEY, rows(1))
    assert (later.status, later.reason) == ("failed", done.reason)
    assert house.items() == {}


# --- the same again ------------------------------------------------------------------------------


def test_the_same_event_twice_embeds_once(house):
    upload = house.put(KEY, rows(150))
    first = uploads.outcomes(house.dock(), [event(upload), event(upload)])
    assert [one.status for one in first] == ["ok", "ok"]
    assert embed_all(house) == 150
    uploads.outcomes(house.dock(), [event(upload)])
    assert embed_all(house) == 0
    assert (len(house.encoder.texts), len(house.heard.named("CatalogIngested"))) == (150, 1)


def test_the_same_file_uploaded_again_writes_and_embeds_nothing(house):
    house.ingest(KEY, rows(20))
    embed_all(house)
    before = house.items()
    done = house.ingest(KEY, rows(20))
    assert (done.status, done.counts.unchanged, done.to_embed) == ("ingested", 20, 0)
    assert house.items() == before
    assert house.queued() == []


def test_a_new_price_is_written_and_not_embedded(house):
    house.ingest(KEY, rows(20))
    embed_all(house)
    done = house.ingest(KEY, rows(20, price=7))
    assert (done.counts.unchanged, done.to_embed) == (1, 0)
    assert house.items("i3")["i3"]["price"] == 7


def test_what_still_waits_is_queued_by_a_later_upload_and_embedded_once(house):
    house.ingest(KEY, rows(20))
    done = house.ingest("catalog/default/again.csv", rows(20))
    assert (done.counts.unchanged, done.to_embed) == (20, 20)
    assert embed_all(house) == 20
    assert len(house.encoder.texts) == 20


def test_two_deliveries_at_the_same_time_are_one_upload(house):
    upload = house.put(KEY, rows(300))
    inside, go_on = threading.Event(), threading.Event()
    blobs = Slow(house.blobs, inside, go_on)
    found = []
    first = threading.Thread(
        target=lambda: found.append(uploads.ingest(house.dock(blobs=blobs), upload))
    )
    first.start()
    assert inside.wait(20)
    with pytest.raises(NotReady, match="another process"):
        uploads.ingest(house.dock(temp="other"), upload)
    go_on.set()
    first.join(60)
    assert (found[0].status, found[0].counts.accepted) == ("ingested", 300)
    assert uploads.ingest(house.dock(), upload).status == "repeated"


class Slow:
    """Blobs whose first opening waits until it may go on."""

    def __init__(self, inner, inside, go_on):
        self._inner, self._inside, self._go_on = inner, inside, go_on

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def open(self, key, version=None):
        self._inside.set()
        assert self._go_on.wait(20)
        return self._inner.open(key, version)


# --- broken off ----------------------------------------------------------------------------------


class Breaking:
    """A port of which the call of that name fails, the n-th time it is made."""

    def __init__(self, inner, name, at, error=None):
        self._inner, self._name, self._left = inner, name, at
        self._error = error or Unavailable("away")

    def __getattr__(self, name):
        call = getattr(self._inner, name)
        if name != self._name:
            return call

        def counted(*args, **kwargs):
            self._left -= 1
            if self._left == 0:
                raise self._error
            return call(*args, **kwargs)

        return counted


BROKEN = {
    "the first write": ("blobs", "write", 1),
    "a chunk": ("blobs", "write", 3),
    "the report": ("blobs", "write", 5),
    "progress": ("runs", "progress", 2),
    "the first step": ("runs", "step", 1),
    "a later step": ("runs", "step", 3),
    "the end": ("runs", "finish", 1),
}


@pytest.mark.parametrize("place", BROKEN)
@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a fault of ours")], ids=repr)
def test_wherever_it_breaks_off_the_next_try_goes_on(house, place, error):
    port, name, at = BROKEN[place]
    upload = house.put(KEY, rows(350) + ",no id,1\n")
    breaking = Breaking(getattr(house, port), name, at, error)
    with pytest.raises(type(error)):
        uploads.ingest(house.dock(**{port: breaking}), upload)
    done = uploads.ingest(house.dock(), upload)
    assert done.status == "ingested"
    assert (done.counts.read, done.counts.accepted, done.counts.rejected) == (351, 350, 1)
    assert house.report(done)[-1]["code"] == "missing_id"
    assert (embed_all(house), house.waiting()) == (350, 0)
    assert len(house.encoder.texts) == 350


def test_what_is_in_is_not_looked_at_again(house):
    upload = house.put(KEY, rows(400))
    with pytest.raises(Unavailable):
        uploads.ingest(house.dock(runs=Breaking(house.runs, "step", 4)), upload)
    (row,) = house.runs.rows.values()
    assert row.batches == 3
    before = [row.steps for row in house.runs.rows.values()]
    uploads.ingest(house.dock(), upload)
    assert before == [3]
    assert row.steps == 1
    assert len(house.items()) == 400


def test_a_queue_that_is_away_loses_no_job(house):
    upload = house.put(KEY, rows(120))
    dock = house.dock(bulk=False)
    broken = dataclasses.replace(dock.lanes, small=Breaking(house.small, "send", 1))
    with pytest.raises(Unavailable):
        uploads.ingest(dataclasses.replace(dock, lanes=broken), upload)
    uploads.ingest(dock, upload)
    assert embed_all(house) == 120


def test_what_a_queue_refuses_comes_again(house):
    class Refusing:
        def send(self, messages):
            return [(0, "too many")]

    upload = house.put(KEY, rows(5))
    dock = house.dock()
    refusing = dataclasses.replace(dock.lanes, small=Refusing())
    with pytest.raises(Unavailable, match="too many"):
        uploads.ingest(dataclasses.replace(dock, lanes=refusing), upload)
    uploads.ingest(dock, upload)
    assert embed_all(house) == 5


def test_with_another_mapping_it_begins_again(house):
    text = "item_id;title\n" + "".join(f"i{n};milk {n}\n" for n in range(250))
    upload = house.put(KEY, text)
    with pytest.raises(Unavailable):
        uploads.ingest(house.dock(runs=Breaking(house.runs, "step", 3)), upload)
    house.put("catalog/default/mapping.toml", '[constants]\nbrand = "Acme"\n')
    done = uploads.ingest(house.dock(), upload)
    assert (done.counts.accepted, done.counts.unchanged) == (250, 0)
    assert {held["brand"] for held in house.items().values()} == {"Acme"}
    embed_all(house)
    assert house.waiting() == 0


def test_a_wrong_setting_is_no_fault_of_the_upload(house):
    house.encoder.fails = None
    upload = house.put(KEY, rows(5))
    dock = house.dock(runs=Breaking(house.runs, "step", 1, Misconfigured("no table")))
    with pytest.raises(Misconfigured):
        uploads.outcomes(dock, [event(upload)])
    assert uploads.ingest(house.dock(), upload).status == "ingested"


def test_each_message_has_an_outcome_of_its_own(house):
    good, broken = house.put(KEY, rows(5)), house.put("catalog/default/b.csv", b"")
    away = house.dock(runs=Breaking(house.runs, "step", 1))
    batch = [{"no": "event"}, "text", event(good), event(broken)]
    found = uploads.outcomes(away, batch)
    assert [one.status for one in found] == ["dead", "dead", "retry", "ok"]
    fault = house.dock(runs=Breaking(house.runs, "step", 1, ZeroDivisionError()))
    (one,) = uploads.outcomes(fault, [event(good)])
    assert (one.status, one.fault, one.reason) == ("retry", True, "ZeroDivisionError")


# --- more than one call may take on --------------------------------------------------------------


def test_when_the_time_is_up_it_goes_on_the_next_time(house):
    upload = house.put(KEY, rows(550))

    def left_s():
        return 0 if any(row.steps >= 2 for row in house.runs.rows.values()) else 1_000

    for batches in (2, 4):
        with pytest.raises(NotReady, match=f"{batches} batches are in"):
            uploads.ingest(house.dock(left_s=left_s), upload)
        assert len(house.items()) == batches * 100
    done = uploads.ingest(house.dock(), upload)
    assert (done.status, done.counts.accepted) == ("ingested", 550)
    assert embed_all(house) == 550


@pytest.mark.parametrize("limits", [{"rows": 100}, {"size": 500}, {"left_s": lambda: 10}])
def test_what_is_too_much_is_handed_over_and_done_elsewhere(house, limits):
    given = []
    upload = house.put(KEY, rows(200))
    done = uploads.ingest(house.dock(hand_over=given.append, **limits), upload)
    assert (done.status, given) == ("handed_over", [upload])
    elsewhere = uploads.ingest_patiently(house.dock(), given[0], threading.Event())
    assert (elsewhere.status, elsewhere.counts.accepted) == ("ingested", 200)
    assert uploads.ingest(house.dock(hand_over=given.append, **limits), upload).status == "repeated"
    assert len(given) == 1


def test_elsewhere_it_waits_for_what_is_away(house, monkeypatch):
    upload = house.put(KEY, rows(20))
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda _: None)
    away = house.dock(runs=Breaking(house.runs, "step", 1))
    assert uploads.ingest_patiently(away, upload, stop).status == "ingested"


def test_elsewhere_it_is_put_down_when_it_has_to_stop(house):
    upload = house.put(KEY, rows(350))
    stop = threading.Event()

    class Stopping(Breaking):
        def step(self, run):
            if run.batches == 2:
                stop.set()
            self._inner.step(run)

    dock = house.dock(runs=Stopping(house.runs, "", 0))
    assert uploads.ingest_patiently(dock, upload, stop) is None
    assert [(row.batches, row.until) for row in house.runs.rows.values()] == [(3, -1)]
    done = uploads.ingest_patiently(house.dock(), upload, threading.Event())
    assert (done.status, done.counts.accepted) == ("ingested", 350)


# --- lanes ---------------------------------------------------------------------------------------


def test_few_texts_take_the_small_lane(house):
    house.ingest(KEY, rows(200))
    jobs = house.queued()
    assert sum(job["items"] for job in jobs) == 200
    assert {job["lane"] for job in jobs} == {"small"}
    assert (house.queued("bulk"), house.started) == ([], [])


def test_many_texts_take_the_bulk_lane_all_of_them(house):
    house.ingest(KEY, rows(201))
    jobs = house.queued("bulk")
    assert sum(job["items"] for job in jobs) == 201
    assert {job["lane"] for job in jobs} == {"bulk"}
    assert (house.queued(), house.started) == ([], ["bulk"])


def test_it_is_the_new_texts_that_are_counted_not_the_rows(house):
    house.ingest(KEY, rows(400))
    embed_all(house)
    house.ingest("catalog/default/more.csv", rows(450))
    (job,) = house.queued()
    assert (job["items"], job["lane"]) == (50, "small")


def test_without_a_bulk_lane_all_is_small(house):
    house.ingest(KEY, rows(300), bulk=False)
    assert sum(job["items"] for job in house.queued()) == 300


def test_the_lane_is_remembered_where_it_broke_off(house):
    upload = house.put(KEY, rows(350))
    for at in (2, 2, 1):
        with pytest.raises(Unavailable):
            uploads.ingest(house.dock(runs=Breaking(house.runs, "step", at)), upload)
    uploads.ingest(house.dock(), upload)
    assert house.queued() == []
    assert embed_all(house) == 350


def test_a_bulk_lane_that_does_not_start_is_left_to_others(house):
    dock = house.dock()

    def fail():
        raise Unavailable("no Batch")

    lanes = dataclasses.replace(dock.lanes, start_bulk=fail)
    done = uploads.ingest(dataclasses.replace(dock, lanes=lanes), house.put(KEY, rows(250)))
    assert done.status == "ingested"


def test_items_whose_job_was_lost_are_found_again(house):
    lanes = house.dock().lanes
    house.ingest(KEY, rows(40))
    house.ingest("catalog/two/items.csv", rows(300))
    assert uploads.sweep(house.shop, lanes) == 0  # their jobs are queued
    house.queued(), house.queued("bulk"), house.started.clear()
    assert uploads.sweep(house.shop, lanes) == 340
    assert house.started == ["bulk"]
    assert embed_all(house) == 340
    assert (uploads.sweep(house.shop, lanes), house.small.depth(), house.started) == (
        0,
        0,
        ["bulk"],
    )


def test_chunks_are_never_where_uploads_are_looked_for(house):
    house.ingest(KEY, rows(101))
    written = [blob.key for blob in house.blobs.list("")]
    assert [key for key in written if key.startswith("catalog/")] == [KEY]


# --- order ---------------------------------------------------------------------------------------


def priced(price, *ids):
    return "item_id,title,price\n" + "".join(f"{one},milk {one},{price}\n" for one in ids)


def test_an_older_upload_never_overwrites_a_newer_one(house):
    new = house.put("catalog/default/new.csv", priced(2, "a", "b"), DAY + 1000)
    old = house.put("catalog/default/old.csv", priced(1, "b", "c"), DAY)
    uploads.ingest(house.dock(), new)
    done = uploads.ingest(house.dock(), old)
    assert (done.status, done.counts.accepted, done.counts.unchanged) == ("ingested", 2, 1)
    prices = {name: held["price"] for name, held in house.items().items()}
    assert prices == {"a": 2, "b": 2, "c": 1}


def test_nor_what_the_newer_one_found_unchanged(house):
    house.ingest("catalog/default/first.csv", priced(1, "a"), DAY)
    new = house.put("catalog/default/new.csv", priced(1, "a"), DAY + 2000)
    old = house.put("catalog/default/old.csv", priced(99, "a"), DAY + 1000)
    assert uploads.ingest(house.dock(), new).counts.unchanged == 1
    uploads.ingest(house.dock(), old)
    assert house.items()["a"]["price"] == 1


def test_nor_does_it_bring_back_what_the_newer_one_removed(house):
    house.ingest("catalog/default/first.csv", priced(1, "a", "b"), DAY)
    new = house.put("catalog/default/new.csv", "item_id,title,deleted\na,milk,yes\n", DAY + 2000)
    old = house.put("catalog/default/old.csv", priced(2, "a", "b"), DAY + 1000)
    done = uploads.ingest(house.dock(), new)
    assert (done.counts.removed, done.counts.deleted) == (1, 1)
    uploads.ingest(house.dock(), old)
    assert {name: held["price"] for name, held in house.items().items()} == {"b": 2}


def test_a_version_that_was_replaced_is_not_read(house):
    old = house.put(KEY, priced(1, "a"))
    new = house.put(KEY, priced(2, "a"))
    done = uploads.ingest(house.dock(), old)
    assert (done.status, house.items()) == ("superseded", {})
    assert uploads.ingest(house.dock(), new).status == "ingested"


def test_a_file_that_was_deleted_is_not_missed(house):
    upload = house.put(KEY, priced(1, "a"))
    house.blobs.delete([KEY])
    assert uploads.ingest(house.dock(), upload).status == "superseded"
    assert house.heard.events == []


def test_where_no_versions_are_kept_its_time_tells_uploads_apart(house):
    upload = house.put(KEY, priced(1, "a"), DAY)
    bare = dataclasses.replace(upload, version=None)
    assert uploads.ingest(house.dock(), bare).status == "ingested"
    assert uploads.ingest(house.dock(), bare).status == "repeated"
    house.put(KEY, priced(2, "a"), DAY + 1000)
    assert uploads.ingest(house.dock(), bare).status == "ingested"
    assert house.items()["a"]["price"] == 2


def test_a_complete_catalogue_removes_what_it_does_not_name_and_is_older(house):
    house.ingest(KEY, priced(1, "a", "b", "c"), DAY)
    house.shop.put_items(STORE, [Item(item_id="later", title="Later")])
    text = priced(1, "a") + "c,milk c,cheap\n"
    done = house.ingest("catalog/default/full/items.csv", text, DAY + 1000)
    assert (done.counts.accepted, done.counts.rejected, done.counts.deleted) == (1, 1, 1)
    assert set(house.items()) == {"a", "c", "later"}


def test_a_complete_catalogue_of_which_nothing_can_be_used_removes_nothing(house):
    house.ingest(KEY, priced(1, "a", "b"), DAY)
    done = house.ingest(
        "catalog/default/full/items.csv", "item_id,title,price\nz,Z,cheap\n", DAY + 1
    )
    assert (done.status, set(house.items())) == ("failed", {"a", "b"})
    assert "nothing was deleted" in done.reason


def test_before_a_complete_catalogue_nothing_older_counts(house):
    full = house.put("catalog/default/full/items.csv", priced(2, "a"), DAY + 1000)
    old = house.put(KEY, priced(1, "a", "b"), DAY)
    older = house.put("catalog/default/full/old.csv", priced(1, "b"), DAY - 1000)
    uploads.ingest(house.dock(), full)
    assert uploads.ingest(house.dock(), old).status == "superseded"
    assert uploads.ingest(house.dock(), older).status == "superseded"
    assert set(house.items()) == {"a"}


def test_a_late_complete_catalogue_spares_what_newer_uploads_name(house):
    house.ingest("catalog/default/first.csv", priced(1, "a", "b", "c"), DAY)
    full = house.put("catalog/default/full/items.csv", priced(1, "a"), DAY + 1000)
    uploads.ingest(house.dock(), house.put("catalog/default/new.csv", priced(1, "b"), DAY + 2000))
    done = uploads.ingest(house.dock(), full)
    assert (done.status, set(house.items())) == ("ingested", {"a", "b"})


def test_an_upload_that_failed_stands_in_nobodys_way(house):
    house.ingest("catalog/default/full/items.csv", "item_id,title,price\na,A,cheap\n", DAY + 1000)
    done = house.ingest(KEY, priced(1, "a"), DAY)
    assert (done.status, set(house.items())) == ("ingested", {"a"})


# --- at the same time ----------------------------------------------------------------------------


class Pausing:
    """Runs in which one run stops at its n-th step until it may go on."""

    def __init__(self, inner, at):
        self._inner, self._left = inner, at
        self.inside, self.go_on = threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def step(self, run):
        self._left -= 1
        if self._left == 0:
            self.inside.set()
            assert self.go_on.wait(30)
        self._inner.step(run)


def at_once(house, old, new, monkeypatch):
    """The old upload is between two of its batches while the new one comes. Returns both."""
    monkeypatch.setattr("windowshop.uploads.precedence.LOOK_S", 0.01)
    pausing, found = Pausing(house.runs, 2), []
    thread = threading.Thread(
        target=lambda: found.append(uploads.ingest(house.dock(runs=pausing), old))
    )
    thread.start()
    assert pausing.inside.wait(30)
    newer = threading.Thread(
        target=lambda: found.append(uploads.ingest(house.dock(temp="other"), new))
    )
    newer.start()
    newer.join(0.3)
    assert newer.is_alive()  # it waits for the old one to have taken its step
    pausing.go_on.set()
    newer.join(60)
    thread.join(60)
    return {done.key: done for done in found}


def test_two_uploads_at_once_end_as_if_one_after_the_other(house, monkeypatch):
    house.ingest("catalog/default/first.csv", rows(200, price=5), DAY)
    old = house.put("catalog/default/old.csv", rows(200, price=99), DAY + 1000)
    new = house.put("catalog/default/new.csv", rows(199, price=5), DAY + 2000)
    done = at_once(house, old, new, monkeypatch)
    assert {one.status for one in done.values()} == {"ingested"}
    prices = {name: held["price"] for name, held in house.items().items()}
    assert {prices[f"i{n}"] for n in range(199)} == {5}
    assert {prices[f"i{n}"] for n in range(199, 200)} == {99}


def test_a_complete_catalogue_ends_an_older_upload_that_is_being_read(house, monkeypatch):
    old = house.put(KEY, rows(200), DAY)
    new = house.put("catalog/default/full/items.csv", rows(10), DAY + 1000)
    done = at_once(house, old, new, monkeypatch)
    assert (done[KEY].status, done[new.key].status) == ("superseded", "ingested")
    assert set(house.items()) == {f"i{n}" for n in range(10)}


def test_a_newer_version_ends_the_reading_of_the_one_before(house, monkeypatch):
    old = house.put(KEY, rows(200, price=99), DAY)
    monkeypatch.setattr(house.blobs, "head", house.blobs.head)
    pausing, found = Pausing(house.runs, 2), []
    monkeypatch.setattr("windowshop.uploads.precedence.LOOK_S", 0.01)
    thread = threading.Thread(
        target=lambda: found.append(uploads.ingest(house.dock(runs=pausing), old))
    )
    thread.start()
    assert pausing.inside.wait(30)
    new = house.put(KEY, rows(100, price=5), DAY + 1000)
    newer = threading.Thread(
        target=lambda: found.append(uploads.ingest(house.dock(temp="other"), new))
    )
    newer.start()
    newer.join(0.3)
    pausing.go_on.set()
    newer.join(60)
    thread.join(60)
    assert sorted(done.status for done in found) == ["ingested", "superseded"]
    assert {held["price"] for held in house.items().values()} == {5}
    embed_all(house)
    assert house.waiting() == 0


def test_one_that_died_while_writing_is_not_waited_for_long(house, monkeypatch):
    monkeypatch.setattr("windowshop.uploads.precedence.LOOK_S", 0.01)
    monkeypatch.setattr("windowshop.uploads.precedence.PATIENCE_S", 0.1)
    dead = house.runs.begin(STORE, "dead", DAY, "catalog/default/dead.csv", 60)
    house.runs.step(dead)
    upload = house.put(KEY, rows(5), DAY + 1000)
    with pytest.raises(NotReady, match="older upload"):
        uploads.ingest(house.dock(), upload)
    house.runs.rows[STORE, "dead"].until = 0
    assert uploads.ingest(house.dock(), upload).status == "ingested"


def test_progress_is_kept_however_few_items_wait(house, monkeypatch):
    monkeypatch.setattr("windowshop.uploads.walk.KEEP_MS", -1)
    house.ingest("catalog/default/first.csv", rows(300), DAY)
    upload = house.put(KEY, rows(300), DAY + 1000)
    with pytest.raises(Unavailable):
        uploads.ingest(house.dock(runs=Breaking(house.runs, "step", 3)), upload)
    assert max(row.batches for row in house.runs.rows.values() if row.status == "running") == 2
