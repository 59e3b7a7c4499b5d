"""Embedding jobs into vectors: each on its own, in batches, and by workers that are interrupted."""

import contextlib
import threading

import pytest

from tests.integration.warehouse import STORE, Warehouse, rows, tiny_encoder, wall_ms
from windowshop import embedding
from windowshop.embedding.work import Post, work
from windowshop.errors import InvalidInput, Misconfigured, NotFound, Unavailable
from windowshop.jobs import EmbedJob, chunk_key, read_chunk, send_keys, write_chunk
from windowshop.queues import LONGEST_PAUSE_S, LocalQueue, Outgoing
from windowshop.records import Item, item_key

KEY = "catalog/default/items.csv"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def house(tmp_path, encoder):
    with contextlib.closing(Warehouse(tmp_path, encoder)) as opened:
        yield opened


@pytest.fixture
def chunks(house, monkeypatch):
    """Jobs for chunks of 20 items of an upload of 100, as they are queued."""
    monkeypatch.setattr("windowshop.intake.ITEMS", 20)
    monkeypatch.setattr("windowshop.uploads.lanes.CHUNK", 20)
    house.ingest(KEY, rows(100))
    return house.queued()


def job(**more):
    return {"store": STORE, "sent_ms": wall_ms(), **more}


def statuses(house, *batch):
    return [one.status for one in embedding.jobs(house.shop, house.blobs, batch)]


# --- jobs ----------------------------------------------------------------------------------------


def test_a_chunk_gets_its_vectors(house, chunks):
    assert len(chunks) == 5
    first = EmbedJob(**chunks[0])
    assert embedding.embed(house.shop, house.blobs, first) == 20
    assert house.waiting() == 80
    (told,) = house.heard.named("ItemsEmbedded")
    assert told == {"store": STORE, "run": first.run, "chunk": first.chunk, "items": 20}
    assert house.heard.measures["ItemsEmbedded"] == [20]
    assert embedding.embed(house.shop, house.blobs, first) == 0
    assert (len(house.encoder.texts), len(house.heard.named("ItemsEmbedded"))) == (20, 1)


def test_a_batch_is_encoded_in_one_call(house, chunks):
    assert statuses(house, *chunks) == ["ok"] * 5
    assert (house.encoder.calls, house.waiting()) == (1, 0)


def test_items_put_over_http_are_named_by_their_keys(house):
    items = [Item(item_id=f"i{n}", title=f"milk {n}") for n in range(2_500)]
    written = house.shop.put_items(STORE, items)
    send_keys(house.small, STORE, written.waiting, wall_ms())
    batch = house.queued()
    assert [len(one["keys"]) for one in batch] == [1_000, 1_000, 500]
    assert all(type(key) is str for key in batch[0]["keys"])
    assert statuses(house, batch[0], job(keys=[str(item_key(STORE, "unknown"))])) == ["ok", "ok"]
    assert house.waiting() == 1_500
    assert house.heard.named("ItemsEmbedded")[0]["chunk"] is None


def test_a_text_that_was_changed_since_is_left_to_its_own_job(house):
    house.ingest(KEY, rows(3))
    (old,) = house.queued()
    written = house.shop.put_items(STORE, [Item(item_id="i1", title="bread")])
    assert statuses(house, old) == ["ok"]
    assert house.waiting() == 1
    send_keys(house.small, STORE, written.waiting, wall_ms())
    assert statuses(house, *house.queued()) == ["ok"]
    assert house.waiting() == 0
    assert house.encoder.texts == ["organic milk 0", "organic milk 2", "bread"]


def test_a_text_that_is_changed_while_it_is_encoded_waits_on(house):
    house.ingest(KEY, rows(3))
    house.encoder.fails = lambda _: house.shop.put_items(STORE, [Item(item_id="i1", title="bread")])
    (outcome,) = embedding.jobs(house.shop, house.blobs, house.queued())
    assert (outcome.status, outcome.items, house.waiting()) == ("ok", 2, 1)


def test_items_that_were_deleted_since_do_not_come_back(house):
    house.ingest(KEY, rows(3))
    house.shop.delete_items(STORE, ["i1"])
    assert statuses(house, *house.queued()) == ["ok"]
    assert set(house.items()) == {"i0", "i2"}


BAD = {
    "text": "no job",
    "empty": {},
    "neither": job(),
    "both": job(chunk="chunks/default/a/000001.jsonl", keys=["1"]),
    "no keys": job(keys=[]),
    "keys that are none": job(keys=["x"]),
    "another store's": job(chunk="chunks/other/a/000001.jsonl"),
    "somewhere else": job(chunk="chunks/default/../../other/x"),
    "no store's name": {"store": "A b", "sent_ms": 1, "keys": ["1"]},
    "gone": job(chunk="chunks/default/a/000001.jsonl"),
    "no chunk": job(chunk="chunks/default/bad"),
    "no rows": job(chunk="chunks/default/worse"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_job_that_cannot_be_done_says_why_and_holds_up_nobody(house, chunks, name):
    house.blobs.write("chunks/default/bad", b"no json\n")
    house.blobs.write("chunks/default/worse", b'[1]\n{"key": "1"}\n')
    found = embedding.jobs(house.shop, house.blobs, [chunks[0], BAD[name], chunks[1]])
    assert [one.status for one in found] == ["ok", "dead", "ok"]
    assert found[1].reason
    (told,) = house.heard.named("JobFailed")
    assert (told["what"], told["reason"]) == ("embed", found[1].reason)


def test_a_chunk_that_is_gone_says_what_to_do(house):
    (outcome,) = embedding.jobs(house.shop, house.blobs, [BAD["gone"]])
    assert "upload the catalogue again" in outcome.reason


def test_a_chunk_is_read_as_it_was_written(house):
    key = chunk_key(STORE, "r1", 7)
    wanted = [embedding.Wanted(2**63 - 1, 'a\r\n"b"\u2028c', "h" * 24)]
    write_chunk(house.blobs, key, wanted)
    assert read_chunk(house.blobs, key) == wanted
    with pytest.raises(NotFound):
        read_chunk(house.blobs, chunk_key(STORE, "r1", 8))


def test_of_later_versions_unknown_fields_are_no_error(house, chunks):
    assert statuses(house, {**chunks[0], "colour": "red"}) == ["ok"]


@pytest.mark.parametrize(
    ("error", "status", "fault"),
    [(Unavailable("away"), "retry", False), (ZeroDivisionError(), "retry", True)],
)
def test_an_encoder_that_fails_fails_them_all(house, chunks, error, status, fault):
    def fail(_):
        raise error

    house.encoder.fails = fail
    found = embedding.jobs(house.shop, house.blobs, chunks)
    assert {(one.status, one.fault) for one in found} == {(status, fault)}
    assert house.waiting() == 100


def test_a_text_that_the_encoder_cannot_take_fails_its_own_job_alone(house, chunks):
    def fail(texts):
        if "organic milk 25" in texts:
            raise ValueError

    house.encoder.fails = fail
    found = embedding.jobs(house.shop, house.blobs, chunks)
    assert [one.status for one in found] == ["ok", "retry", "ok", "ok", "ok"]
    assert (found[1].fault, found[1].reason, house.waiting()) == (True, "ValueError", 20)


def test_a_store_that_is_away_is_waited_for(house, chunks, monkeypatch):
    def away(*_):
        raise Unavailable("no Qdrant")

    with monkeypatch.context() as patch:
        patch.setattr(house.store, "put_vectors", away)
        assert statuses(house, *chunks) == ["retry"] * 5
    with monkeypatch.context() as patch:
        patch.setattr(house.store, "items", away)
        assert statuses(house, *chunks) == ["retry"] * 5
    assert statuses(house, *chunks) == ["ok"] * 5


def test_a_wrong_setting_stops_the_whole(house, chunks):
    def fail(_):
        raise Misconfigured("the model")

    house.encoder.fails = fail
    with pytest.raises(Misconfigured):
        embedding.jobs(house.shop, house.blobs, chunks)


def test_jobs_of_two_stores_go_to_their_own(house):
    for store in ("one", "two"):
        house.ingest(f"catalog/{store}/items.csv", rows(5))
    assert statuses(house, *house.queued()) == ["ok", "ok"]
    assert (house.waiting("one"), house.waiting("two"), house.encoder.calls) == (0, 0, 1)


# --- what waits in one process -------------------------------------------------------------------


def test_what_waits_is_embedded_without_reading_whole_payloads(house, monkeypatch):
    house.shop.put_items(STORE, [Item(item_id="a", title="milk", attributes={"x": "y" * 1000})])
    asked = []
    items = house.store.items
    monkeypatch.setattr(
        house.store,
        "items",
        lambda *args: asked.append(args[2] if args[2:] else None) or items(*args),
    )
    assert house.shop.embed_waiting(STORE) == 1
    assert asked
    assert all(fields is not None and "attributes" not in fields for fields in asked)


# --- workers -------------------------------------------------------------------------------------


def post(house, queue=None, visible_s=30):
    return Post(queue or house.small, house.letters, visible_s)


def send(house, *batch):
    assert house.small.send([Outgoing(one) for one in batch]) == []


def run(house, stop=None, **more):
    return work(
        more.pop("post", None) or post(house),
        house.shop,
        house.blobs,
        stop or threading.Event(),
        polls=more.pop("polls", 1),
        wait_s=0,
    )


def test_a_worker_drains_its_queue_and_ends(house, chunks):
    send(house, *chunks, *chunks)
    done = run(house)
    assert (done.jobs, done.letters) == (10, 0)
    assert (house.small.depth(), house.waiting()) == (0, 0)
    assert run(house).jobs == 0


def test_a_job_that_cannot_be_done_becomes_a_letter_with_its_reason(house, chunks):
    send(house, chunks[0], BAD["gone"], {"no": "job"})
    done = run(house)
    assert (done.jobs, done.letters, house.small.depth()) == (1, 2, 0)
    gone, none = sorted(house.letters.receive(), key=lambda one: str(one.body), reverse=True)
    assert gone.body == BAD["gone"]
    assert gone.attributes["store"] == STORE
    assert "upload the catalogue again" in gone.attributes["reason"]
    assert none.body == {"no": "job"}
    assert set(none.attributes) == {"reason"}


def test_a_letter_that_cannot_be_posted_stays_a_job(house):
    class Full:
        def send(self, messages):
            return [(0, "full")]

    send(house, BAD["gone"])
    done = run(house, post=Post(house.small, Full()))
    assert (done.letters, house.small.depth()) == (0, 1)


def test_an_error_of_ours_is_tried_a_few_times(house, chunks):
    clock = Clock()
    queue = LocalQueue(clock)
    queue.send([Outgoing(chunks[0])])

    def fail(_):
        raise ZeroDivisionError

    house.encoder.fails = fail
    for tries in range(1, 5):
        assert run(house, post=post(house, queue)).returned == 1
        assert queue.depth() == 1
        assert queue.receive() == []  # not at once again
        clock.ms += 1_000 << (tries - 1)
    assert run(house, post=post(house, queue)).letters == 1
    assert queue.depth() == 0
    (letter,) = house.letters.receive()
    assert letter.attributes["reason"] == "ZeroDivisionError"


class Clock:
    ms = 1_790_000_000_000

    def __call__(self):
        return self.ms


def test_while_something_is_away_jobs_wait_however_often(house, chunks):
    clock = Clock()
    queue = LocalQueue(clock)
    queue.send([Outgoing(chunks[0])])

    def fail(_):
        raise Unavailable("no GPU")

    house.encoder.fails = fail
    for _ in range(8):
        assert run(house, post=post(house, queue)).returned == 1
        clock.ms += LONGEST_PAUSE_S * 1000
    house.encoder.fails = None
    assert run(house, post=post(house, queue)).jobs == 1


def test_a_worker_that_is_stopped_hands_back_what_it_holds(house, chunks):
    send(house, *chunks)
    stop = threading.Event()
    house.encoder.fails = lambda _: stop.set()
    done = run(house, stop)
    assert (done.jobs, done.returned) == (0, 5)
    house.encoder.fails = None
    assert len(house.small.receive()) == 5  # at once, not when its time would be over


def test_a_worker_that_is_stopped_takes_nothing_more(house, chunks):
    send(house, *chunks)
    stop = threading.Event()
    stop.set()
    assert run(house, stop).jobs == 0
    assert [one.tries for one in house.small.receive()] == [1] * 5


def test_a_wrong_setting_ends_the_worker_and_loses_nothing(house, chunks):
    def fail(_):
        raise Misconfigured("the model")

    send(house, *chunks)
    house.encoder.fails = fail
    with pytest.raises(Misconfigured):
        run(house)
    assert len(house.small.receive()) == 5


def test_what_is_worked_on_stays_hidden_from_others(house, chunks):
    queue = LocalQueue(wall_ms, visible_s=1)
    queue.send([Outgoing(one) for one in chunks])
    seen = []

    def slow(_):
        end = threading.Event()
        end.wait(1.5)  # longer than they are hidden without being renewed
        seen.extend(queue.receive())

    house.encoder.fails = slow
    done = run(house, post=post(house, queue, visible_s=1))
    assert (done.jobs, seen, queue.depth()) == (5, [], 0)


def test_jobs_of_a_worker_that_died_are_done_by_the_next(house, chunks):
    clock = Clock()
    queue = LocalQueue(clock, visible_s=30)
    queue.send([Outgoing(one) for one in chunks])
    held = queue.receive(3)  # and nothing is heard of them any more
    assert run(house, post=post(house, queue)).jobs == 2
    clock.ms += 30_000
    assert run(house, post=post(house, queue)).jobs == 3
    queue.delete(held)  # whoever held them comes back: too late
    assert (queue.depth(), house.waiting()) == (0, 0)


def test_two_workers_share_the_jobs(house, chunks):
    send(house, *chunks * 3)
    done = []
    threads = [threading.Thread(target=lambda: done.append(run(house, polls=2))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(one.jobs for one in done) == 15
    assert (house.small.depth(), house.waiting(), len(set(house.encoder.texts))) == (0, 0, 100)


class Patchy:
    """A queue that cannot be reached for the first calls of a name."""

    def __init__(self, inner, name, times):
        self._inner, self._name, self._times = inner, name, times

    def __getattr__(self, name):
        def call(*args, **kwargs):
            if name == self._name and self._times:
                self._times -= 1
                raise Unavailable("no queue")
            return getattr(self._inner, name)(*args, **kwargs)

        return call


@pytest.mark.parametrize("name", ["renew", "delete", "release", "receive"])
def test_a_queue_that_is_away_for_a_while_costs_nothing_but_time(house, chunks, name, monkeypatch):
    clock = Clock()
    queue = LocalQueue(clock, visible_s=30)
    queue.send([Outgoing(one) for one in [*chunks, BAD["gone"]]])
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda _: None)
    patchy = Post(Patchy(queue, name, 1), house.letters, 30)
    run(house, stop, post=patchy)
    clock.ms += 60_000
    run(house, stop, post=patchy)
    assert (queue.depth(), house.waiting()) == (0, 0)
    assert len(house.letters.receive()) == (2 if name == "delete" else 1)


def test_a_queue_that_stays_away_ends_the_worker(house, monkeypatch):
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", lambda _: None)
    with pytest.raises(Unavailable):
        run(house, stop, post=Post(Patchy(house.small, "receive", 100), house.letters))


def test_a_queue_that_refuses_keys_is_told(house):
    class Refusing:
        def send(self, messages):
            return [(0, "too many")]

    with pytest.raises(Unavailable, match="too many"):
        send_keys(Refusing(), STORE, [1], wall_ms())
    with pytest.raises(InvalidInput):
        embedding.embed(house.shop, house.blobs, EmbedJob(**BAD["gone"]))
