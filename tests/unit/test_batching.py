"""Batches: every text once, within the budget, and back in its place."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windowshop.encode.batching import encode_texts, pad, plan, readable

lengths = st.lists(st.integers(0, 300), max_size=200)


@given(lengths, st.integers(1, 2000))
def test_plan_takes_every_row_once(lengths, budget):
    rows = [int(at) for batch in plan(lengths, budget) for at in batch]
    assert sorted(rows) == list(range(len(lengths)))


@given(lengths, st.integers(1, 2000))
def test_plan_keeps_to_the_budget_but_for_rows_that_are_longer(lengths, budget):
    for batch in plan(lengths, budget):
        longest = max(lengths[at] for at in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget


@given(lengths, st.integers(1, 2000))
def test_plan_puts_like_lengths_together(lengths, budget):
    batches = [[max(1, lengths[at]) for at in batch] for batch in plan(lengths, budget)]
    for batch, following in itertools.pairwise(batches):
        assert min(batch) >= max(following)


@given(st.lists(st.lists(st.integers(1, 99), max_size=9), min_size=1, max_size=9))
def test_pad_keeps_tokens_left_and_marks_them(rows):
    ids, mask = pad(rows, filler=0)
    assert ids.shape == mask.shape == (len(rows), max(1, *map(len, rows)))
    for row, padded, marks in zip(rows, ids, mask, strict=True):
        assert padded.tolist() == row + [0] * (len(padded) - len(row))
        assert marks.sum() == max(1, len(row)), "an empty row still has one token to look at"
        assert marks[: max(1, len(row))].all()


texts = st.lists(st.text(max_size=6), max_size=60)


def letters(chunk):
    """A tokenizer: the code points."""
    return [[ord(letter) for letter in text] for text in chunk]


def sums(rows):
    """A model: the length and the sum of the tokens."""
    return np.array([[len(row), sum(row)] for row in rows], dtype=np.float32)


@given(texts, st.integers(1, 50), st.integers(1, 3))
def test_vectors_come_in_the_order_given(texts, budget, workers):
    vectors = encode_texts(texts, 2, letters, sums, budget, workers)
    assert vectors.shape == (len(texts), 2)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[len(t), sum(map(ord, t))] for t in map(readable, texts)]


@given(texts, st.integers(1, 50))
def test_equal_texts_are_encoded_once_and_progress_counts_all(texts, budget):
    seen, done = [], []

    def run(rows):
        seen.extend("".join(map(chr, row)) for row in rows)
        return sums(rows)

    encode_texts(texts, 2, letters, run, budget, progress=done.append)
    assert sorted(seen) == sorted(map(readable, set(texts)))
    assert sum(done) == len(texts)


def test_more_texts_than_a_window_holds():
    texts = [str(number) for number in range(20_000)]
    vectors = encode_texts(texts, 2, letters, sums, 1024)
    assert vectors[:, 1].tolist() == [sum(map(ord, text)) for text in texts]


def test_batches_run_side_by_side():
    both = threading.Barrier(2, timeout=30)

    def run(rows):
        both.wait()  # passes only when two batches are in flight
        return sums(rows)

    assert encode_texts(["a", "b"], 2, letters, run, budget=1, workers=2).shape == (2, 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_batch_ends_the_call(workers):
    started, never = [], threading.Event()

    def run(rows):
        started.append(rows)
        if len(started) == 1:
            raise ZeroDivisionError
        never.wait(0.01)
        return sums(rows)

    with pytest.raises(ZeroDivisionError):
        encode_texts([f"{n:03}" for n in range(500)], 2, letters, run, 3, workers)
    assert len(started) < 400, "batches that had not begun are not begun"


def test_one_text_is_not_a_list_of_texts():
    with pytest.raises(TypeError, match="list of texts"):
        encode_texts("milk", 2, letters, sums, 10)


@given(st.text(st.characters()))
def test_readable_text_can_always_be_written(text):
    clean = readable(text)
    assert "\0" not in clean
    assert clean.encode().decode() == clean
    if "\0" not in text and text.isascii():
        assert clean == text


def test_readable_replaces_what_no_tokenizer_takes():
    assert readable("a\ud800b\0c") == "a?b c"
    assert readable("有机牛奶 🥛") == "有机牛奶 🥛"
