"""What was learned, kept in a folder or a bucket: whole versions, and one that serves."""

import numpy as np
import pytest

from tests.contract.test_blobs import s3_blobs
from windowshop import learned
from windowshop.blobs import DirBlobs
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.learned import CARD, CURRENT, ITEMS, MODEL, Opened, Shelf
from windowshop.ranker import Rankers
from windowshop.train.trees import sum_to_onnx

KIND = "ranker-all"
KEYS, ROWS = np.zeros(1, np.uint64), np.ones((1, 1), np.float32)


@pytest.fixture(params=["dir", "s3"])
def blobs(request, tmp_path):
    if request.param == "dir":
        return DirBlobs(tmp_path / "learned")
    request.getfixturevalue("aws")
    return s3_blobs()


@pytest.fixture
def shelf(blobs):
    return Shelf(blobs, "learned/")


def keep(shelf, version, kind=KIND, store="s"):
    model = sum_to_onnx(np.array([float(version)], np.float32))
    shelf.put(store, kind, version, {MODEL: model}, {"features": ["a"]})


def test_a_version_is_kept_with_its_files_and_read_back(shelf, blobs):
    assert shelf.all("s") == []
    assert shelf.find("s", "tower", "1") is None
    shelf.put("s", "tower", "1", {MODEL: b"model", ITEMS: b"items"}, {"epochs": 3})
    found = shelf.find("s", "tower", "1")
    assert (found.read(MODEL), found.read(ITEMS)) == (b"model", b"items")
    assert found.card["epochs"] == 3
    assert not found.serves
    shelf.put("s", "tower", "1", {MODEL: b"again"}, {})
    assert shelf.find("s", "tower", "1").read(MODEL) == b"again"
    keep(shelf, "2")
    keep(shelf, "3", store="other")
    assert [(one.kind, one.version) for one in shelf.all("s")] == [(KIND, "2"), ("tower", "1")]
    blobs.delete(["learned/s/tower/1/" + CARD])  # half written, or half replaced
    assert shelf.find("s", "tower", "1") is None
    with pytest.raises(NotFound):
        shelf.promote("s", "tower", "1")
    for strange in ("../1", "", "a/b", ".."):
        assert shelf.find("s", "tower", strange) is None


def test_a_file_that_is_not_what_was_written_is_not_read(shelf, blobs):
    shelf.put("s", "tower", "1", {MODEL: b"model", ITEMS: b"items"}, {})
    blobs.write("learned/s/tower/1/" + MODEL, b"MODEL")
    blobs.delete(["learned/s/tower/1/" + ITEMS])
    found = shelf.find("s", "tower", "1")
    with pytest.raises(Unavailable, match="not what was written"):
        found.read(MODEL)
    with pytest.raises(Unavailable, match="is missing"):
        found.read(ITEMS)


def test_one_serves_and_the_one_before_comes_back(shelf, blobs):
    for version in ("1", "2"):
        keep(shelf, version)
    assert (shelf.serves("s", KIND), shelf.current("s", KIND)) == ("", None)
    shelf.promote("s", KIND, "1")
    shelf.promote("s", KIND, "2")
    shelf.promote("s", KIND, "2")
    assert (shelf.current("s", KIND).version, shelf.before("s", KIND)) == ("2", "1")
    assert blobs.read(f"learned/s/{KIND}/{CURRENT}") == b"2\n1\n"
    assert [one.serves for one in shelf.all("s")] == [False, True]
    assert shelf.rollback("s", KIND) == "1"
    assert shelf.rollback("s", KIND) is None
    assert (shelf.serves("s", KIND), shelf.before("s", KIND)) == ("", None)
    with pytest.raises(InvalidInput):
        shelf.rollback("s", KIND)


# --- where a look costs a call ----------------------------------------------------------------


class Far:
    """Blobs that are counted, and can be away."""

    def __init__(self, blobs):
        self.blobs, self.calls, self.away = blobs, 0, False

    def read(self, key):
        self.calls += 1
        if self.away:
            raise Unavailable("S3 is away")
        return self.blobs.read(key)


@pytest.fixture
def near(tmp_path):
    return DirBlobs(tmp_path)


def test_which_ranker_serves_is_believed_for_a_while(near):
    shelf, far, now = Shelf(near), Far(near), [1_000_000]
    rankers = Rankers(Shelf(far), believed_ms=60_000, wall=lambda: now[0])

    def score():
        ranker = rankers.get("s", "all")
        return None if ranker is None else ranker.score(KEYS, ("a",), ROWS).tolist()

    assert score() is score() is None
    assert far.calls == 1
    for version in ("1", "2"):
        keep(shelf, version)
    shelf.promote("s", KIND, "1")
    assert score() is None
    now[0] += 60_000
    assert score() == score() == [1]
    assert far.calls == 5  # current; the card, current, the model
    far.away = True
    now[0] += 60_000
    assert score() == score() == [1]  # what serves goes on
    assert far.calls == 6
    far.away = False
    shelf.promote("s", KIND, "2")
    now[0] += 3_600_000  # a snapshot woke up
    assert score() == [2]


def test_what_could_not_be_opened_is_tried_again_a_minute_later(near, capsys, monkeypatch):
    clock = [5.0]
    monkeypatch.setattr(learned.time, "monotonic", lambda: clock[0])
    shelf, far, opened = Shelf(near), Far(near), []
    keep(shelf, "1")

    def open_it(one):
        opened.append(one.read(MODEL))
        return object()

    held = Opened(Shelf(far), open_it)
    far.away = True
    assert held.get("s", KIND, "1") is held.get("s", KIND, "1") is None
    assert capsys.readouterr().err.count("model_not_opened") == 1
    far.away = False
    assert held.get("s", KIND, "1") is None
    clock[0] += 61
    assert held.get("s", KIND, "1") is held.get("s", KIND, "1") is not None
    assert held.get("s", KIND, "none") is None
    assert len(opened) == 1
