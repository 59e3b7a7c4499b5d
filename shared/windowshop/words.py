"""Words of a text, for matching a search against a title. Chinese is cut into pairs of signs."""

import re
from collections.abc import Mapping
from typing import Any

_WORD = re.compile(r"[^\W_]+")
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def words(text: str) -> set[str]:
    """Case-folded words; plural s and es cut off; runs of Han, Kana and Hangul as bigrams."""
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if _HAN.search(word):
            found.update(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif len(word) > 4 and word.endswith("es"):
            found.add(word[:-2])
        elif len(word) > 3 and word.endswith("s"):
            found.add(word[:-1])
        else:
            found.add(word)
    return found


def overlap(query: str, item: Mapping[str, Any]) -> float:
    """Share (0-1) of the query's words that stand in an item's title, brand or category."""
    wanted = words(query)
    if not wanted:
        return 0.0
    text = " ".join(
        [item.get("title") or "", item.get("brand") or "", *(item.get("category") or ())]
    )
    return len(wanted & words(text)) / len(wanted)
