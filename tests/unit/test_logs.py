"""Logs are JSON lines in which nobody is named."""

import ast
import io
import json
import re
from pathlib import Path

import pytest

import windowshop
from windowshop import logs


@pytest.fixture
def lines():
    stream = io.StringIO()
    before = logs._Config.level, logs._Config.stream, logs._Config.pseudonym_key
    logs.configure("info", pseudonym_key=b"k", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs._Config.level, logs._Config.stream, logs._Config.pseudonym_key = before


def test_a_line_has_name_level_time_and_part(lines):
    logs.log("api").info("slate_served", items=20)
    logs.log("api").debug("slate_scored")

    (line,) = lines()
    assert (line["event"], line["level"], line["part"], line["items"]) == (
        "slate_served",
        "info",
        "api",
        20,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["at"])


def test_users_appear_as_pseudonyms(lines):
    logs.log().info("user_forgotten", user="u:anna", user_id="anna", anonymous_id="g-1")

    (line,) = lines()
    assert "anna" not in json.dumps(line)
    assert line["user"] == logs.pseudonym("u:anna")
    assert re.fullmatch("[0-9a-f]{16}", line["user"])


def test_a_pseudonym_depends_on_the_key_alone(lines):
    first = logs.pseudonym("u:anna")
    logs.configure(pseudonym_key=b"other")
    other = logs.pseudonym("u:anna")
    logs.configure(pseudonym_key=b"k")

    assert first != other
    assert logs.pseudonym("u:anna") == first
    assert logs.pseudonym("u:bert") != first


def test_an_error_shows_its_place_and_not_its_message(lines):
    try:
        raise KeyError("anna@example.org")
    except KeyError as error:
        logs.log().error("request_failed", error=error)

    (line,) = lines()
    assert line["error"] == "KeyError"
    assert "test_logs.py" in line["frames"][-1]
    assert "anna" not in json.dumps(line)


def test_what_is_no_json_is_shown_as_text(lines):
    logs.log().info("file_read", path=Path("a/b"))

    assert lines()[0]["path"] == "a/b"


IRREGULAR = ("_sent", "_lost", "_kept", "_made", "_built", "_begun", "_told")


def names():
    """Every name that the package gives to a line of the log."""
    for path in Path(windowshop.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Call(func=ast.Name(id="log"))), args=[first, *_]
                ):
                    yield f"{path.name}:{node.lineno}", first


def test_names_are_constant_and_in_the_past_tense():
    found = dict(names())

    assert found
    for place, name in found.items():
        assert isinstance(name, ast.Constant), place
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name.value), place
        assert name.value.endswith(("ed", *IRREGULAR)), place
