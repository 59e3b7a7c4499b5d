"""Words of a text, for finding items by what is written on them. Pure.

Words are case-folded, without accents, plural s and es cut off. Chinese, Japanese and Korean, which
put no spaces between words, are cut into pairs of signs (and into signs, where items are indexed),
as most search engines do. A word of four letters and more is also known by its runs of three
letters: by those a misspelled one is found.
"""

import re
import unicodedata
import zlib
from collections.abc import Mapping
from typing import Any

_WORD = re.compile(r"[^\W_]+")
_SIGNS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+")
_MARKS = re.compile(r"[\u0300-\u036f]")

TITLE, BRAND, CATEGORY, DESCRIPTION = 1.0, 1.0, 0.7, 0.3
"""What a word of each field counts for."""
READ = 400
"""So many words of a field are read."""
SPELLED_FROM = 4
"""Letters from which a word may be taken for another one that is misspelled."""


def words(text: str, *, singles: bool = False) -> set[str]:
    """The words of a text; with `singles` also each sign of a script without spaces by itself."""
    found: set[str] = set()
    for word in _WORD.findall(_plain(text))[:READ]:
        start = 0
        for run in _SIGNS.finditer(word):  # "iphone手机壳" is a word and two pairs of signs
            _add(found, word[start : run.start()])
            signs, start = run.group(), run.end()
            found.update(signs[i : i + 2] for i in range(max(1, len(signs) - 1)))
            if singles:
                found.update(signs)
        _add(found, word[start:])
    return found


def _plain(text: str) -> str:
    """Case-folded, wide letters made narrow, accents of letters taken off."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii():
        return folded
    bare = _MARKS.sub("", unicodedata.normalize("NFD", folded))
    return unicodedata.normalize("NFC", bare)


def _add(found: set[str], word: str) -> None:
    if len(word) > 4 and word.endswith("es"):
        found.add(word[:-2])
    elif len(word) > 3 and word.endswith("s"):
        found.add(word[:-1])
    elif word:
        found.add(word)


def written(item: Mapping[str, Any]) -> dict[str, float]:
    """The words that are written on an item, and what each counts for: that of its best field."""
    found: dict[str, float] = {}
    for worth, text in (
        (DESCRIPTION, item.get("description")),
        (CATEGORY, " ".join(map(str, item.get("category") or ()))),
        (BRAND, item.get("brand")),
        (TITLE, item.get("title")),
    ):
        if text:
            found.update(dict.fromkeys(words(str(text), singles=True), worth))
    return found


def grams(word: str) -> set[str]:
    """Runs of three letters, the ends marked; none of a short word or of one with signs."""
    if len(word) < SPELLED_FROM or word.isdigit() or _SIGNS.search(word):
        return set()
    marked = f"\x02{word}\x03"
    return {f"~{marked[i : i + 3]}" for i in range(len(marked) - 2)}  # never equal to a word


def alike(a: str, b: str) -> float:
    """How alike two words are spelled, 0-1: Dice's coefficient of their runs of three letters."""
    some, others = grams(a), grams(b)
    if not some or not others:
        return 0.0
    return 2 * len(some & others) / (len(some) + len(others))


def dimension(word: str) -> int:
    """The 32-bit dimension of a word, the same in every process and for ever."""
    return zlib.crc32(word.encode())
