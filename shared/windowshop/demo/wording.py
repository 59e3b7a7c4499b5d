"""Pure: the till's capitals and abbreviations as words that a shopper (and an encoder) can read."""

import re
from collections.abc import Iterable

FIELD_WIDTH = 30  # longer product types were cut off here, mid-word

_WORDS = {
    "APPL": "appliances", "BEV": "beverage", "BEVS": "beverages", "BG": "bags", "BKD": "baked",
    "BN": "beans", "BRD": "breaded", "BRKFST": "breakfast", "BTL": "bottle", "BTR": "butter",
    "CARB": "carbonated", "CATFD": "cat food", "CHIX": "chicken", "CHOC": "chocolate",
    "CHOCOCLATE": "chocolate", "CLEANG": "cleaning", "CKYS": "cookies", "CNDY": "candy",
    "CNTRL": "control", "COFF": "coffee", "CONC": "concentrated", "CRBNTD": "carbonated",
    "CRKR": "crackers", "CRMD": "creamed", "CRYSTL": "crystal", "DAN": "danish",
    "DEOD": "deodorant", "DISPOSIBLE": "disposable", "DL": "deli", "DNR": "dinner",
    "DNRS": "dinners", "DOGFD": "dog food", "DPS": "dips", "DRNK": "drink", "DRNKS": "drinks",
    "DRNKNG": "drinking", "DRSNG": "dressing", "DSH": "dishes", "FD": "food", "FEM": "feminine",
    "FLV": "flavor", "FLVR": "flavor", "FLVRD": "flavored", "FRD": "fried", "FRE": "fresh",
    "FRSH": "fresh", "FRZ": "frozen", "FRZN": "frozen", "GDS": "goods",
    "GM": "general merchandise", "GNGR": "ginger", "GRND": "ground", "HALLOWEN": "halloween",
    "HYGN": "hygiene", "INCL": "including", "JCE": "juice", "LIQ": "liquid", "LIQS": "liquids",
    "LSS": "less", "MACH": "machine", "MLK": "milk", "MLT": "multi", "MNERAL": "mineral",
    "MNRL": "mineral", "MW": "microwave", "MX": "mix", "MIXS": "mixes", "MXS": "mixes",
    "NDAIRY": "non-dairy", "OCCAS": "occasion", "OJ": "orange juice", "PKG": "packaged",
    "PCKGD": "packaged", "PKGD": "packaged", "PKLD": "pickled", "PLSTC": "plastic",
    "PNCH": "punch", "PNT": "peanut", "PPK": "prepacked", "PREM": "premium",
    "PREPORTND": "portioned", "PRPCK": "prepacked", "PRSLC": "presliced", "PWDR": "powder",
    "PWDRS": "powders", "QSR": "quick service", "REFRGRATD": "refrigerated",
    "REFRIG": "refrigerated", "RTD": "ready to drink", "RTS": "ready to serve", "SALD": "salad",
    "SAUS": "sausage", "SFT": "soft", "SGL": "single", "SHERBTS": "sherbets", "SLD": "salad",
    "SNDWCH": "sandwich", "SNGL": "single", "SNKS": "snacks", "SPEC": "specialty",
    "SPLY": "supplies", "SPRD": "spread", "SRV": "serve", "SS": "single-serve", "STK": "stick",
    "SUP": "super", "SUPPPLIES": "supplies", "SV": "serve", "SW": "sweet", "SWT": "sweet",
    "SYRP": "syrup", "THN": "than", "TISS": "tissue", "TRSH": "trash", "VEG": "vegetables",
    "VEND": "vending", "WAT": "water", "WHL": "whole", "WHLSM": "wholesome", "WT": "weight",
    "WTR": "water", "XMAS": "christmas", "YNG": "young",
}  # fmt: skip
_PHRASES = {
    "BEERALEMALT LIQUORS": "Beer, Ale & Malt Liquor",
    "FLUID MILK WHITE ONLY": "White Milk",
    "GASOLINE-REG UNLEADED": "Gasoline, Regular Unleaded",
    "IWS SINGLE CHEESE": "Cheese Slices",
    "SFT DRNK 2 LITER BTL CARB INCL": "Soft Drink, Bottle",
    "SOFT DRINKS 12/18&15PK CAN CAR": "Soft Drinks, Cans",
    "SOFT DRINKS 20PK&24PK CAN CARB": "Soft Drinks, Cans",
    "YOGURT NOT MULTI-PACKS": "Yogurt",
}  # the best sellers, put right by hand
_SMALL = {"and", "of", "or", "the", "with", "to", "in", "on", "for", "than"}
_UPPER = {"BBQ", "TV", "DVD", "CD", "SPF", "HBC", "NZ", "IQF", "UHT"}

_UNCLOSED = re.compile(r"\s*\([^)]*$")
_NOISE = re.compile(r"\s*\((?:BULK&BAG|EX:[^)]*)\)")
_OWNED = re.compile(r"(?<=[A-Z]) S\b")
_WORD = re.compile(r"[A-Z][A-Z']*")
_LAST = re.compile(r"[\s/&,\-]+([A-Z]*)[\s/&,\-]*$")
_GLUE = re.compile(r"\s*([&:])\s*")


def whole_words(phrases: Iterable[str]) -> frozenset[str]:
    """The words of phrases that cannot have been cut off: what a last word is checked against."""
    return frozenset(
        word
        for phrase in phrases
        if len(phrase) < FIELD_WIDTH - 1
        for word in _WORD.findall(phrase)
    )


def readable(phrase: str, known: frozenset[str] = frozenset()) -> str:
    """`FRZN PIZZA` -> `Frozen Pizza`; a last word that was cut off (not `known`) is dropped."""
    if phrase in _PHRASES:
        return _PHRASES[phrase]
    if len(phrase) >= FIELD_WIDTH - 1:
        last = _LAST.search(phrase)
        if last and (len(last[1]) < 2 or last[1] not in known):
            phrase = phrase[: last.start()]
    phrase = _UNCLOSED.sub("", _NOISE.sub("", phrase))
    phrase = _OWNED.sub("'S", phrase).replace("W/", "with ")
    phrase = _GLUE.sub(lambda m: " & " if m[1] == "&" else ": ", phrase)
    phrase = _WORD.sub(_spell, phrase)
    return " ".join(phrase.split()).strip(" -/&,:")


def _spell(match: re.Match[str]) -> str:
    word, at = match[0], match.start()
    if at and match.string[at - 1].isdigit():
        return word.lower()
    if word in _UPPER:
        return word
    plain = _WORDS.get(word, word.lower())
    if plain in _SMALL and at:
        return plain
    return " ".join(part[:1].upper() + part[1:] for part in plain.split(" "))


_UNITS = {
    "OZ": "oz", "Z": "oz", "LB": "lb", "LBS": "lb", "CT": "ct", "PK": "pack", "ML": "ml", "L": "L",
    "LT": "L", "LTR": "L", "GA": "gal", "GAL": "gal", "QT": "qt", "PT": "pt", "DZ": "dozen",
    "DOZ": "dozen", "IN": "in", "FT": "ft", "SQ FT": "sq ft", "G": "g", "GR": "g", "GM": "g",
    "KG": "kg", "CM": "cm", "MM": "mm", "PC": "pieces", "LOAD": "loads", "LOADS": "loads",
    "STEM": "stems", "ROLL": "rolls",
}  # fmt: skip
_NUMBER = r"(?:\d{0,4}\.\d+|\d{1,4})(?:(?: |-|/)\d{1,3}(?:\.\d+)?(?:/\d{1,2})?|/\.\d+)?"
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_SIZE = re.compile(
    rf"^(?:[A-Z]{{1,3}} *)?(?:\d{{5,}} +)?({_NUMBER}) *({_UNIT})\b"
    rf"(?: *[/ ] *({_NUMBER}) *({_UNIT})\b)?"
)


def readable_size(size: str | None) -> str | None:
    """`12 PK/12 OZ` -> `12 pack/12 oz`; None where the till's text holds no size."""
    if not size:
        return None
    size = " ".join(size.split())
    if size in ("LB", "PER LB"):
        return "per lb"
    if size in ("GAL", "PT", "QT", "DZ", "DOZ"):
        return "1 " + _UNITS[size]
    match = _SIZE.match(size)
    if not match:
        return None
    text = f"{_plain(match[1])} {_UNITS[match[2]]}"
    return f"{text}/{_plain(match[3])} {_UNITS[match[4]]}" if match[3] else text


def _plain(number: str) -> str:
    """`.5` -> `0.5`, `9.50` -> `9.5`."""
    if re.fullmatch(r"\d*\.\d+|\d+", number):
        return f"{float(number):g}"
    return number
