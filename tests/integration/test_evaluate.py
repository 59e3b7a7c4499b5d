"""Replay through the product's own path: its verdicts, what it may know, and what it leaves alone."""

import csv
import hashlib
import json
import math
import random
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from windowshop.cli import app
from windowshop.columns import Mapping
from windowshop.evaluate import homes
from windowshop.evaluate.contest import BASELINES
from windowshop.evaluate.freshness import Late
from windowshop.evaluate.past import Crowd, Past
from windowshop.evaluate.protocol import trial_of
from windowshop.evaluate.replay import Variant, replay
from windowshop.folding import read_profile
from windowshop.local import open_shop
from windowshop.settings import default_blend

WORDS = {
    "Dairy": "Milk Yogurt Butter Cheddar Cream Gouda".split(),
    "Bakery": "Bread Bagels Croissant Baguette Muffins Rolls".split(),
    "Pets": "Dog-Food Cat-Food Dog-Treats Cat-Litter Dog-Leash Bird-Seed".split(),
    "Garden": "Hose Rake Fertilizer Flower-Pot Rose-Seeds Shovel".split(),
    "Office": "Pencils Stapler Paper Envelopes Markers Notebook".split(),
}
ITEMS = [
    (word.lower(), f"{word} of the {aisle}", aisle)
    for aisle, words in WORDS.items()
    for word in words
]
DAY = 86_400


@contextmanager
def bar(label, total=None):
    yield lambda count: None


def habits(seed=5, users=30, days=60):
    """People who come back for their few staples, from all aisles, and now and then take what is
    in fashion that week: (user, item, unix seconds).
    """
    chance = random.Random(seed)
    ids = [item for item, _, _ in ITEMS]
    events = []
    for user in range(users):
        staples = chance.sample(ids, 4)
        day = chance.uniform(0, 6)
        while day < days:
            when = 1_700_000_000 + int(day * DAY)
            fashion = ids[int(day // 7) * 3 % len(ids)]
            basket = {chance.choice(staples), chance.choice(staples)}
            if chance.random() < 0.4:
                basket.add(fashion)
            events += [(f"user{user:02}", item, when) for item in sorted(basket)]
            day += chance.uniform(2, 6)
    return events


def write(folder, events, extra=()):
    items, log = folder / "items.csv", folder / "events.csv"
    with items.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("item_id", "title", "category", "group_id", "available"))
        # Variants of one thing, and sold out by now: neither may show in a replay.
        rows.writerows((item, title, aisle, aisle, "false") for item, title, aisle in ITEMS)
    with log.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("kind", "user_id", "item_id", "timestamp"))
        rows.writerows(("purchase", *event) for event in (*events, *extra))
    return items, log


def run(*args):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def evaluate(*args):
    result = run("evaluate", *args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("files"), habits())


@pytest.fixture(scope="module")
def by_time(files):
    return evaluate("--items", files[0], "--events", files[1], "--seed", 3)


# --- figures -------------------------------------------------------------------------------------


def test_where_people_repeat_untrained_lists_beat_popularity_and_text(by_time):
    results = by_time["results"]
    ours = results["windowshop"]["all"]["ndcg@10"]
    assert ours > 1.1 * results["popularity"]["all"]["ndcg@10"]
    assert ours > 1.1 * results["text_only"]["all"]["ndcg@10"]


def test_the_object_is_the_contracts(by_time):
    assert by_time["protocol"] == "time"
    assert by_time["dataset"] == "events.csv"
    assert by_time["seed"] == 3
    assert set(by_time["results"]) == {"windowshop", *BASELINES}
    assert by_time["left_out"] == {}
    for result in by_time["results"].values():
        for task in ("all", "new"):
            for name in ("ndcg@10", "recall@10", "hit@10", "mrr@10", "coverage@10"):
                assert 0 <= result[task][name] <= 1
            assert (
                sum(part["n"] for part in result[task]["by_history"].values()) == result[task]["n"]
            )
        assert result["all"]["n"] == by_time["queries"] > result["new"]["n"] > 0
        assert result["cpu_ms"] > 0
    against = by_time["against"]["all"]
    assert against["low"] <= against["ratio"] <= against["high"]


def independent(events, half_life):
    """Mean NDCG@10 of popularity, from the events alone: {task: figure}, and how many queries."""
    ordered = sorted(event[2] for event in events)
    split = ordered[math.floor(0.8 * len(ordered))]
    groups = defaultdict(set)
    for user, item, when in events:
        if when >= split:
            groups[user, when].add(item)
    asked = defaultdict(list)
    for user, when in sorted(groups):
        if len(asked[user]) < 10:
            asked[user].append(when)
    ids = sorted(item for item, _, _ in ITEMS)
    marks = {"all": [], "new": []}
    for user, times in asked.items():
        for when in times:
            counts = dict.fromkeys(ids, 0.0)
            for _, item, then in events:
                if then < when:
                    counts[item] += 2 ** (-(when - then) / (half_life * DAY))
            own = {item for who, item, then in events if who == user and then < when}
            for task, barred in (("all", set()), ("new", own)):
                truth = groups[user, when] - barred
                ranked = sorted(ids, key=lambda i: (-counts[i], i))
                ranked = [item for item in ranked if item not in barred and counts[item]][:10]
                if truth:
                    gain = sum(
                        1 / math.log2(i + 2) for i, item in enumerate(ranked) if item in truth
                    )
                    best = sum(1 / math.log2(i + 2) for i in range(min(10, len(truth))))
                    marks[task].append(gain / best)
    return {task: (sum(some) / len(some), len(some)) for task, some in marks.items()}


def test_the_popularity_baseline_agrees_with_an_independent_computation(by_time):
    found = by_time["results"]["popularity"]
    for task in ("all", "new"):
        words = found["settings"][task].split()
        half_life = math.inf if words[0] == "no" else float(words[1])
        figure, count = independent(habits(), half_life)[task]
        assert found[task]["n"] == count
        assert found[task]["ndcg@10"] == pytest.approx(figure, abs=1e-5)


def test_leave_last_out_asks_every_user_once_for_what_they_did_not_have(files):
    found = evaluate(
        "--items", files[0], "--events", files[1], "--protocol", "leave-last-out",
        "--baselines", "popularity,text-only",
    )  # fmt: skip
    assert found["protocol"] == "leave-last-out"
    assert found["queries"] == 30
    assert set(found["results"]) == {"windowshop", "popularity", "text_only"}
    for result in found["results"].values():
        assert "all" not in result
        last = {user: item for user, item, _ in habits()}
        before = defaultdict(list)
        for user, item, _ in habits():
            before[user].append(item)
        assert result["new"]["n"] == sum(last[u] not in own[:-1] for u, own in before.items())


def test_a_sample_and_the_validation_and_a_table(files):
    found = evaluate(
        "--items", files[0], "--events", files[1], "--queries", 7, "--baselines", "none",
        "--validation",
    )  # fmt: skip
    assert found["queries"] == 7
    assert set(found["results"]) == {"windowshop"}
    assert found["against"] == {}
    shown = run(
        "evaluate", "--items", files[0], "--events", files[1], "--queries", 7,
        "--baselines", "popularity",
    )  # fmt: skip
    assert shown.exit_code == 0
    assert "windowshop over popularity" in shown.stdout.replace("\n", " ")
    assert "Replaying" in shown.stderr


def test_a_report_shows_what_signals_and_freshness_are_worth(files, tmp_path):
    found = evaluate(
        "--items", files[0], "--events", files[1], "--queries", 12, "--baselines", "popularity",
        "--report", tmp_path / "report",
    )  # fmt: skip
    assert set(found["results"]) == {"windowshop", "popularity"}
    assert found["studied"]["product"] == "windowshop"
    assert found["studied"]["queries"] == 12
    for task in ("all", "new"):
        whole = found["results"]["windowshop"][task]
        assert found["studied"][task]["ndcg@10"] == whole["ndcg@10"]
        assert found["freshness"]["profile"]["live"][task]["ndcg@10"] == whole["ndcg@10"]
    assert {"habit", "like_minded", "meaning", "popular"} <= set(found["ablations"])
    assert found["ablations"]["habit"]["all"]["ratio"] < 1
    for by_age in found["freshness"].values():
        assert set(by_age) == {"live", "daily", "frozen"}
    kept = json.loads((tmp_path / "report" / "report.json").read_text())
    for name in ("results", "ablations", "freshness"):
        assert kept[name] == found[name]
    assert f"--report {tmp_path / 'report'}" in kept["command"]
    assert "--queries 12" in kept["command"]
    assert found["report"] == str(tmp_path / "report" / "index.html")
    assert "Without a signal" in Path(found["report"]).read_text()


def test_a_report_that_cannot_be_put_is_told_before_the_replay(files):
    result = run("evaluate", "--items", files[0], "--events", files[1], "--report", files[1])
    assert result.exit_code == 2
    assert "is a file: name a folder" in result.stderr
    assert "Replaying" not in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("--events", "EVENTS"),
        ("--mapping", "EVENTS"),
        ("--events", "EVENTS", "--items", "ITEMS", "--baselines", "svd"),
        ("--events", "EVENTS", "--items", "ITEMS", "--queries", "0"),
        ("--home", "nowhere"),
    ],
)
def test_wrong_usage_is_told_with_code_2(files, args):
    items, events = map(str, files)
    words = [word.replace("EVENTS", events).replace("ITEMS", items) for word in args]
    assert run("evaluate", *words).exit_code == 2


# --- what may be known ---------------------------------------------------------------------------


def lists_of(folder, events, extra=(), protocol="time"):
    """The product's lists: {(user, time): [item ids]} by task."""
    return lists_by_variant(folder, events, extra, protocol, plain=Variant())["plain"]


def lists_by_variant(folder, events, extra=(), protocol="time", **variants):
    folder.mkdir()
    items, log = write(folder, events, extra)
    subject = homes.of_files(
        folder / "none", log, items, Mapping.default(), folder / "scratch", bar, print
    )
    try:
        trial = trial_of(subject.trace, protocol, None, 1)
        past = Past(subject.shop, subject.tenant, subject.trace)
        entries = replay(past, trial, variants)
    finally:
        subject.shop.close()
    trace = trial.trace
    return {
        name: {
            task: {
                (trace.users[query.user], query.time): [
                    trace.items[i] for i in lists[row] if i >= 0
                ]
                for row, query in enumerate(trial.queries)
            }
            for task, lists in entry.lists.items()
        }
        for name, entry in entries.items()
    }


def test_events_at_the_moment_of_a_query_do_not_change_its_answer(tmp_path):
    """Those just before it do: or this would show nothing."""
    events = habits(users=8, days=40)
    end = max(when for _, _, when in events)
    last = {user for user, _, when in events if when == end}
    (asker,) = {f"u:{user}" for user in last}
    crowd = [(f"user{n:02}", "stapler", end) for n in range(8) if f"u:user{n:02}" != asker]
    asked = (asker, end * 1000)

    plain = lists_of(tmp_path / "plain", events)
    at_once = lists_of(tmp_path / "at", events, [*crowd, (asker[2:], "stapler", end)])
    before = lists_of(tmp_path / "before", events, [(u, i, t - 1) for u, i, t in crowd])

    assert at_once["all"][asked] == plain["all"][asked]
    assert before["all"][asked] != plain["all"][asked]


def test_what_nobody_had_is_looked_for_in_longer_lists(tmp_path):
    """The first to take the hose is asked for all that is new to them, besides the ten."""
    events = [event for event in habits(users=5, days=30) if event[1] != "hose"]
    end = max(when for _, _, when in events)
    items, log = write(
        tmp_path, events, [("user00", "hose", end + 9), ("user01", "hose", end + 12)]
    )
    subject = homes.of_files(
        tmp_path / "none", log, items, Mapping.default(), tmp_path / "scratch", bar, print
    )
    try:
        trial = trial_of(subject.trace, "time", None, 1)
        past = Past(subject.shop, subject.tenant, subject.trace)
        entries = replay(past, trial, {"one": Variant(), "other": Variant()}, deep=["one"])
    finally:
        subject.shop.close()
    assert entries["other"].deep == {}
    ((row, found),) = entries["one"].deep.items()
    assert (trial.trace.users[trial.queries[row].user], trial.queries[row].time) == (
        "u:user00",
        (end + 9) * 1000,
    )
    seen = {item for user, item, _ in events if user == "user00"}
    assert {trial.trace.items[item] for item in found} == {item for item, _, _ in ITEMS} - seen


def test_in_leave_last_out_nobodys_last_event_is_known(tmp_path):
    events = habits(users=6, days=30)
    ends = {user: when for user, _, when in events}
    one = lists_of(
        tmp_path / "one", events, [(u, "rake", t + 5) for u, t in ends.items()], "leave-last-out"
    )
    other = lists_of(
        tmp_path / "two", events, [(u, "hose", t + 5) for u, t in ends.items()], "leave-last-out"
    )
    asked = [who for who in one["new"] if one["new"][who] and other["new"][who]]
    assert len(asked) >= 3  # the others had that item before
    for who in asked:
        assert one["new"][who] == other["new"][who]
        assert len(one["new"][who]) == 10


def test_all_that_grew_is_folded_when_others_histories_are_read(tmp_path):
    items, log = write(tmp_path, habits(users=6, days=30))
    subject = homes.of_files(
        tmp_path / "none", log, items, Mapping.default(), tmp_path / "scratch", bar, print
    )
    trial = trial_of(subject.trace, "time", None, 1)
    past = Past(subject.shop, subject.tenant, subject.trace)
    store = Crowd(subject.shop.world.store, past.fold_all)
    behind = subject.shop.world.log.unfolded
    for query in trial.queries[:3]:
        past.advance(trial, query)
        assert subject.trace.users[query.user] not in behind("default")
        assert behind("default")
        store.neighbours("default", nothing(), 10)
        assert behind("default") == []
    subject.shop.close()


def test_what_is_known_late_is_what_was_known_then(tmp_path):
    """Were it as of the query itself, it would be the stored profile, and the live counts."""
    items, log = write(tmp_path, habits(users=6, days=30))
    subject = homes.of_files(
        tmp_path / "none", log, items, Mapping.default(), tmp_path / "scratch", bar, print
    )
    trial = trial_of(subject.trace, "time", None, 1)
    past, world = Past(subject.shop, subject.tenant, subject.trace), subject.shop.world
    for query in trial.queries[:4]:
        past.advance(trial, query)
        tenant = world.tenant("default")
        name = trial.trace.users[query.user]
        late = Late(past, replace(trial, begin=query.time))
        stored, then = read_profile(world, tenant, name), late.held(query, "frozen")[name]
        assert then.profile == stored.profile
        assert then.points == stored.points
        assert then.tastes.vectors == pytest.approx(stored.tastes.vectors, abs=1e-3)
        keys = np.unique(then.profile.events["item"])
        live = tenant.popularity
        with late.counting(query, "frozen"):
            assert tenant.popularity is not live
            counted, _ = tenant.popularity.counts(keys, query.time)
            assert counted == pytest.approx(live.counts(keys, query.time)[0])
            assert tenant.popularity.idf(keys) == pytest.approx(live.idf(keys))
        assert tenant.popularity is live
        assert late.since(query, "frozen") == []
    subject.shop.close()


def test_a_shop_that_learns_at_midnight_does_not_know_the_day(tmp_path):
    untaken = {"rake", "stapler"}
    events = [event for event in habits(users=6, days=30) if event[1] not in untaken]
    end = max(when for _, _, when in events)
    (asker,) = {user for user, _, when in events if when == end}
    midnight = end // DAY * DAY
    assert midnight + 1 < end
    blend = {**default_blend(), "for_you": {"habit": 1.0, "popular": 0.1}}
    today = [(asker, "stapler", midnight + 1)]
    yesterday = [(asker, "rake", midnight - 1)]
    found = lists_by_variant(
        tmp_path / "home",
        events,
        today + yesterday,
        live=Variant(blend=blend),
        profile=Variant(blend=blend, profile="daily"),
        both=Variant(blend=blend, profile="daily", counts="daily"),
    )
    live, profile, both = (
        found[name]["all"][f"u:{asker}", end * 1000] for name in ("live", "profile", "both")
    )
    assert untaken <= set(live)
    assert "rake" in profile
    assert profile != live
    assert "rake" in both
    assert "stapler" not in both  # nobody had it by then


def nothing():
    from windowshop.store import Sparse

    return Sparse(np.array([1], np.uint32), np.array([1.0], np.float32))


# --- the own log ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "home"
    assert run("ingest", files[0], "--home", folder).exit_code == 0
    assert run("record", files[1], "--home", folder).exit_code == 0
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_home_is_replayed_like_its_files_and_never_written_to(home, by_time):
    before = contents(home)
    found = evaluate("--home", home, "--seed", 3, "--baselines", "popularity")
    assert contents(home) == before
    assert found["dataset"] == "home/default"
    for name in ("windowshop", "popularity"):
        for task in ("all", "new"):
            ours, theirs = found["results"][name][task], by_time["results"][name][task]
            assert ours == theirs


def test_a_home_that_is_open_elsewhere_is_left_alone(home):
    shop = open_shop(home)
    try:
        result = run("evaluate", "--home", home)
    finally:
        shop.close()
    assert result.exit_code == 1
    assert "in use" in result.stderr


def test_a_home_without_events_has_nothing_to_replay(files, tmp_path):
    assert run("ingest", files[0], "--home", tmp_path).exit_code == 0
    result = run("evaluate", "--home", tmp_path)
    assert result.exit_code == 2
    assert "nothing to replay" in result.stderr
