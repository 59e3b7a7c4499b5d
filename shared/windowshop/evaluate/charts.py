"""Which of a replay's figures are drawn, and how they are told to who does not see them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from windowshop.evaluate import plots
from windowshop.evaluate.ablations import LATE_WORDS
from windowshop.evaluate.plots import Line, Point, Row
from windowshop.evaluate.report import PRODUCT, TRAINED, Json, baselines

SIGMAS = 1.96
"""A 95% interval reaches so many standard errors to either side."""
BEST = 3
"""Baselines, the best of a task, that are drawn by the length of histories."""
_FIRST = 2  # the series after the product and what it learned


class Chart(NamedTuple):
    """A drawing, what it shows, and a line on how to read it."""

    title: str
    note: str
    svg: str


def charts_of(found: Json, task: str) -> list[Chart]:
    """All that there is to draw for one task of the JSON object."""
    some = [
        _methods(found, task),
        _by(found, task, HISTORY),
        _by(found, task, TARGET),
        _cold(found, task),
        _signals(found, task),
        _freshness(found, task),
    ]
    return [chart for chart in some if chart is not None]


def interval(figures: Mapping[str, Any], name: str = "ndcg@10") -> Point:
    """A mean with the 95% interval of its standard error; with none where nothing is known of it,
    as of a single user.
    """
    value, error = figures[name], figures.get(f"{name}_error")
    if not error:
        return Point(value, shown=f"{value:.4f}")
    reach = SIGMAS * error
    return Point(value, max(value - reach, 0.0), value + reach, f"{value:.4f}")


def ratio(figures: Mapping[str, Any]) -> Point:
    """How many times as good as another, with its interval."""
    return Point(
        figures["ratio"],
        figures["low"],
        figures["high"],
        f"\N{MULTIPLICATION SIGN}{figures['ratio']:.3f}",
    )


def series(found: Json) -> dict[str, int]:
    """The colour and shape of each method, the same in all charts."""
    named = {PRODUCT: 0, TRAINED: 1}
    drawn = dict.fromkeys(
        name
        for task in found["results"][PRODUCT]
        if task in ("all", "new")
        for name in _best(found, task)
    )
    return named | {name: _FIRST + at for at, name in enumerate(drawn)}


def _best(found: Json, task: str) -> list[str]:
    results = found["results"]
    others = baselines(results)
    return sorted(others, key=lambda name: -results[name][task]["ndcg@10"])[:BEST]


def _methods(found: Json, task: str) -> Chart | None:
    results, colours = found["results"], series(found)
    if len(results) < 2:
        return None  # nothing to compare
    ordered = sorted(results, key=lambda name: -results[name][task]["ndcg@10"])
    some = [
        Row(name, interval(results[name][task]), colours.get(name, plots.PLAIN)) for name in ordered
    ]
    return Chart(
        "NDCG@10 by method",
        "The best first, with 95% intervals over users.",
        plots.rows(f"methods-{task}", f"NDCG@10 by method, {task}", _told(some), some),
    )


class _Split(NamedTuple):
    """A way in which the queries are told apart: the figures' name, the parts in order, and words
    for people: for the title, for who only hears it, and for below it.
    """

    name: str
    parts: Sequence[str]
    title: str
    unit: str
    note: str


HISTORY = _Split(
    "by_history",
    ("0", "1-5", "6-50", ">50"),
    "NDCG@10 by length of the history",
    "events",
    "Known events of the user before the query",
)
TARGET = _Split(
    "by_target",
    ("<5", ">=5"),
    "NDCG@10 by how often the target was seen",
    "times",
    "How often what was taken had been taken before",
)


def _by(found: Json, task: str, split: _Split) -> Chart | None:
    results, colours = found["results"], series(found)
    names = [name for name in (PRODUCT, TRAINED) if name in results] + _best(found, task)
    parts = {name: results[name][task].get(split.name, {}) for name in names}
    spans = [span for span in split.parts if span in parts[PRODUCT]]
    if len(spans) < 2:
        return None  # nothing to compare
    some = [
        Line(
            name,
            [interval(parts[name][span]) if span in parts[name] else None for span in spans],
            colours[name],
        )
        for name in names
    ]
    columns = [(_dashed(span), f"{parts[PRODUCT][span]['n']:,}") for span in spans]
    told = "; ".join(
        f"{line.label}: "
        + ", ".join(
            f"{span} {split.unit} {point.shown}"
            for span, point in zip(spans, line.points, strict=True)
            if point is not None
        )
        for line in some
    )
    return Chart(
        split.title,
        f"{split.note}, and below it how many queries there are; of the baselines the best {BEST}, "
        "with 95% intervals over users.",
        plots.lines(f"{split.name}-{task}", f"{split.title}, {task}", told, columns, some),
    )


def _cold(found: Json, task: str) -> Chart | None:
    """Whose lists found what nobody had any event with."""
    named = {
        name: cold
        for name, result in found["results"].items()
        if (cold := result[task].get("cold")) and cold["items"]
    }
    if not named:
        return None
    colours = series(found)
    recall = next(key for key in next(iter(named.values())) if key.startswith("recall@"))
    ordered = sorted(named, key=lambda name: -named[name][recall])
    some = [
        Row(
            name,
            Point(
                named[name][recall],
                named[name]["low"],
                named[name]["high"],
                f"{named[name]['hits']:,} of {named[name]['items']:,}",
            ),
            colours.get(name, plots.PLAIN),
        )
        for name in ordered
    ]
    title = f"Cold items: {recall[0].upper()}{recall[1:]}"
    return Chart(
        title,
        "Of the items that no event had been on when they were taken, the share that stood in the "
        f"first {recall.partition('@')[2]} of the list, with 95% intervals.",
        plots.rows(f"cold-{task}", f"{title}, {task}", _told(some), some),
    )


def _signals(found: Json, task: str) -> Chart | None:
    left_out = {
        name: figures[task]
        for name, figures in found.get("ablations", {}).items()
        if "ratio" in figures.get(task, {})
    }
    if not left_out:
        return None
    ordered = sorted(left_out, key=lambda name: left_out[name]["ratio"])
    colour = 1 if found["studied"]["product"] == TRAINED else 0
    some = [Row(f"no {name}", ratio(left_out[name]), colour) for name in ordered]
    return Chart(
        "Without a signal",
        "NDCG@10 with that signal's weight at 0, over that of all signals (the dashed line).",
        plots.rows(
            f"signals-{task}", f"NDCG@10 without a signal, {task}", _told(some), some, mark=1.0
        ),
    )


def _freshness(found: Json, task: str) -> Chart | None:
    some = []
    colour = 1 if found.get("studied", {}).get("product") == TRAINED else 0
    for what, by_age in found.get("freshness", {}).items():
        for age, figures in by_age.items():
            if "ratio" in figures[task]:
                some.append(Row(f"{LATE_WORDS[what]} {age}", ratio(figures[task]), colour))
    if not some:
        return None
    some.insert(0, Row("all live", Point(1.0, shown="\N{MULTIPLICATION SIGN}1"), colour))
    return Chart(
        "The value of freshness",
        "NDCG@10 where only events before the last midnight (daily), or before the whole test "
        "(frozen), are known, over that of live ones (the dashed line).",
        plots.rows(f"fresh-{task}", f"NDCG@10 by freshness, {task}", _told(some), some, mark=1.0),
    )


def cpu(found: Json) -> Chart:
    """The cost of a list, by method."""
    results, colours = found["results"], series(found)
    ordered = sorted(results, key=lambda name: results[name]["cpu_ms"])
    some = [
        Row(
            name,
            Point(results[name]["cpu_ms"], shown=f"{results[name]['cpu_ms']:.1f}"),
            colours.get(name, plots.PLAIN),
        )
        for name in ordered
    ]
    return Chart(
        "CPU milliseconds a list",
        "The product's are of the whole request; the baselines' of their arithmetic alone.",
        plots.rows("cpu", "CPU milliseconds a list, by method", _told(some), some, bars=True),
    )


def _told(some: Sequence[Row]) -> str:
    return "; ".join(
        f"{row.label} {row.point.shown}"
        + (
            f" ({row.point.low:.4f} to {row.point.high:.4f})"
            if row.point.low is not None and row.point.high is not None
            else ""
        )
        for row in some
    )


def _dashed(span: str) -> str:
    return span.replace("-", "\N{EN DASH}").replace(">=", "\N{GREATER-THAN OR EQUAL TO}")
