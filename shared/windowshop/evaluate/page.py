"""A replay as one page of HTML that needs nothing else: no script, no font, no network. Pure but
for its style sheet, which lies beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from windowshop.evaluate import ablations, charts
from windowshop.evaluate.charts import Chart
from windowshop.evaluate.report import PRODUCT, TRAINED, Json, remarks

GENERATOR = "windowshop evaluate"
MARK = f'<meta name="generator" content="{GENERATOR}">'
POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
ABOUT = (
    "What this shop's lists would have been worth: asked for with what was known at moments of the "
    "past, and compared with what was taken next."
)
TASKS = {
    "all": ("All that was taken", "Lists that may hold what the user had before (seen: keep)."),
    "new": (
        "Only what was new to its user",
        "Lists without what the user had any event with (seen: drop); only what was new counts.",
    ),
}
_TIMES, _TO = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"


def page(found: Json) -> str:
    """The whole document, of the JSON object with its `command` and `made_at`."""
    style = resources.files("windowshop.evaluate").joinpath("page.css").read_text("utf-8")
    title = f"Replay of {found['dataset']}"
    tasks = [task for task in TASKS if task in found["results"][PRODUCT]]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            MARK,
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            POLICY,
            f"<title>{escape(title)}</title>",
            f"<style>\n{style}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="sub">{ABOUT}</p>',
            _verdicts(found, tasks),
            _facts(found),
            *(part for task in tasks for part in _section(found, task)),
            "<h2>What a list costs</h2>",
            _figures([charts.cpu(found)]),
            _method(found),
            "</main></body></html>",
            "",
        ]
    )


def _section(found: Json, task: str) -> Iterable[str]:
    title, about = TASKS[task]
    yield f"<h2>{title} <small>({task})</small></h2>"
    yield f'<p class="note">{about}</p>'
    yield _figures(charts.charts_of(found, task))
    yield _results(found, task)
    yield _again(found, task)


def _figures(some: Sequence[Chart]) -> str:
    drawn = "".join(
        f"<figure><h3>{escape(chart.title)}</h3>"
        f'<p class="note">{escape(chart.note)}</p>{chart.svg}</figure>'
        for chart in some
    )
    return f'<div class="charts">{drawn}</div>'


def _verdicts(found: Json, tasks: Sequence[str]) -> str:
    learned = found.get("learned", {})
    named = (
        (PRODUCT, found.get("against", {})),
        (TRAINED, learned.get("against", {})),
        (TRAINED, learned.get("untrained", {})),
    )
    told = [
        f'<li class="{_side(one)}">'
        f"<b>{_TIMES}{one['ratio']:.3f}</b><span>{escape(name)} over {escape(one['best'])}, "
        f"{task}</span><small>of its NDCG@10; 95% interval {one['low']:.3f} {_TO} {one['high']:.3f}"
        "</small></li>"
        for name, some in named
        for task in tasks
        if (one := some.get(task))
    ]
    return f'<ul class="verdicts">{"".join(told)}</ul>' if told else ""


def _side(one: Mapping[str, Any]) -> str:
    """On which side of 1 the whole interval lies."""
    return "more" if one["low"] > 1 else "less" if one["high"] < 1 else "even"


def _facts(found: Json) -> str:
    facts = [
        ("Protocol", found["protocol"]),
        ("Dataset", found["dataset"]),
        ("Queries", f"{found['queries']:,}"),
        ("Seed", str(found["seed"])),
        ("Made", f"{found['made_at']}, windowshop {found['version']}"),
    ]
    told = "".join(f"<dt>{name}</dt><dd>{escape(what)}</dd>" for name, what in facts)
    for name, why in found.get("left_out", {}).items():
        told += f"<dt>Left out</dt><dd>{escape(name)}: {escape(why)}</dd>"
    words = " ".join(f"<span>{escape(word)}</span>" for word in found["command"].split(" "))
    return f'<dl class="facts">{told}<dt>Command</dt><dd><code>{words}</code></dd></dl>'


# --- tables ---------------------------------------------------------------------------------------

COLUMNS = ("recall@10", "hit@10", "mrr@10", "coverage@10")


def _results(found: Json, task: str) -> str:
    heading = ("", "NDCG@10", "95% interval", *COLUMNS, "CPU ms", "chosen on validation")
    rows = []
    for name, result in found["results"].items():
        figures = result[task]
        point = charts.interval(figures)
        cells = [
            point.shown,
            "" if point.low is None else f"{point.low:.4f} {_TO} {point.high:.4f}",
            *(f"{figures[column]:.4f}" for column in COLUMNS),
            f"{result['cpu_ms']:.2f}",
        ]
        words = result.get("settings", {}).get(task, "")
        rows.append(_row(name, cells, words, ours=name in (PRODUCT, TRAINED)))
    count = found["results"][PRODUCT][task]["n"]
    return _table(f"All methods, {task} ({count:,} queries)", heading, rows)


def _again(found: Json, task: str) -> str:
    """The variants of the product."""
    if "studied" not in found:
        return ""
    studied = found["studied"]
    rows = [_row(f"{studied['product']}, whole", [*_means(studied[task]), "1", ""], ours=True)]
    rows += [_varied(name, figures) for name, figures in ablations.told(found, task)]
    heading = ("", "NDCG@10", "recall@10", "over the whole", "95% interval")
    count = studied[task]["n"]
    return _table(f"The product without this or that, {task} ({count:,} queries)", heading, rows)


def _varied(name: str, figures: Mapping[str, Any]) -> str:
    cells = _means(figures)
    if "ratio" in figures:
        cells += [f"{_TIMES}{figures['ratio']:.3f}"]
        cells += [f"{figures['low']:.3f} {_TO} {figures['high']:.3f}"]
    return _row(name, cells)


def _means(figures: Mapping[str, Any]) -> list[str]:
    return [f"{figures['ndcg@10']:.4f}", f"{figures['recall@10']:.4f}"]


def _row(name: str, cells: Sequence[str], words: str | None = None, *, ours: bool = False) -> str:
    start = '<tr class="ours">' if ours else "<tr>"
    told = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    if words is not None:
        told += f'<td class="words">{escape(words)}</td>'
    return f'{start}<th scope="row">{escape(name)}</th>{told}</tr>'


def _table(title: str, heading: Sequence[str], rows: Sequence[str]) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in heading)
    return (
        f'<div class="table" role="region" aria-label="{escape(title)}" tabindex="0">'
        f"<table><caption>{escape(title)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _method(found: Json) -> str:
    protocol = {
        "time": "Known at each query is what happened before its own millisecond, of all users, "
        "and nothing else; settings and what is learned come from before the test.",
        "leave-last-out": "Known is what all users did before their last event; that event is "
        "what is asked for.",
    }[found["protocol"]]
    left_out = "".join(f"<p>{escape(line)}.</p>" for line in remarks(found))
    varied = ""
    if "studied" in found:
        varied = (
            f"<p>The product without this or that: {found['studied']['queries']:,} of the queries, "
            "drawn with the seed, asked again; what was learned is not learned anew without the "
            "signal. Where a profile is late, the counts and the other users are live, and what "
            "its user has taken since is left out of lists for what is new all the same; where "
            "popularity is late, so is how rare an item is, and the rest is live. Days begin at "
            "midnight UTC.</p>"
        )
    return (
        "<details open><summary>How this was measured</summary>"
        f"<p>{protocol} The whole catalogue is ranked, never a sample of it. All methods get the "
        "same queries, the same past and the same mask.</p>"
        "<p>NDCG@10: a hit at place i (from 0) gains 1 / log2(i + 2), over what min(10, taken) "
        "hits at the top would gain. Recall@10: hits / min(10, taken). Intervals of a mean are "
        "1.96 standard errors over users, whose queries go together; those of a ratio are of a "
        "paired bootstrap that draws users whole, 2,000 times.</p>"
        f"{varied}{left_out}</details>"
    )
