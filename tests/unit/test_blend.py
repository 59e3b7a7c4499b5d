"""A shop's own weights: what may be said, what it changes, and how the file is kept."""

import re
import tomllib
from pathlib import Path

import pytest

from windowshop import popularity
from windowshop.blend import SPANS, differences, overlaid, span_of, weights_of
from windowshop.errors import Misconfigured
from windowshop.evaluate.metrics import LENGTHS
from windowshop.settings import default_blend, load_settings
from windowshop.train.tuning.config import with_table, written

OWN = {
    "habit_half_life": 30.0,
    "neighbours": 100,
    "for_you": {"popular": 0.1, "guest": {"popular": 1.0}, "many": {"habit": 2.0}},
    "similar": {"few": {"similar": 0.5}},
}


def spanless():
    """The defaults, without any that differ by the length of the history."""
    return {
        name: {key: value for key, value in one.items() if key not in SPANS}
        if isinstance(one, dict)
        else one
        for name, one in default_blend().items()
    }


def test_what_a_shop_says_stands_in_the_place_of_the_defaults():
    blend = overlaid(spanless(), OWN)
    assert blend["habit_half_life"] == 30.0
    assert blend["intent_hours"] == default_blend()["intent_hours"]
    plain = {**spanless()["for_you"], "popular": 0.1}
    assert weights_of(blend["for_you"], 0) == {**plain, "popular": 1.0}
    assert weights_of(blend["for_you"], 51) == {**plain, "habit": 2.0}
    assert {name: weights_of(blend["for_you"], 6)[name] for name in plain} == plain


def test_only_what_differs_is_told():
    default = spanless()
    assert differences(default, overlaid(default, OWN)) == OWN
    assert differences(default, overlaid(default, {"habit_half_life": 90.0})) == {}


def test_a_default_of_a_span_stays_where_a_shop_says_nothing_of_it():
    default = overlaid(spanless(), {"for_you": {"guest": {"popular": 1.0}}})
    own = {"for_you": {"popular": 0.5, "guest": {"trend": 0.2}}}
    blend = overlaid(default, own)
    assert blend["for_you"]["guest"]["popular"] == 1.0
    assert differences(default, blend) == own


def test_spans_are_those_that_a_replay_tells_apart():
    assert tuple(SPANS.values()) == LENGTHS
    assert [span_of(n) for n in (0, 1, 5, 6, 50, 51)] == "guest few few some some many".split()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("like_minded_half_live = 3", "like_minded_half_live: no such name; did you mean 'like"),
        ("for_you = 3", "for_you: a table of weights"),
        ("for_you.habbit = 1", "for_you.habbit: no such name; did you mean 'habit'?"),
        ("for_you.gest.habit = 1", "for_you.gest: no such name; did you mean 'guest'?"),
        ("for_you.guest.few.habit = 1", "for_you.guest.few: no such name"),
        ("for_you.guest = 1", "for_you.guest: a table of weights"),
        ("for_you.habit = -1", "for_you.habit: a number from 0 to 1000"),
        ("for_you.habit = inf", "for_you.habit: a number from 0 to 1000"),
        ("for_you.habit = true", "for_you.habit: a number from 0 to 1000"),
        ("for_you.few.habit = 'much'", "for_you.few.habit: a number from 0 to 1000"),
        ("demote_seen = 2", "demote_seen: a number from 0 to 1"),
        ("popular_half_life = 3", "popular_half_life: days that counts are kept for, one of 0.25,"),
        ("habit_half_life = 0", "habit_half_life: a number above 0"),
        ("neighbours = 20.5", "neighbours: a whole number from 10 to 1000"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path, text, told):
    (tmp_path / "windowshop.toml").write_text(f"[blend]\n{text}\n")
    with pytest.raises(Misconfigured, match="toml: blend: ") as caught:
        load_settings(tmp_path)
    assert told in caught.value.detail


def test_the_variable_goes_before_the_file_number_by_number(tmp_path, monkeypatch):
    (tmp_path / "windowshop.toml").write_text("[blend.for_you]\nhabit = 2.0\npopular = 0.5\n")
    monkeypatch.setenv("WINDOWSHOP_BLEND", '{"for_you": {"popular": 0.7}}')
    assert load_settings(tmp_path).blend == {"for_you": {"habit": 2.0, "popular": 0.7}}


def test_every_half_life_that_may_be_chosen_is_counted():
    counts = popularity.Popularity()
    assert [len(counts.top(1, days, 0)[0]) for days in popularity.HALF_LIVES] == [0] * 6


# --- the file -------------------------------------------------------------------------------------

BEFORE = """\
# ours
clock = "wall"   # as always

[blend]
# an older remark
habit_half_life = 60.0  # days

[blend.for_you]
popular = 0.3
# of what follows, for all one knows

# of the weights
[weights]
view = 2.0
"""


def test_only_the_table_changes(tmp_path):
    path = tmp_path / "windowshop.toml"
    path.write_text(BEFORE)
    path.chmod(0o640)
    table = written(path, OWN, ["made today"])
    text = path.read_text()
    start, end = text.split(table)
    assert start == '# ours\nclock = "wall"   # as always\n\n'
    assert (
        end == "# of what follows, for all one knows\n\n# of the weights\n[weights]\nview = 2.0\n"
    )
    assert table.startswith("[blend]\n# made today\nhabit_half_life = 30.0\n")
    assert tomllib.loads(table) == {"blend": OWN}
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["", "a = 1", "a = 1\n", "[x]\r\ny = 1\r\n"])
def test_a_file_without_the_table_gets_it_at_its_end(tmp_path, before):
    path = tmp_path / "windowshop.toml"
    path.write_bytes(before.encode())
    written(path, OWN, [])
    assert path.read_bytes().startswith(before.encode())
    assert tomllib.loads(path.read_bytes().decode()) == {**tomllib.loads(before), "blend": OWN}
    written(path, {}, [])
    assert tomllib.loads(path.read_bytes().decode()) == tomllib.loads(before)


@pytest.mark.parametrize(
    "before", ["blend = {neighbours = 50}\n", "blend.neighbours = 50\n", 'a = """\n[blend]\n"""\n']
)
def test_what_is_not_safe_to_change_stays(tmp_path, before):
    path = tmp_path / "windowshop.toml"
    path.write_text(before)
    with pytest.raises(Misconfigured, match="table of its own"):
        written(path, OWN, [])
    assert path.read_text() == before


def test_tables_that_stand_apart_come_together():
    text = "[blend.for_you]\nhabit = 1.0\n[weights]\nview = 1\n[blend]\nneighbours = 50\n"
    assert with_table(text, "[blend]\n") == "[blend]\n[weights]\nview = 1\n"


def test_the_page_names_every_number_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text("utf-8")
    told = {
        name: float(value)
        for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    }
    numbers = {name: one for name, one in default_blend().items() if not isinstance(one, dict)}
    assert told == numbers
