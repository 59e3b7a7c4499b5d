"""How much each signal counts: the names and limits of these numbers, and a shop's own in the place
of the defaults. Pure.

A blend is what weights.toml holds: numbers by name, and a table of weights for each scenario. A
table may hold further tables for shoppers with a shorter or longer history (`SPANS`), each whole.
"""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

Blend = Mapping[str, Any]

COUNTED = (0.25, 1.0, 2.0, 7.0, 21.0, 60.0)
"""Half-lives (days) that what everybody takes is counted with."""
SPANS: Mapping[str, tuple[int, int | None]] = {
    "guest": (0, 0),
    "few": (1, 5),
    "some": (6, 50),
    "many": (51, None),
}
"""Shoppers by how many events their profile holds, both ends included."""
SIZES: Mapping[str, tuple[int, int]] = {
    "neighbours": (10, 1000),
    "popular_items": (10, 1000),
    "untaken_every": (0, 1000),
}
"""Whole numbers, and their limits."""
MOST = 1000.0
"""No weight is greater; a half-life may be ten times that many days."""


def weights_of(table: Mapping[str, Any], events: int) -> Mapping[str, float]:
    """A scenario's weights for a shopper with so many events."""
    found: Mapping[str, float] = table.get(span_of(events), table)
    return found


def span_of(events: int) -> str:
    return next(name for name, (_, most) in SPANS.items() if most is None or events <= most)


def signals_of(blend: Blend) -> set[str]:
    """All that any scenario weighs."""
    tables = [table for table in blend.values() if isinstance(table, Mapping)]
    return {name for table in tables for name in table if name not in SPANS}


def overlaid(defaults: Blend, own: Mapping[str, Any]) -> Blend:
    """The defaults with a shop's own numbers in their place. A span's table says only what differs
    from its scenario's. Raises ValueError that names the setting, and for a name that is none the
    closest that is.
    """
    _known(own, defaults, "")
    signals = signals_of(defaults)
    return {
        name: _table(name, default, own.get(name, {}), signals)
        if isinstance(default, Mapping)
        else _checked(name, own.get(name, default))
        for name, default in defaults.items()
    }


def differences(defaults: Blend, blend: Blend) -> dict[str, Any]:
    """What `overlaid` makes `blend` of: only what differs from the defaults."""
    found: dict[str, Any] = {}
    for name, value in blend.items():
        default = defaults[name]
        if not isinstance(value, Mapping):
            if value != default:
                found[name] = value
            continue
        plain = _numbers(value)
        differs = _other(_numbers(default), plain)
        for span in SPANS:
            if span in value:
                beside = {**plain, **default.get(span, {})}
                if some := _other(beside, value[span]):
                    differs[span] = some
        if differs:
            found[name] = differs
    return found


def _other(ones: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in others.items() if ones.get(name, 0.0) != value}


def _numbers(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in SPANS}


def _table(
    where: str, default: Mapping[str, Any], own: Any, signals: Collection[str]
) -> dict[str, Any]:
    _known(own, [*signals, *SPANS], where)
    plain = {**_numbers(default), **_numbers(own)}
    found: dict[str, Any] = {
        name: _checked(f"{where}.{name}", value) for name, value in plain.items()
    }
    for span in SPANS:
        if span in default or span in own:
            differs = own.get(span, {})
            place = f"{where}.{span}"
            _known(differs, signals, place)
            some = {**plain, **default.get(span, {}), **differs}
            found[span] = {name: _checked(f"{place}.{name}", one) for name, one in some.items()}
    return found


def _known(own: Any, names: Collection[str], where: str) -> None:
    if not isinstance(own, Mapping):
        raise ValueError(f"{where}: a table of weights, such as {where}.popular = 0.1")
    for name in _names(own):
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"take {', '.join(sorted(names))}"
            raise ValueError(f"{where}.{name}: no such name; {hint}".lstrip("."))


def _names(own: Mapping[Any, Any]) -> Iterator[str]:
    return (str(name) for name in own)


def _checked(name: str, value: Any) -> Any:
    """A number that this name may have."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in SIZES:
        least, most = SIZES[name]
        if not (isinstance(value, int) and number and least <= value <= most):
            raise ValueError(f"{name}: a whole number from {least} to {most}")
    elif name == "popular_half_life":
        if not number or value not in COUNTED:
            known = ", ".join(f"{days:g}" for days in COUNTED)
            raise ValueError(f"{name}: days that counts are kept for, one of {known}")
    elif name.endswith(("_half_life", "_hours")):
        if not number or not 0 < value <= 10 * MOST:
            raise ValueError(f"{name}: a number above 0, at most {10 * MOST:g}")
    else:
        limit = 1.0 if name == "demote_seen" else MOST
        if not number or not 0 <= value <= limit:
            raise ValueError(f"{name}: a number from 0 to {limit:g}")
    return value
