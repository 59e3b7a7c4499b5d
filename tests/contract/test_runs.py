"""The suite of the runs of uploads: DynamoDB's on the emulator, and the one in memory."""

import uuid
from functools import partial

import pytest

from tests.contract.held_runs import HeldRuns
from windowshop.aws.clients import Clients
from windowshop.aws.runs import DynamoRuns
from windowshop.errors import NotReady
from windowshop.runs import Other

LEASE = 60
ORDER = 1_789_000_000_000


class Wall:
    def __init__(self):
        self.ms = 1_790_000_000_000

    def __call__(self):
        return self.ms


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture(params=["memory", "dynamodb"])
def runs(request, wall):
    if request.param == "memory":
        return HeldRuns(wall)
    table = request.getfixturevalue("table")
    return DynamoRuns(partial(Clients(), "dynamodb"), table, wall)


@pytest.fixture
def begin(runs):
    """Begins a run in a store of this test's own."""
    store = f"s-{uuid.uuid4().hex[:12]}"

    def begin(run_id="a", order=ORDER, suffix="", key=None):
        key = key or f"catalog/{store}/{run_id}.csv"
        return runs.begin(store + suffix, run_id, order, key, LEASE)

    return begin


def test_a_run_begins_once_and_is_held(begin):
    run = begin()
    assert (run.id, run.order, run.batches, run.state) == ("a", ORDER, 0, {})
    with pytest.raises(NotReady, match="at work"):
        begin()
    assert begin("b").id == "b"
    assert begin("a", suffix="-2").id == "a"


def test_what_was_done_is_there_when_a_run_is_taken_up(runs, begin):
    run = begin()
    run.batches, run.state = 7, {"held": [["chunks/x", 3]], "lane": None}
    runs.progress(run)
    run.state["held"].append("later")
    runs.release(run)
    again = begin()
    assert (again.batches, again.state) == (7, {"held": [["chunks/x", 3]], "lane": None})


def test_a_run_that_was_left_is_taken_up_when_its_lease_ends(runs, begin, wall):
    left = begin()
    wall.ms += LEASE * 1000 + 1
    taken = begin()
    left.batches = 99
    for change in (
        lambda: runs.progress(left),
        lambda: runs.renew(left, LEASE),
        lambda: runs.step(left),
        lambda: runs.publish(left, "x", full=True),
        lambda: runs.finish(left, "done", {}),
    ):
        with pytest.raises(NotReady, match="taken"):
            change()
    runs.release(left)
    with pytest.raises(NotReady, match="at work"):
        begin()
    runs.progress(taken)
    assert taken.batches == 0


def test_a_lease_is_renewed(runs, begin, wall):
    run = begin()
    wall.ms += LEASE * 900
    runs.renew(run, LEASE)
    wall.ms += LEASE * 900
    with pytest.raises(NotReady, match="at work"):
        begin()


@pytest.mark.parametrize("end", ["done", "superseded", "failed"])
def test_a_run_that_has_ended_begins_no_more(runs, begin, wall, end):
    run = begin()
    runs.finish(run, end, {"read": 5})
    assert begin() is None
    wall.ms += 10 * LEASE * 1000
    assert begin() is None
    runs.release(run)
    assert begin() is None


def test_newer_runs_are_known_once_they_are_published(runs, begin):
    old, new, other = begin("old"), begin("new", ORDER + 1), begin("b", ORDER + 2, "-2")
    same = begin("same")
    assert runs.newer(old) == []
    runs.publish(new, "chunks/new", full=True)
    runs.publish(other, "chunks/other", full=False)
    runs.publish(same, "chunks/same", full=False)
    key = f"catalog/{old.store}/new.csv"
    assert runs.newer(old) == [Other("new", key, "chunks/new", full=True, steps=0)]
    assert runs.newer(new) == []
    runs.release(new)
    assert [one.id for one in runs.newer(old)] == ["new"]
    runs.finish(new, "done", {})
    assert [one.id for one in runs.newer(old)] == ["new"]


@pytest.mark.parametrize("end", ["superseded", "failed"])
def test_newer_runs_that_came_to_nothing_do_not_count(runs, begin, end):
    old, new = begin("old"), begin("new", ORDER + 1)
    runs.publish(new, "chunks/new", full=False)
    runs.finish(new, end, {})
    assert runs.newer(old) == []


def test_older_runs_are_known_while_they_write(runs, begin, wall):
    old, new = begin("old"), begin("new", ORDER + 1)
    assert runs.writing(new) == []
    runs.step(old)
    runs.step(old)
    assert [(one.id, one.steps) for one in runs.writing(new)] == [("old", 2)]
    assert runs.writing(old) == []
    runs.release(old)
    assert runs.writing(new) == []
    old = begin("old")
    assert runs.writing(new) == []
    runs.step(old)
    assert [one.steps for one in runs.writing(new)] == [1]
    wall.ms += LEASE * 1000 + 1
    assert runs.writing(new) == []


def test_runs_that_have_ended_write_no_more(runs, begin):
    old, new = begin("old"), begin("new", ORDER + 1)
    runs.step(old)
    runs.finish(old, "done", {})
    assert runs.writing(new) == []


def test_many_runs_are_all_found(runs, begin):
    old = begin("old")
    for number in range(1, 30):
        run = begin(f"r{number}", ORDER + number)
        run.state = {"much": "x" * 50_000}
        runs.progress(run)
        runs.publish(run, f"chunks/{number}", full=False)
    assert [one.id for one in runs.newer(old)] == [f"r{n}" for n in range(1, 30)]
