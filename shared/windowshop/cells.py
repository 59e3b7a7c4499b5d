"""One cell of a file as a value: texts, ids, prices, times, yes and no. Pure.

Every reader takes a cell that is there (never None or blank) of whatever type its format knows: a
stripped text from CSV, more from JSON and Parquet. Each raises ValueError with words for people.
"""

import math
import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from windowshop.amounts import LONGEST, number, shown, whole
from windowshop.records import MAX_SECONDS, MIN_SECONDS, format_instant

# --- texts and ids -----------------------------------------------------------------------------


def text(value: Any) -> str:
    """A text; the parts of a list become its lines."""
    if type(value) is str:
        return value
    if isinstance(value, list | tuple):
        return "\n".join(text(part) for part in value if part is not None)
    if isinstance(value, dict | bytes):
        raise ValueError("is not a text")
    return str(_plain(value))


def first_text(value: Any) -> str:
    """A text; of a list its first element."""
    if isinstance(value, list | tuple):
        for part in value:
            if part is not None and part != "":
                return text(part)
        raise ValueError("is an empty list")
    return text(value)


def ident(value: Any) -> str:
    """An id. A whole number that a table stored as a float (12.0) is written as one (12)."""
    if type(value) is str:
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool | list | tuple | dict | bytes):
        raise ValueError("is not an id")
    return str(_plain(value))


def texts(value: Any) -> list[str]:
    """A list of texts, without what is empty."""
    parts = value if isinstance(value, list | tuple) else [value]
    return [cell for part in parts if part is not None and (cell := text(part).strip())]


def path(value: Any) -> Any:
    """A category: `a > b > c`, a list of names, or (some exports have it) a list of such lists."""
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], list | tuple):
            value = value[0]
        return texts(value) or None
    return text(value)


# --- yes and no --------------------------------------------------------------------------------

_YES = frozenset("true yes y t 1 on x 是 真 对 有".split())
_NO = frozenset("false no n f 0 off 否 假 无".split())
_ON_SALE = frozenset(
    "instock available limitedavailability preorder presale backorder onbackorder active published "
    "有货 现货 在售 上架 已上架 可售 有库存 预售 充足 onsale lowstock".split()
)
_OFF_SALE = frozenset(
    "outofstock unavailable soldout discontinued inactive archived draft none "
    "无货 缺货 下架 已下架 售罄 停售 不可售 无库存 断货".split()
)


def yes(value: Any) -> bool:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold() if not isinstance(value, float) else format(value, "g")
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(f"{shown(value)} is neither yes nor no")


def on_sale(value: Any) -> bool:
    """Availability: yes or no, a word for it in English or Chinese, or how many are in stock."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = "".join(c for c in value.casefold().rpartition("/")[2] if c.isalnum())
        if word in _ON_SALE or word in _YES:
            return True
        if word in _OFF_SALE or word in _NO:
            return False
    try:
        return number(value) > 0
    except ValueError:
        raise ValueError(f"{shown(value)} does not say whether it is available") from None


# --- times -------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMERIC = re.compile(r"-?\d+(?:\.\d*)?", re.ASCII)
_COMPACT = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_CLOCK = re.compile(
    r"(?P<y>\d{4})[-/.年]\s*(?P<m>\d{1,2})[-/.月]\s*(?P<d>\d{1,2})日?"
    r"(?:(?:T|\s+|(?<=日))(?P<H>\d{1,2})[:时](?P<M>\d{1,2})(?:[:分](?P<S>\d{1,2})(?P<f>[.,]\d{1,9})?秒?)?分?)?"
    r"\s*(?P<z>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_DAY_OR_MONTH_FIRST = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}\b", re.ASCII)


def instant(value: Any, zone: tzinfo) -> float:
    """Unix seconds, exact to the millisecond. What names no zone of its own is in `zone`."""
    if type(value) is str:
        if _NUMERIC.fullmatch(value):
            if _COMPACT.fullmatch(value):
                return _seconds(_moment(value), zone)
            return _checked(float(value))
        return _seconds(_moment(value), zone)
    if isinstance(value, datetime):
        return _seconds(value, zone)
    if isinstance(value, date):
        return _seconds(datetime(value.year, value.month, value.day, tzinfo=zone), zone)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _checked(float(value))
    raise ValueError(f"{shown(value)} is not a time")


def _checked(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError("a time must be finite")
    if abs(seconds) >= MAX_SECONDS:
        raise ValueError(f"{seconds:.0f} looks like milliseconds: write unix seconds")
    if seconds < MIN_SECONDS:
        raise ValueError("no such date or time")
    return seconds


def _seconds(moment: datetime, zone: tzinfo) -> float:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        seconds = ((moment - _EPOCH) // _MILLISECOND) / 1000
    except OverflowError:
        raise ValueError("no such date or time") from None
    if seconds >= MAX_SECONDS:
        raise ValueError("no such date or time")
    return seconds


def _moment(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        pass
    found = _CLOCK.fullmatch(unicodedata.normalize("NFKC", value[:LONGEST]).strip())
    if found is None:
        if _DAY_OR_MONTH_FIRST.match(value):
            raise ValueError(f"{shown(value)}: day or month first? Write 2026-11-24 or 2026/11/24")
        raise ValueError(f"{shown(value)} is not a time: write 2026-11-24 08:00:00 or unix seconds")
    year, month, day, hour, minute, second = (int(found[key] or 0) for key in "ymdHMS")
    micros = int((found["f"] or ".0")[1:7].ljust(6, "0"))
    zone = (found["z"] or "").upper()
    if zone in ("Z", "UTC", "GMT"):
        offset: tzinfo | None = UTC
    elif zone:
        offset = datetime.strptime(zone if len(zone) > 3 else zone + "00", "%z").tzinfo
    else:
        offset = None
    try:
        return datetime(year, month, day, hour, minute, second, micros, offset)
    except ValueError:
        raise ValueError(f"{shown(value)}: no such date or time") from None


# --- attributes --------------------------------------------------------------------------------

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,14})", re.ASCII)  # 007 is a code, not a number
_FLOAT = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,15}", re.ASCII)


def _plain(value: Any) -> Any:
    """What Parquet knows beyond JSON, as JSON knows it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return format_instant(round(_seconds(value, UTC) * 1000))
    if isinstance(value, date | time | timedelta):
        return str(value)
    return value


def typed(value: Any) -> Any:
    """An attribute: a number or a boolean where the whole text is one. Raises if it is nested."""
    if type(value) is str:
        if value[0] in "-0123456789":
            if _INTEGER.fullmatch(value):
                return int(value)
            if _FLOAT.fullmatch(value):
                return float(value)
        elif len(value) <= 5 and (word := value.lower()) in ("true", "false"):
            return word == "true"
        return value
    if isinstance(value, list | tuple):
        return texts(value) or None
    if isinstance(value, dict | bytes):
        raise ValueError("is neither a text, a number, a boolean, a time nor a list of texts")
    value = _plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if type(value) is int and abs(value) >= 2**63:
        return str(value)
    return value


def as_declared(kind: str, value: Any, zone: tzinfo) -> Any:
    """An attribute that the mapping declares filterable as `kind`."""
    if isinstance(value, list | tuple):
        if kind == "keyword":
            return texts(value) or None
        raise ValueError(f"is a list, declared {kind}")
    if kind == "keyword":
        return ident(value) if not isinstance(value, bool) else str(value).lower()
    if kind == "integer":
        return whole(value)
    if kind == "float":
        return number(value)
    if kind == "bool":
        return yes(value)
    return format_instant(round(instant(value, zone) * 1000))
