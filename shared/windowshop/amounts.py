"""Numbers and prices as people write them. Pure; raises ValueError with words for people."""

import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

LONGEST = 64  # no number is longer


def printed(text: str) -> str:
    """Text that any stream takes: JSON may hold half a character."""
    return text.encode("utf-8", "replace").decode()


def shown(value: object, most: int = 40) -> str:
    """A cell for a message."""
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "...")


_SPACED = re.compile(r"\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?")  # NFKC has made every blank a space
_COMMAS = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}")  # India groups by two: 12,34,567
_DOTS = re.compile(r"\d{1,3}(?:\.\d{3})+")
_SIMPLE = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_MARKED = re.compile(
    r"(?P<pre>[^\d.,+\-]*)(?P<sign>[+-]?)(?P<pre2>[^\d.,+\-]*)"
    r"(?P<number>[\d.,][\d.,'’ ]*)(?P<post>.*)",
    re.ASCII | re.DOTALL,
)

# Symbols that name one currency. "$" and "¥" name several and are read, but name none.
_CURRENCIES: Mapping[str, str | None] = {
    "$": None, "¥": None, "KR": None, "RS": None, "RS.": None, "PRICE": None,
    "€": "EUR", "£": "GBP", "₩": "KRW", "₹": "INR", "₽": "RUB", "₺": "TRY", "₫": "VND", "₴": "UAH",
    "₪": "ILS", "฿": "THB", "₱": "PHP", "₦": "NGN", "R$": "BRL", "US$": "USD", "HK$": "HKD",
    "NT$": "TWD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "S$": "SGD", "ZŁ": "PLN",
    "KČ": "CZK", "FT": "HUF", "FR.": "CHF", "SFR.": "CHF", "元": "CNY", "人民币": "CNY",
    "RMB": "CNY", "CN¥": "CNY", "JP¥": "JPY", "円": "JPY", "EURO": "EUR", "EUROS": "EUR",
}  # fmt: skip
_CODES = frozenset(
    "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KRW "
    "KZT MXN MYR NGN NOK NZD PEN PHP PKR PLN QAR RON RUB SAR SEK SGD THB TRY TWD UAH USD VND "
    "ZAR".split()
)


def _currency(mark: str) -> tuple[bool, str | None]:
    """Whether `mark` is a currency, and which one if it says so."""
    mark = mark.strip().upper()
    if mark in _CODES:
        return True, mark
    return mark in _CURRENCIES, _CURRENCIES.get(mark)


def _digits(number: str, marked_after: bool) -> float:
    """A number as people write it; see docs/files.md for how one lone separator is understood."""
    number = number.strip()
    if _SPACED.fullmatch(number):
        number = re.sub("[ '’]", "", number)
    dots, commas = number.count("."), number.count(",")
    if dots and commas:
        if number.rfind(",") > number.rfind("."):
            whole, _, rest = number.rpartition(",")
            grouped = _DOTS.fullmatch(whole) and rest.isdigit() and commas == 1
            plain = whole.replace(".", "") + "." + rest
        else:
            whole, _, rest = number.rpartition(".")
            grouped = _COMMAS.fullmatch(whole) and rest.isdigit() and dots == 1
            plain = whole.replace(",", "") + "." + rest
        if not grouped:
            raise ValueError
        return float(plain)
    if commas:
        if _COMMAS.fullmatch(number) and not number.startswith("0"):
            return float(number.replace(",", ""))
        if commas == 1:
            return float(number.replace(",", "."))
        raise ValueError
    if (
        dots
        and _DOTS.fullmatch(number)
        and not number.startswith("0")
        and (dots > 1 or marked_after)
    ):
        return float(number.replace(".", ""))
    return float(number)


def _parsed(value: Any) -> tuple[float, str | None]:
    """Amount and named currency. Raises ValueError without words."""
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int | float | Decimal):
        return float(value), None
    if not isinstance(value, str):
        raise ValueError
    if _SIMPLE.fullmatch(value):
        return float(value), None
    if len(value) > LONGEST:
        raise ValueError
    clean = unicodedata.normalize("NFKC", value).strip()
    found = _MARKED.fullmatch(clean)
    if found is None:
        raise ValueError
    before = (found["pre"] + found["pre2"]).strip()
    after = found["post"].strip()
    number = found["number"]
    if number[-1] in ".," and after[:1] in _DASHES:  # "12,-" and "12.–": no cents
        number, after = number[:-1], after.lstrip("".join(_DASHES)).strip()
    if before and after:
        known, named = _currency(before)
        known_too, named_too = _currency(after)
        known, named = known and known_too, named or named_too
    else:
        known, named = _currency(before or after) if before or after else (True, None)
    if not known:
        raise ValueError
    amount = _digits(number, bool(after))
    return (-amount if found["sign"] == "-" else amount), named


_DASHES = ("-", "–", "—")


def number(value: Any) -> float:
    """A finite number."""
    try:
        amount, named = _parsed(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(value)} is not a number") from None
    if named or not math.isfinite(amount):
        raise ValueError(f"{shown(value)} is not a finite number")
    return amount


def whole(value: Any) -> int:
    """A whole number of at most 63 bits."""
    if type(value) is str and re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
        return int(value)
    amount = value if type(value) is int else number(value)
    if amount != int(amount) or abs(amount) >= 2**63:
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(amount)


def price(value: Any) -> tuple[float, str | None]:
    """`¥1,299.00`, `12,50 €`, `USD 5`: the amount, and the currency where the cell names one."""
    try:
        amount, named = _parsed(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(value)} is not a price") from None
    if not math.isfinite(amount) or not 0 <= amount <= 1e12:
        raise ValueError(f"{shown(value)} is not a price: it must lie between 0 and 1e12")
    return amount, named
