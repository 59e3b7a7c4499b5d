"""`evaluate`, `train` and `models` beside a running `serve`, which goes on taking events and items."""

import importlib.util
import os
import shutil
import threading
from collections import Counter
from contextlib import closing, contextmanager

import pytest

from tests.contract.tiny_towers import shelve
from tests.integration.test_cli import address, http_json, served, stop
from tests.integration.test_train import asked, contents, run, write
from windowshop import copies, serving
from windowshop.errors import InvalidInput, Unavailable
from windowshop.evaluate import homes, originals
from windowshop.log.sqlite import SqliteLog
from windowshop.operator import RemoteOperator
from windowshop.scratch import PREFIX, check_scratch

STORE = "default"
REPLAY = ("evaluate", "--queries", 10, "--baselines", "none")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A home that is served, and its address."""
    folder = tmp_path_factory.mktemp("served")
    items, events = write(folder, users=25, days=40)
    home = folder / "home"
    run("ingest", items, "--home", home)
    run("record", events, "--home", home)
    process = served(home)
    try:
        yield home, address(process)
    finally:
        stop(process)


def logged(home):
    with closing(SqliteLog(home / "log.sqlite")) as log:
        return Counter((row.user, row.event_id, row.item_id) for row in log.rows(STORE))


@contextmanager
def customers(url):
    """Somebody who looks at things all the time; yields the events that were accepted."""
    sent, over = [], threading.Event()

    def browse():
        while not over.wait(0.01):
            event = {"kind": "view", "user_id": "early", "item_id": "item01"}
            body = {"events": [{**event, "event_id": f"e{len(sent)}"}]}
            assert http_json(url, "/v1/events", body)["accepted"] == 1
            sent.append(("u:early", body["events"][0]["event_id"], "item01"))

    thread = threading.Thread(target=browse)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


def ask(url, **fields):
    body = {"scenario": "for_you", "user_id": "user01", "limit": 10, "seen": "keep", **fields}
    slate = http_json(url, "/v1/recommendations", body)
    assert slate.get("degraded") is None
    return [item["item_id"] for item in slate["items"]]


def test_a_served_home_is_replayed_while_events_come_in(place):
    home, url = place
    before = logged(home)
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    with customers(url) as sent:
        found = asked(*REPLAY, "--home", home)
    assert found["queries"] == 10
    assert found["results"]["windowshop"]["all"]["ndcg@10"] > 0
    assert len(sent) > 3
    assert logged(home) - before == Counter(sent)
    assert os.getpriority(os.PRIO_PROCESS, 0) == niceness or os.getuid() != 0
    assert ask(url)


@pytest.mark.skipif(
    importlib.util.find_spec("lightgbm") is None, reason="the extra `train` is not installed"
)
def test_what_is_learned_beside_a_served_home_orders_its_slates_at_once(place):
    home, url = place
    before = contents(home / "models")
    with customers(url):
        trained = asked("train", "ranker", "--home", home, "--seed", 3)
    assert contents(home / "models") == before
    one = trained["tasks"]["all"]
    kind = ("ranker-all", "--home", home)
    if not one["promoted"]:
        run("models", "promote", kind[0], one["version"], *kind[1:])
    listed = asked("models", "list", "--home", home)["models"]
    assert one["version"] in {row["version"] for row in listed if row["serves"]}
    learned = ask(url)
    run("models", "rollback", *kind)
    plain = ask(url)
    assert plain != learned
    run("models", "promote", kind[0], one["version"], *kind[1:])
    assert ask(url) == learned
    run("models", "rollback", *kind)
    assert ask(url) == plain


def test_a_tower_is_promoted_and_taken_back_by_the_process_that_serves(place):
    home, url = place
    tower = ("tower", "--home", home)
    for words, what in (("promote", "no model tower"), ("rollback", "nothing to take back")):
        named = (tower[0], "v1", *tower[1:]) if words == "promote" else tower
        assert what in run("models", words, *named, code=2).stderr
    shelve(home / "learned", 384, "v1", seed=1)
    run("models", "promote", "tower", "v1", *tower[1:])
    assert ask(url)
    assert run("models", "rollback", *tower).stderr.strip().endswith("no tower now serves")
    assert ask(url)


def test_a_copy_has_the_items_and_their_vectors(place, tmp_path):
    home, url = place
    item = {"item_id": "late", "title": "A late thing"}
    assert http_json(url, "/v1/items", {"items": [item]}, "PUT")["accepted"] == 1
    scratch = tmp_path / f"{PREFIX}x"
    scratch.mkdir(0o700)
    subject = homes.of_original(originals.OwnHome(home), STORE, scratch, quiet)
    with closing(subject.shop):
        assert "late" in subject.trace.items
        store = subject.shop.world.store
        keys = [key for key, _ in store.scan(STORE, None, 1_000, None, ("item_id",))[0]]
        assert len(store.vectors(STORE, keys)) >= 40
        assert subject.shop.world.log.count(STORE) == 0


@contextmanager
def quiet(label, total=None):
    yield lambda count: None


def test_the_copy_goes_only_where_a_command_made_room_for_it(place, tmp_path):
    home, _ = place
    held = serving.find(home)
    mine = tmp_path / f"{PREFIX}mine"
    mine.mkdir(0o700)
    link = tmp_path / f"{PREFIX}link"
    link.symlink_to(mine)
    full = tmp_path / f"{PREFIX}full"
    full.mkdir(0o700)
    (full / "file").write_text("mine")
    opened = tmp_path / f"{PREFIX}open"
    opened.mkdir()
    opened.chmod(0o755)
    other = tmp_path / "elsewhere"
    other.mkdir(0o700)
    bad = [
        link,
        full,
        opened,
        other,
        tmp_path / f"{PREFIX}none",
        home,
        mine / ".." / mine.name,
    ]
    with closing(RemoteOperator(held.url, held.token)) as operator:
        for into in [*map(str, bad), "relative", ""]:
            with pytest.raises(InvalidInput):
                operator.call("copy", store=STORE, into=into)
    check_scratch(mine.resolve())
    assert (full / "file").read_text() == "mine"
    assert not any(mine.iterdir())


class Interrupted:
    """A log and a store whose copy is being made when the command that wants it is interrupted."""

    def __init__(self, folder):
        self.folder = folder

    def copy(self, path):
        path.write_text("log")

    def copy_items(self, tenant, root):
        shutil.rmtree(self.folder)
        root.mkdir(parents=True)
        (root / "more").write_text("items")


def test_nothing_is_left_of_a_copy_that_nobody_waits_for(tmp_path):
    folder = tmp_path.resolve() / f"{PREFIX}x"
    folder.mkdir(0o700)
    cut = Interrupted(folder)
    copies.copy_into(folder, cut, cut, STORE)
    assert not folder.exists()


def test_a_disk_without_room_is_told_before_anything_is_copied(place, tmp_path, monkeypatch):
    usage = originals.shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(originals.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Unavailable, match="TMPDIR"):
        originals.OwnHome(place[0]).open(STORE, tmp_path, quiet)
    assert not any(tmp_path.iterdir())
