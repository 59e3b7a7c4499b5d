"""Small charts as SVG: text in, text out. Pure.

Drawn WIDTH units wide, so that letters of 12 units can be read on a phone; the page's style sheet
gives classes their colours (`c0`, `c1` ... by series), in light and in dark. Each has a title and a
description for who does not see it.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH = 420
ROW, LETTER = 28, 7
"""Height of a row, and the width of most letters."""
PLAIN = -1
"""The series of what is not told apart by colour."""
_SHAPES = 5


class Point(NamedTuple):
    """A value, its interval where it has one, and how it is written."""

    value: float
    low: float | None = None
    high: float | None = None
    shown: str = ""


class Row(NamedTuple):
    """One named value; `series`: which colour and shape."""

    label: str
    point: Point
    series: int = 0


class Line(NamedTuple):
    """A named value in each column, None where there is none."""

    label: str
    points: Sequence[Point | None]
    series: int = 0


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that enclose both, and 0 where these are one number: multiples of 1, 2 or 5
    times a power of ten, about `most` steps.
    """
    if low == high:
        low, high = (min(low, 0.0), max(high, 0.0)) if low else (0.0, 1.0)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def rows(
    name: str,
    title: str,
    about: str,
    some: Sequence[Row],
    *,
    bars: bool = False,
    mark: float | None = None,
) -> str:
    """Values side by side, a row each: points with whiskers, or bars from 0. `mark`: a value that
    all are compared with. `name`: unlike that of any other chart of the page.
    """
    wide = max((len(row.label) for row in some), default=0)
    text = max((len(row.point.shown) for row in some), default=0)
    left, right = round(wide * LETTER) + 12, WIDTH - round(text * LETTER) - 12
    scale = ticks(*_span([row.point for row in some], 0.0 if bars else mark), 4)
    across = _Scale(scale[0], scale[-1], left, right)
    height = ROW * len(some) + 26
    drawn = [_grid_down(across, scale, 4, height - 22)]
    if mark is not None:
        x = across(mark)
        drawn.append(f'<line class="mark" x1="{x}" x2="{x}" y1="2" y2="{height - 22}"/>')
    for at, row in enumerate(some):
        y = 4 + ROW * at + ROW / 2
        drawn.append(_text(left - 8, y + 4, row.label, "name", "end"))
        drawn.append(_bar(across, y, row) if bars else _whiskered(across, y, row))
        drawn.append(_text(WIDTH - 2, y + 4, row.point.shown, "value", "end"))
    return _chart(name, title, about, height, drawn)


def lines(
    name: str, title: str, about: str, columns: Sequence[tuple[str, str]], some: Sequence[Line]
) -> str:
    """Values in named columns (a second line of text below each name), those of a series joined and
    named where they end. All values >= 0, their axis begins at 0.
    """
    room = max((len(line.label) for line in some), default=0)
    left, right = 38, WIDTH - round(room * LETTER) - 18
    top, bottom, height = 10, 214, 254
    points = [point for line in some for point in line.points if point is not None]
    scale = ticks(*_span(points, 0.0))
    up = _Scale(0.0, scale[-1], bottom, top)
    drawn = [_grid_across(up, [tick for tick in scale if tick >= 0], left, right)]
    step = (right - left) / max(len(columns), 1)
    for at, (label, below) in enumerate(columns):
        x = left + step * (at + 0.5)
        drawn.append(_text(x, bottom + 18, label, "name", "middle"))
        drawn.append(_text(x, bottom + 33, below, "tick", "middle"))
    ends: list[tuple[float, float, Line]] = []
    for number, line in enumerate(some):
        aside = (number - (len(some) - 1) / 2) * min(9.0, step / (len(some) + 1))
        placed = [
            (round(left + step * (at + 0.5) + aside, 1), point)
            for at, point in enumerate(line.points)
            if point is not None
        ]
        if placed:
            drawn.append(_joined(up, placed, line.series))
            ends.append((placed[-1][0], up(placed[-1][1].value), line))
    return _chart(name, title, about, height, drawn + _named(ends, right, top, bottom))


# --- parts ----------------------------------------------------------------------------------------


class _Scale:
    """From values to places; values outside go to the edge."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self._start, self._end = low, high, start, end

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        share = (value - self.low) / (self.high - self.low)
        return round(self._start + share * (self._end - self._start), 1)


def _span(points: Sequence[Point], also: float | None) -> tuple[float, float]:
    values = [] if also is None else [also]
    for point in points:
        values += [v for v in (point.value, point.low, point.high) if v is not None]
    values = [value for value in values if math.isfinite(value)]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _chart(name: str, title: str, about: str, height: float, drawn: Sequence[str]) -> str:
    name = escape(name)
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" viewBox="0 0 {WIDTH} {height:g}">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(about)}</desc>'
        + "".join(drawn)
        + "</svg>"
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def number(value: float) -> str:
    """A tick's number, as short as it can be."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if value else "0"


def _grid_down(across: _Scale, scale: Sequence[float], top: float, bottom: float) -> str:
    return "".join(
        f'<line class="grid" x1="{across(tick)}" x2="{across(tick)}" y1="{top}" y2="{bottom}"/>'
        + _text(across(tick), bottom + 16, number(tick), "tick", "middle")
        for tick in scale
    )


def _grid_across(up: _Scale, scale: Sequence[float], left: float, right: float) -> str:
    return "".join(
        f'<line class="grid" x1="{left}" x2="{right}" y1="{up(tick)}" y2="{up(tick)}"/>'
        + _text(left - 6, up(tick) + 4, number(tick), "tick", "end")
        for tick in scale
    )


def _bar(across: _Scale, y: float, row: Row) -> str:
    start, end = across(0.0), across(row.point.value)
    width = max(round(end - start, 1), 1)
    return (
        f'<rect class="{_class(row.series)}" x="{start}" y="{y - 8}" width="{width}" '
        'height="16" rx="2"/>'
    )


def _whiskered(across: _Scale, y: float, row: Row) -> str:
    point, drawn = row.point, ""
    if point.low is not None and point.high is not None:
        low, high = across(point.low), across(point.high)
        drawn = (
            f'<path class="whisker {_class(row.series)}" d="M{low} {y}H{high}'
            f'M{low} {y - 4}v8M{high} {y - 4}v8"/>'
        )
    return drawn + _shape(across(point.value), y, row.series)


def _joined(up: _Scale, placed: Sequence[tuple[float, Point]], series: int) -> str:
    path = "L".join(f"{x} {up(point.value)}" for x, point in placed)
    drawn = f'<path class="line {_class(series)}" d="M{path}"/>'
    for x, point in placed:
        if point.low is not None and point.high is not None:
            low, high = up(point.low), up(point.high)
            drawn += (
                f'<path class="whisker {_class(series)}" d="M{x} {low}V{high}'
                f'M{x - 3:.1f} {low}h6M{x - 3:.1f} {high}h6"/>'
            )
    return drawn + "".join(_shape(x, up(point.value), series) for x, point in placed)


def _named(
    ends: Sequence[tuple[float, float, Line]], right: float, top: float, bottom: float
) -> list[str]:
    """The names of lines at their ends, pushed apart so that none covers another."""
    ordered = sorted(ends, key=lambda end: end[1])
    heights = apart([y for _, y, _ in ordered], 15, top, bottom)
    drawn = []
    for (x, y, line), at in zip(ordered, heights, strict=True):
        colour = _class(line.series)
        leader = f"M{x + 6:.1f} {y}L{right + 4} {at:.1f}"
        drawn.append(f'<path class="leader {colour}" d="{leader}"/>')
        drawn.append(_text(right + 8, at + 4, line.label, f"name {colour}", "start"))
    return drawn


def apart(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Ascending places moved as little as need be to lie `least` apart, within the bounds if there
    is room.
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, low, moved[-1] + least if moved else low))
    over = high
    for at in range(len(moved) - 1, -1, -1):
        moved[at] = min(moved[at], over)
        over = moved[at] - least
    return moved


def _class(series: int) -> str:
    return "plain" if series == PLAIN else f"c{series}"


def _shape(x: float, y: float, series: int) -> str:
    kind = 0 if series == PLAIN else series % _SHAPES
    if kind == 0:
        return f'<circle class="dot {_class(series)}" cx="{x}" cy="{y}" r="5"/>'
    path = {
        1: "m-5 -5h10v10h-10z",
        2: "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        3: "m0 -5.5l5.5 9.5h-11z",
        4: "m0 5.5l5.5 -9.5h-11z",
    }[kind]
    return f'<path class="dot {_class(series)}" d="M{x} {y}{path}"/>'
