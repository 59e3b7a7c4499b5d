"""The page of a replay: whole HTML that loads nothing, with nothing from outside as markup, in a
folder of its own.
"""

import json
from html.parser import HTMLParser

import pytest

from windowshop.errors import InvalidInput
from windowshop.evaluate import folder
from windowshop.evaluate.page import page

VOID = {"meta"}
EVIL = '"><script>alert(1)</script>&'


def figures(value, **more):
    names = ("ndcg@10", "recall@10", "hit@10", "mrr@10", "coverage@10")
    return {**dict.fromkeys(names, value), "ndcg@10_error": 0.01, "n": 40, **more}


def result(value, *tasks, cpu_ms=2.5):
    parts = {"0": figures(value / 2), "1-5": figures(value)}
    return {**{task: figures(value, by_history=parts) for task in tasks}, "cpu_ms": cpu_ms}


def found(*tasks, name="tifu_knn"):
    varied = {task: figures(0.1, ratio=0.9, low=0.85, high=0.96) for task in tasks}
    return {
        "protocol": "time",
        "dataset": EVIL,
        "seed": 3,
        "queries": 40,
        "results": {
            "windowshop": result(0.2, *tasks),
            name: {**result(0.1, *tasks), "settings": dict.fromkeys(tasks, EVIL)},
        },
        "against": {
            task: {"best": name, "ratio": 2.0, "low": 1.8, "high": 2.2} for task in tasks
        },
        "studied": {
            "product": "windowshop", "queries": 40, **{task: figures(0.2) for task in tasks}
        },
        "ablations": {"habit": varied},
        "freshness": {
            "profile": {
                "live": {task: figures(0.2) for task in tasks}, "daily": varied, "frozen": varied
            }
        },
    }  # fmt: skip


class Reader(HTMLParser):
    """Checks that tags close in order, and keeps the text and what is linked to."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.tags, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(body):
    reader = Reader()
    reader.feed(body)
    assert reader.open == []
    return reader


def made(some):
    return {
        **some,
        "command": f"windowshop evaluate --events {EVIL}",
        "made_at": "t",
        "version": "v",
    }


def test_a_page_is_whole_and_loads_nothing_and_runs_nothing():
    reader = read(page(made(found("all", "new"))))
    assert reader.links == []
    assert "script" not in reader.tags
    text = "".join(reader.texts)
    assert f"Replay of {EVIL}" in text
    for words in ("without habit", "profile frozen", "0.2000", "2.000", "1.800", "Seed"):
        assert words in text


def test_of_each_task_there_are_methods_lengths_signals_and_freshness_and_once_the_cost():
    assert read(page(made(found("all", "new")))).tags.count("svg") == 2 * 4 + 1
    assert read(page(made(found("new")))).tags.count("svg") == 4 + 1


def test_what_was_not_asked_is_not_shown():
    some = found("new")
    for name in ("studied", "ablations", "freshness", "against"):
        some.pop(name)
    reader = read(page(made(some)))
    assert reader.tags.count("svg") == 2 + 1
    assert "without habit" not in "".join(reader.texts)


def test_cold_items_and_rare_targets_are_drawn_where_they_were_told_apart():
    some = found("new")
    for result in some["results"].values():
        result["new"]["cold"] = {
            "recall@100": 0.1,
            "low": 0.05,
            "high": 0.2,
            "hits": 3,
            "items": 30,
        }
        result["new"]["by_target"] = {"<5": figures(0.1), ">=5": figures(0.2)}
    some["left_out"] = {"ease": f"too many items {EVIL}"}
    reader = read(page(made(some)))
    assert reader.tags.count("svg") == 4 + 2 + 1
    text = "".join(reader.texts)
    assert "3 of 30" in text
    assert f"ease: too many items {EVIL}" in text
    for result in some["results"].values():
        result["new"]["cold"]["items"] = 0  # nothing cold was taken
    assert read(page(made(some))).tags.count("svg") == 4 + 1 + 1


# --- the folder ----------------------------------------------------------------------------------


def test_a_report_holds_the_same_figures_and_replaces_the_one_before(tmp_path):
    at = tmp_path / "deep" / "report"
    for seed in (3, 4):
        shown = folder.put(
            at, found("new") | {"seed": seed}, "windowshop evaluate", 1_700_000_000_000
        )
    assert shown == at / "index.html"
    assert sorted(path.name for path in at.iterdir()) == ["index.html", "report.json"]
    kept = json.loads((at / "report.json").read_text())
    assert kept["seed"] == 4
    assert kept["command"] == "windowshop evaluate"
    assert kept["made_at"] == "2023-11-14T22:13:20Z"
    assert kept["results"] == found("new")["results"]


@pytest.mark.parametrize("name", ["index.html", "report.json"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InvalidInput, match="left alone: name another folder"):
        folder.put(tmp_path, found("new"), "", 0)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "report").write_text("mine")
    with pytest.raises(InvalidInput, match="is a file: name a folder"):
        folder.prepare(tmp_path / "report")
    with pytest.raises(InvalidInput, match="cannot be made"):
        folder.prepare(tmp_path / "report" / "below")


def test_what_else_lies_in_the_folder_stays(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    folder.put(tmp_path, found("new"), "", 0)
    assert (tmp_path / "notes.txt").read_text() == "mine"
