"""Words, what they are worth, and items found by them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.errors import InvalidInput
from windowshop.lexicon import UNKNOWN, Lexicon, Sought, item_words
from windowshop.words import alike, grams, words, written

SHELF = [
    {"title": "Coffee beans", "brand": "Arabica", "category": ["Food", "Coffee"]},
    {"title": "Green tea", "brand": "Leaf", "category": ["Food", "Tea"]},
    {"title": "Café crème cups", "category": ["Kitchen"]},
    {"title": "儿童雨衣", "brand": "小雨", "category": ["服装"]},
    {"title": "iPhone手机壳", "category": ["Phones"]},
    {"title": "Kettle", "description": "For coffee and tea"},
]


def best(query, lexicon=None):
    sought = Sought.read(query, lexicon or Lexicon.count(SHELF))
    scores = [sought.matched(item) for item in SHELF]
    return int(np.argmax(scores)), scores


def dot(query, item, lexicon):
    asked = dict(
        zip(*(part.tolist() for part in Sought.read(query, lexicon).sparse()), strict=True)
    )
    held = dict(zip(*(part.tolist() for part in item_words(item)), strict=True))
    return sum(weight * held.get(dim, 0.0) for dim, weight in asked.items())


def test_words_are_folded_and_scripts_without_spaces_are_cut_into_pairs():
    assert words("Dresses, dress & Tops") == {"dress", "top"} | words("dress")
    assert words("Café CRÈME") == {"cafe", "creme"}
    assert words("儿童雨衣") == {"儿童", "童雨", "雨衣"}
    assert words("衣") == {"衣"}
    assert words("iPhone手机壳15") == {"iphone", "手机", "机壳", "15"}
    assert words("雨衣", singles=True) == {"雨衣", "雨", "衣"}
    assert words("ＦＵＬＬ width") == {"full", "width"}
    assert words("  -- ") == set()


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("coffee beans", 0),
        ("cofee beens", 0),
        ("coffe", 0),
        ("grean tea", 1),
        ("creme cup", 2),
        ("儿童 雨衣", 3),
        ("衣", 3),
        ("手机", 4),
        ("iphone", 4),
        ("kettel", 5),
    ],
)
def test_what_is_looked_for_is_found_misspelled_and_in_chinese(query, place):
    assert best(query)[0] == place
    lexicon = Lexicon.count(SHELF)
    assert int(np.argmax([dot(query, item, lexicon) for item in SHELF])) == place


def test_a_rare_word_is_worth_more_and_a_title_more_than_a_description():
    lexicon = Lexicon.count(SHELF)
    assert lexicon.found("coffee") == 2
    assert lexicon.found("tea") == 2
    assert lexicon.found("kettle") == 1
    assert lexicon.idf("kettle") == pytest.approx(math.log1p(5.5 / 1.5))
    assert lexicon.idf("kettle") > lexicon.idf("coffee") > 0
    _, scores = best("coffee")
    assert scores[0] == 1
    assert 0 < scores[5] < scores[0]


def test_what_is_known_is_not_guessed():
    _, scores = best("tea")
    assert scores[1] == 1
    assert scores[0] == 0


def test_before_anything_was_counted_exact_words_still_win():
    assert best("green tea", UNKNOWN)[0] == 1
    assert best("", UNKNOWN)[1] == [0.0] * len(SHELF)


@given(st.text(max_size=30), st.text(max_size=30))
def test_shares_lie_between_nothing_and_all(query, title):
    lexicon = Lexicon.count([{"title": title}])
    share = Sought.read(query, lexicon).matched({"title": title})
    assert 0 <= share <= 1 + 1e-9
    dims, weights = item_words({"title": title})
    assert (np.diff(dims.astype(np.int64)) > 0).all()
    assert (weights > 0).all()


@given(st.text(max_size=12), st.text(max_size=12))
def test_likeness_is_a_share_and_equal_words_are_alike(a, b):
    assert alike(a, b) == alike(b, a)
    assert 0 <= alike(a, b) <= 1
    assert alike(a, a) == (1 if grams(a) else 0)


def test_counts_survive_being_saved_and_what_is_no_save_is_refused():
    lexicon = Lexicon.count(SHELF)
    again = Lexicon.load(lexicon.save())
    assert (again.dims == lexicon.dims).all()
    assert again.idf("tea") == lexicon.idf("tea")
    with pytest.raises(InvalidInput):
        Lexicon.load(b"nonsense")


def test_a_word_counts_as_its_best_field():
    held = written(
        {"title": "Tea", "description": "tea leaves", "brand": None, "category": ["Tea"]}
    )
    assert held["tea"] == 1
    assert held["leav"] == pytest.approx(0.3)
