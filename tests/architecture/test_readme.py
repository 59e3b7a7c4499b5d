"""What the README and the pages under docs/ tell a reader to run exists."""

import re
from pathlib import Path

import pytest
import typer.main

from windowshop.cli import app

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

# Fenced blocks, and blocks that are indented by four spaces.
SHELL = re.compile(
    r"^```(?:sh|bash|console)\n(.*?)^```|(?<=\n\n)((?: {4}[^\n]+\n+)+)", re.MULTILINE | re.DOTALL
)
INLINE = re.compile(r"`([^`\n]+)`")
FIGURE = re.compile(r"\d\s*(ms|s|min|h|MB|GB|%|/s|requests/s|events/s)\b")
COMMAND = re.compile(r"`[^`]*\b(make [a-z]+|windowshop [a-z]+|python -m \w+|bench/\w+\.py)[^`]*`")
SOURCE = re.compile(r"\]\(https?://|<https?://")  # a figure of somebody else's names its source


def commands(text):
    """Every command line in a page: those in shell blocks, and those in the text."""
    for fenced, indented in SHELL.findall(text):
        for line in (fenced or indented).replace("\\\n", " ").splitlines():
            yield line.partition(" # ")[0].strip().removeprefix("$ ")
    yield from INLINE.findall(SHELL.sub("", text))


def told(text, program):
    """First arguments that a page gives to a program: {"demo", "test"} of make."""
    pattern = re.compile(rf"(?:^|[\s/;&|(])(?:[A-Z]+=\S+ )*{program} ([a-z][a-z-]*)")
    return {hit for command in commands(text) for hit in pattern.findall(command)}


def cli_commands():
    return set(typer.main.get_command(app).commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_to_run_exists(page):
    text = page.read_text("utf-8")
    assert told(text, "make") - TARGETS == set()
    assert told(text, "windowshop") - cli_commands() == set()


def test_the_two_commands_of_a_newcomer_are_in_the_readme():
    assert {"demo", "test"} <= told(README.read_text("utf-8"), "make")


def test_commands_are_found_in_text_and_in_blocks():
    text = "Run `PORT=9000 make demo`.\n\n    make test  # all\n\n```sh\n$ .venv/bin/windowshop doctor --json\n```\n"
    assert told(text, "make") == {"demo", "test"}
    assert told(text, "windowshop") == {"doctor"}


def unsourced_tables(text):
    """Headings of sections that show figures in a table without a command or a source."""
    sections = re.split(r"^(?=#+ )", text, flags=re.MULTILINE)
    return [
        section.splitlines()[0]
        for section in sections
        if any(FIGURE.search(line) for line in section.splitlines() if line.startswith("|"))
        and not COMMAND.search(section)
        and not SOURCE.search(section)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_figures_name_the_command_that_makes_them(page):
    assert unsourced_tables(page.read_text("utf-8")) == []


def test_a_table_without_command_or_source_is_found():
    table = "# Speed\n| what | p50 |\n|---|---|\n| a slate | 3 ms |\n"
    assert unsourced_tables(table) == ["# Speed"]
    assert unsourced_tables(table + "`make bench`\n") == []
    assert unsourced_tables(table + "[theirs](https://example.com)\n") == []
